// Holds client/js/echo.js to its rules, on timers and sockets of its own: node laravel.mjs. Prints a line for each rule
// that holds, and ends with the first that does not.
import assert from 'node:assert/strict';
import { WsfpmConnector } from '../../client/js/echo.js';

const tick = globalThis.setImmediate;
const settle = () => new Promise((done) => { tick(done); });
process.on('unhandledRejection', (error) => {
  console.error('a promise of the connector was rejected:', error);
  process.exit(1);
});

let timers = [];
globalThis.location = { href: 'http://h/' };
globalThis.setTimeout = (run, ms) => {
  timers.push({ run, ms });
  return timers.at(-1);
};
globalThis.clearTimeout = (timer) => { timers = timers.filter((t) => t !== timer); };

/** page returns a connector that is connected; answer makes of a message what the server replies, without its id. */
async function page(answer) {
  const sent = [];
  const all = [];
  class Socket {
    constructor() { all.push(this); }
    send(text) {
      const { id, data } = JSON.parse(text);
      sent.push(data);
      tick(() => this.gets({ re: id, ...answer(data) }));
    }
    gets(envelope) { this.onmessage?.({ data: JSON.stringify(envelope) }); }
    close() {}
  }
  const echo = new WsfpmConnector({ live: { WebSocket: Socket } });
  await settle();
  all[0].gets({ hello: { conn: 'c1', resume: 'off', ping: 0 } });
  all[0].gets({ data: { socket: 'c1' } });
  timers = [];
  return { echo, sent, gets: (data, n = -1) => all.at(n).gets({ data }) };
}

const granted = (m) => ({ data: m.subscribe ? Object.fromEntries(m.subscribe.map((name) => [name, { status: 200 }])) : { status: 200 } });
const errors = (channel) => {
  const all = [];
  channel.error((e) => all.push(e.status));
  return all;
};

const rules = {
  async 'an empty reply, as before the close of a login that has changed, is no rejection'() {
    const { echo } = await page(() => ({}));
    const seen = errors(echo.privateChannel('a'));
    await settle();
    await settle();
    assert.deepEqual(seen, [500]);
  },
  async 'channels without an answer are asked for again ever later'() {
    const { echo, sent } = await page(() => ({ error: 'failed' }));
    echo.channel('shop');
    for (const least of [5000, 10000, 20000, 30000, 30000]) {
      await settle();
      await settle();
      assert.equal(timers.length, 1);
      const [{ run, ms }] = timers;
      assert.ok(ms >= least && ms <= 2 * least, `a wait of ${ms}, want ${least} at least`);
      timers = [];
      run();
    }
    assert.deepEqual(sent, Array(6).fill({ subscribe: ['shop'] }));
  },
  async 'what is granted leaves no timer, and a presence channel asks again without its list'() {
    const { echo, sent, gets } = await page(granted);
    echo.privateChannel('a');
    await settle();
    await settle();
    assert.deepEqual(timers, []);
    const room = echo.presenceChannel('b');
    await settle();
    await settle();
    timers.pop().run();
    assert.deepEqual(sent.at(-1), { subscribe: ['presence-b'] });
    await settle();
    gets({ channel: 'presence-b', here: [['user:1', 1]] });
    await settle();
    timers.pop()?.run();
    assert.deepEqual([sent.length, room.isSubscribed], [3, true]);
  },
  async 'a thousand channels that are left at once cost the server nothing, and those that were asked for are left'() {
    const { echo, sent } = await page(granted);
    echo.channel('shop');
    await settle();
    for (let i = 0; i < 1000; i++) {
      echo.privateChannel(`a.${i}`);
      echo.leave(`a.${i}`);
    }
    echo.leave('shop');
    await settle();
    assert.deepEqual(sent, [{ subscribe: ['shop'] }, { leave: 'shop' }]);
    assert.deepEqual(Object.keys(echo.channels), []);
  },
  async 'a channel that is left before it is granted stays left'() {
    const { echo, sent } = await page(granted);
    const first = echo.privateChannel('a');
    await null;
    await null;
    echo.leave('a');
    await settle();
    assert.deepEqual([sent, first.isSubscribed], [[{ subscribe: ['private-a'] }, { leave: 'private-a' }], false]);
  },
  async 'a channel is left until the server has heard it, unless the page wants it again'() {
    const { echo, sent } = await page((m) => (m.leave ? { error: 'failed' } : granted(m)));
    echo.channel('shop');
    await settle();
    echo.leave('shop');
    await settle();
    await settle();
    timers.pop().run();
    await settle();
    await settle();
    assert.deepEqual(sent.splice(0), [{ subscribe: ['shop'] }, { leave: 'shop' }, { leave: 'shop' }]);
    echo.channel('shop');
    timers.pop().run();
    await settle();
    assert.deepEqual(sent, [{ subscribe: ['shop'] }]);
  },
  async 'a second connect ends the first connection'() {
    const { echo, gets } = await page(granted);
    const seen = [];
    echo.channel('shop').listen('.sold', (data) => seen.push(data));
    await settle();
    echo.connect();
    gets({ channel: 'shop', event: 'sold', data: 1 }, 0);
    await settle();
    gets({ channel: 'shop', event: 'sold', data: 2 });
    assert.deepEqual(seen, [2]);
  },
  async 'without a connection there is no id, and nothing fails'() {
    const echo = new WsfpmConnector({ live: { WebSocket: class { close() {} } } });
    echo.privateChannel('a').whisper('typing', {});
    assert.equal(echo.socketId(), undefined);
    echo.disconnect();
    await settle();
    echo.channel('shop');
    echo.leave('a');
    await settle();
    assert.equal(echo.connectionStatus(), 'disconnected');
  },
};

for (const [name, rule] of Object.entries(rules)) {
  await rule();
  console.log(name);
}
