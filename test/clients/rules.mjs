// Holds client/js/live.js to its rules, on a clock and sockets of its own: node rules.mjs. Prints a line for each rule
// that holds, and ends with the first that does not.
import assert from 'node:assert/strict';
import { Live } from '../../client/js/live.js';

// ------------------------------------------------------------------ the clock

let now = 1_800_000_000_000;
let timers = [];
Date.now = () => now;
globalThis.setTimeout = (run, ms = 0) => {
  const timer = { run, at: now + ms };
  timers.push(timer);
  return timer;
};
globalThis.clearTimeout = (timer) => { timers = timers.filter((t) => t !== timer); };

/** Promises that are resolved already have their effects. */
const settle = async () => { for (let i = 0; i < 20; i++) await null; };

/** pass lets time pass, with all that is due in it. */
async function pass(ms) {
  const end = now + ms;
  for (;;) {
    await settle();
    const due = timers.filter((t) => t.at <= end).sort((a, b) => a.at - b.at)[0];
    if (!due) break;
    timers = timers.filter((t) => t !== due);
    now = Math.max(now, due.at);
    due.run();
  }
  now = end;
}

// ------------------------------------------------------------------ the server

class Socket {
  static all = [];
  sent = [];
  bufferedAmount = 0;
  constructor(url, protocols) {
    Object.assign(this, { url, protocols, at: now });
    Socket.all.push(this);
  }
  send(text) { this.sent.push(JSON.parse(text)); }
  close() { this.closed = true; }
  gets(envelope) { this.onmessage?.({ data: JSON.stringify(envelope) }); }
  hello(more) { this.gets({ hello: { conn: 'c1', resume: 'new', ping: 25, ...more } }); }
  ends(code, reason = '') { this.onclose?.({ code, reason }); }
}

/** page returns a Live and what it was told. */
function page(options, url = 'ws://h/ws?x=1') {
  Socket.all = [];
  const told = { messages: [], from: [], gaps: 0, states: [], waits: [] };
  const client = new Live(url, {
    message: (m, from) => { told.messages.push(m); told.from.push(from); if (m === 'throw') throw new Error('a handler of the page'); },
    gap: () => told.gaps++,
    state: (name, detail) => { told.states.push(name); if (name === 'waiting') told.waits.push(detail); },
  }, { WebSocket: Socket, ...options });
  return { client, told, socket: () => Socket.all.at(-1) };
}

/** open is page with its first connection open. */
async function open(hello, options) {
  const p = page(options);
  await settle();
  p.own = p.socket();
  p.own.hello(hello);
  return p;
}

/** back lets a page come back that waits. */
async function back(p, hello) {
  await pass(p.told.waits.at(-1) + 1);
  p.socket().hello(hello);
}

/** outcome is what becomes of a promise of send: set once it is settled. */
function outcome(promise) {
  const o = {};
  promise.then((reply) => { o.reply = reply ?? null; }, (error) => { o.failed = error.reason; o.data = error.data; });
  return o;
}

const silent = console.error;
const once = { for: 60, most: 10 };
const rules = {
  async 'a thousand that are cut at once come back spread over five seconds'() {
    const waits = [];
    const many = [];
    for (let i = 0; i < 1000; i++) many.push(await open({}));
    for (const p of many) p.own.ends(1006);
    for (const p of many) {
      waits.push(p.told.waits[0]);
      p.client.close();
    }
    const tenths = Array(10).fill(0);
    for (const wait of waits) tenths[Math.floor(wait / 500)]++;
    assert.ok(Math.max(...waits) < 5000 && tenths.every((n) => n > 50 && n < 160), `in each half second: ${tenths}`);
  },
  async 'the wait is doubled after each failure, up to 30 seconds'() {
    const most = [5000, 10000, 20000, 30000, 30000];
    const seen = most.map(() => 0);
    for (let i = 0; i < 200; i++) {
      const p = await open({});
      for (const [n, bound] of most.entries()) {
        p.socket().ends(1006);
        const wait = p.told.waits[n];
        assert.ok(wait < bound, `wait ${n + 1} is ${wait}`);
        seen[n] = Math.max(seen[n], wait);
        await pass(wait + 1);
        if (i % 2) p.socket().hello(); // a hello alone does not end the doubling
      }
      p.client.close();
    }
    seen.forEach((wait, n) => assert.ok(wait > most[n] * 0.8, `the longest wait ${n + 1} is ${wait}`));
  },
  async 'ten seconds of life end the doubling'() {
    for (let i = 0; i < 50; i++) {
      const p = await open({});
      for (let n = 0; n < 4; n++) {
        p.socket().ends(1006);
        await pass(p.told.waits.at(-1) + 1);
      }
      p.socket().hello();
      await pass(10_001);
      if (i % 2) { // it comes back by itself
        p.socket().gets({ gap: true });
        await pass(10_001);
        p.socket().hello();
      }
      p.socket().ends(1006);
      assert.ok(p.told.waits.at(-1) < 5000);
      p.client.close();
    }
  },
  async 'after 1012 it comes back within half a second, after 1008 in 30 to 60'() {
    for (const [code, least, most] of [[1012, 0, 500], [1001, 0, 500], [1008, 30_000, 60_000], [1013, 0, 5000]]) {
      for (let i = 0; i < 50; i++) {
        const p = await open({});
        p.socket().ends(code);
        const [wait] = p.told.waits;
        assert.ok(wait >= least && wait <= most, `${code}: ${wait}`);
        p.client.close();
      }
    }
  },
  async 'a final code ends it, with all that waits'() {
    const p = await open({ once });
    const o = outcome(p.client.send(1));
    p.socket().ends(4001, 'signed out');
    await pass(600_000);
    assert.deepEqual([o.failed, p.told.states.at(-1), Socket.all.length, timers.length], ['closed', 'stopped', 1, 0]);
    p.client.close();
    assert.equal(p.told.states.filter((s) => s === 'stopped').length, 1);
    assert.equal(outcome(p.client.send(2)).failed, undefined);
    await settle();
  },
  async 'after 4401 the address is asked for again'() {
    let token = 0;
    const p = page({}, async () => `ws://h/ws?token=${++token}`);
    await settle();
    p.socket().hello();
    p.socket().ends(4401);
    await pass(5001);
    assert.equal(String(p.socket().url), 'ws://h/ws?token=2&ws_was=c1');
    p.client.close();
  },
  async 'it asks for what came after the newest id'() {
    const p = page({ last: '1-0-a' });
    await settle();
    assert.equal(String(p.socket().url), 'ws://h/ws?x=1&ws_last=1-0-a');
    p.socket().hello({ resume: 'ok' });
    p.socket().gets({ id: '2-0-a', data: 'x' });
    p.socket().gets({ id: '3-0-a' });
    p.socket().ends(1006);
    await pass(5001);
    assert.equal(p.socket().url.searchParams.get('ws_last'), '3-0-a');
    assert.equal(p.socket().url.searchParams.get('ws_was'), 'c1');
    p.socket().hello({ resume: 'ok' });
    assert.deepEqual([p.told.messages, p.told.gaps], [['x'], 0]);
    p.client.close();
  },
  async 'a gap is told once, and the state is asked for within ten seconds'() {
    const p = await open({ resume: 'ok' });
    p.socket().gets({ id: '2-0-a', data: 'x' });
    const first = p.socket();
    first.gets({ gap: true });
    first.gets({ gap: true });
    first.gets({ id: '9-0-a', data: 'y' });
    assert.deepEqual(p.told.messages, ['x', 'y']);
    await pass(10_001);
    assert.notEqual(p.socket(), first);
    assert.equal(p.socket().url.searchParams.get('ws_last'), null);
    p.socket().hello({ resume: 'new' });
    assert.equal(p.told.gaps, 1);
    p.client.close();
  },
  async 'a position that the server does not know is a gap'() {
    for (const resume of ['new', 'gap', 'off']) {
      const p = page({ last: '1-0-a' });
      await settle();
      p.socket().hello({ resume });
      assert.equal(p.told.gaps, 1, resume);
      p.client.close();
    }
  },
  async 'without once a message in flight is unsure, and one that waits is sent'() {
    const p = await open({});
    const flying = outcome(p.client.send('flying'));
    p.socket().ends(1006);
    const waiting = outcome(p.client.send('waiting'));
    await back(p);
    assert.deepEqual(p.socket().sent.map((m) => m.data), ['waiting']);
    p.socket().gets({ re: p.socket().sent[0].id, data: 7 });
    await settle();
    assert.deepEqual([flying.failed, waiting.reply], ['unsure', 7]);
    p.client.close();
  },
  async 'with once a message is sent three times at most, each time with its id'() {
    const p = await open({ once });
    const o = outcome(p.client.send('pay'));
    const ids = new Set();
    for (let n = 0; n < 3; n++) {
      assert.equal(o.failed, undefined);
      ids.add(p.socket().sent[0].id);
      p.socket().ends(1006);
      await back(p, { once: { for: 86_400, most: 10 } });
    }
    await settle();
    assert.deepEqual([o.failed, ids.size, p.socket().sent.length], ['unsure', 1, 0]);
    p.client.close();
  },
  async 'with once it is sent again only while the server knows it'() {
    const p = await open({ once: { for: 4, most: 10 } }); // after 1008 it comes back in 30 s
    const o = outcome(p.client.send('pay'));
    p.socket().ends(1008);
    await back(p, { once });
    await settle();
    assert.deepEqual([o.failed, p.socket().sent.length], ['unsure', 0]);
    p.client.close();
  },
  async 'a message that ends the connection is not sent again'() {
    for (const code of [1002, 1003, 1007, 1009, 1011]) {
      const p = await open({ once });
      const o = outcome(p.client.send('poison'));
      p.socket().ends(code);
      const after = outcome(p.client.send('after'));
      await back(p, { once });
      assert.deepEqual([o.failed, p.socket().sent.map((m) => m.data)], ['unsure', ['after']], String(code));
      p.client.close();
      await settle();
      assert.equal(after.failed, 'closed');
    }
  },
  async 'no more are in flight than the server takes'() {
    const p = await open({ once: { for: 60, most: 2 } });
    const all = [1, 2, 3].map((n) => outcome(p.client.send(n)));
    assert.equal(p.socket().sent.length, 2);
    p.socket().gets({ re: p.socket().sent[0].id });
    assert.equal(p.socket().sent.length, 3);
    await settle();
    assert.deepEqual(all[0], { reply: null });
    p.client.close();
  },
  async 'what waits is bounded in number and in length'() {
    const p = page({ most: 3, bytes: 200 });
    const all = ['a', 'b', 'x'.repeat(200), 'c', 'd'].map((text) => outcome(p.client.send(text)));
    await settle();
    assert.deepEqual(all.map((o) => o.failed), [undefined, undefined, 'full', undefined, 'full']);
    p.socket().hello();
    for (const m of p.socket().sent) p.socket().gets({ re: m.id });
    const again = outcome(p.client.send('x'.repeat(150)));
    await settle();
    assert.equal(again.failed, undefined);
    p.client.close();
  },
  async 'what the browser cannot pass on waits'() {
    const p = await open({});
    p.socket().bufferedAmount = 100_000;
    const o = outcome(p.client.send('x'));
    await pass(1000);
    assert.equal(p.socket().sent.length, 0);
    p.socket().bufferedAmount = 0;
    await pass(100);
    assert.equal(p.socket().sent.length, 1);
    p.client.close();
    await settle();
    assert.equal(o.failed, 'closed');
  },
  async 'a timeout ends the wait for a reply'() {
    const p = await open({});
    const o = outcome(p.client.send('x', { timeout: 1000 }));
    const quick = outcome(p.client.send('y', { timeout: 1000 }));
    p.socket().gets({ re: p.socket().sent[1].id, data: 1 });
    await pass(1001);
    p.socket().gets({ re: p.socket().sent[0].id, data: 2 });
    await settle();
    assert.deepEqual([o, quick], [{ failed: 'timeout', data: undefined }, { reply: 1 }]);
    p.client.close();
  },
  async 'a failure carries the error_message'() {
    const p = await open({});
    const o = outcome(p.client.send('x'));
    p.socket().gets({ re: p.socket().sent[0].id, error: 'failed', data: { sorry: 1 } });
    await settle();
    assert.deepEqual(o, { failed: 'failed', data: { sorry: 1 } });
    p.client.close();
  },
  async 'a handler that throws has had its message'() {
    const p = await open({ resume: 'ok' });
    console.error = () => {};
    p.socket().gets({ id: '5-0-a', data: 'throw' });
    console.error = silent;
    p.socket().ends(1006);
    await pass(5001);
    assert.equal(p.socket().url.searchParams.get('ws_last'), '5-0-a');
    p.client.close();
  },
  async 'a relayed frame has its sender, and no other message has'() {
    const p = await open({});
    p.own.gets({ from: 'user:7', data: 'c:1' });
    p.own.gets({ from: 'conn:c2', base64: 'AA==' });
    p.own.gets({ data: { from: 'user:1', data: 'a script has said so' } });
    assert.deepEqual([p.told.from, p.told.messages[1]], [['user:7', 'conn:c2', undefined], new Uint8Array([0])]);
    p.client.close();
  },
  async 'a silent path is given up after two and a half pings'() {
    const p = await open({});
    await pass(62_400);
    assert.equal(p.told.waits.length, 0);
    p.socket().gets({});
    await pass(62_400);
    assert.equal(p.told.waits.length, 0);
    await pass(200);
    assert.deepEqual([p.told.waits.length, Socket.all[0].closed], [1, true]);
    p.client.close();
  },
  async 'a hello that does not come is given up after fifteen seconds'() {
    const p = page();
    await pass(15_001);
    assert.equal(p.told.waits.length, 1);
    p.client.close();
  },
  async 'a page that is seen again, or online, looks at once'() {
    for (const event of ['visibilitychange', 'pageshow', 'online']) {
      const p = await open({});
      now += 100_000; // timers stood still
      listeners[event]();
      assert.ok(Socket.all[0].closed, event);
      await settle();
      assert.equal(Socket.all.length, 2, event);
      p.socket().hello();
      listeners[event](); // all is well
      assert.equal(p.socket().closed, undefined);
      p.socket().ends(1008);
      hidden = true;
      listeners[event]();
      await settle();
      assert.equal(Socket.all.length, 2, event);
      hidden = false;
      listeners[event]();
      await settle();
      assert.equal(Socket.all.length, 3, event);
      p.client.close();
      assert.equal(listeners[event], undefined);
    }
  },
  async 'retry ends a wait, and nothing else'() {
    const p = await open({});
    p.client.retry();
    assert.equal(Socket.all.length, 1);
    p.socket().ends(1008);
    p.client.retry();
    p.client.retry();
    await settle();
    assert.equal(Socket.all.length, 2);
    p.client.close();
    p.client.retry();
    await pass(100_000);
    assert.equal(Socket.all.length, 2);
  },
  async 'a plain route gets and gives payloads as they are'() {
    const p = page({ plain: true });
    const o = outcome(p.client.send({ a: 1 }));
    await settle();
    p.socket().onopen();
    await settle();
    assert.deepEqual([p.socket().protocols, p.socket().sent, o], [[], [{ a: 1 }], { reply: null }]);
    p.socket().onmessage({ data: 'text' });
    p.socket().onmessage({ data: new Uint8Array([1, 2]).buffer });
    assert.deepEqual(p.told.messages, ['text', new Uint8Array([1, 2])]);
    p.socket().ends(1006);
    await pass(5001);
    assert.equal(Socket.all.length, 2);
    p.client.close();
  },
  async 'an address that cannot be had is asked for again'() {
    let asked = 0;
    const p = page({}, () => { if (++asked < 3) throw new Error('offline'); return 'ws://h/ws'; });
    await pass(15_001);
    assert.equal(Socket.all.length, 1);
    p.client.close();
  },
};

const listeners = {};
let hidden = false;
const listen = { addEventListener: (name, run) => { listeners[name] = run; }, removeEventListener: (name) => { delete listeners[name]; } };
Object.assign(globalThis, listen, { document: { get hidden() { return hidden; }, ...Object.fromEntries(Object.entries(listen)) } });

for (const [name, holds] of Object.entries(rules)) {
  timers = [];
  try {
    await holds();
  } catch (error) {
    error.message = `${name}: ${error.message}`;
    throw error;
  }
  console.log(name);
}
