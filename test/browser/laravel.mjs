// Two people with Laravel Echo, one of them in two tabs: node laravel.mjs URL. Asks for a "restart" of the gateway, and to "notify". Prints "ok".
import { createInterface } from 'node:readline';
import { isDeepStrictEqual } from 'node:util';
import { open } from './lib.mjs';

const [url] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });
const lines = input[Symbol.asyncIterator]();
const ask = async (word) => {
  console.log(`do ${word}`);
  await lines.next();
};
const { browser, done } = await open();

/** person logs in, and returns a function that opens a tab. */
async function person(id) {
  const context = await browser.newContext();
  const page = await context.newPage();
  if (id) await page.goto(`${url}/login?id=${id}`);
  await page.close();
  return async () => {
    const tab = await context.newPage();
    tab.on('pageerror', (error) => { throw error; });
    await tab.goto(`${url}/page.html`);
    await tab.waitForFunction(() => window.echo?.socketId());
    return tab;
  };
}

/** shows waits until a tab has shown exactly this since the last call, in any order. */
async function shows(tab, what, ...want) {
  const people = (about) => (Array.isArray(about) ? about.toSorted((a, b) => a.id - b.id) : about);
  const sorted = (all) => all.map(([name, about]) => JSON.stringify([name, people(about)])).sort();
  const end = Date.now() + 20_000;
  for (;;) {
    const got = await tab.evaluate(() => window.shown);
    if (isDeepStrictEqual(sorted(got), sorted(want))) break;
    if (Date.now() > end) throw new Error(`${what}: shown is ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
    await tab.waitForFunction((n) => window.shown.length !== n, got.length, { timeout: 20_000 }).catch(() => {});
  }
  await tab.evaluate(() => { window.shown.length = 0; });
}

const get = (tab, path) => tab.evaluate(async (to) => {
  const answer = await fetch(to, { headers: { 'X-Socket-ID': window.echo.socketId() } });
  return answer.text();
}, path);

const [annInfo, bobInfo] = [{ id: 7, name: 'Ann' }, { id: 9, name: 'Bob' }];
const refused = ['refused', { type: 'AuthError', status: 403 }];

try {
  const [annOpens, bobOpens] = [await person(7), await person(9)];
  const ann = await annOpens();
  await shows(ann, 'alone', ['here', [annInfo]]);
  const bob = await bobOpens();
  await shows(bob, 'the second person', ['here', [annInfo, bobInfo]], refused);
  await shows(ann, 'the second person comes', ['joining', bobInfo]);
  const again = await annOpens();
  await shows(again, 'a second tab', ['here', [annInfo, bobInfo]]);

  // A guest hears of public channels only.
  const guest = await (await person(0))();
  await shows(guest, 'a guest', refused);

  await ann.evaluate(() => window.echo.join('room.1').whisper('typing', { by: 'Ann' }));
  await shows(bob, 'a whisper', ['typing', { by: 'Ann' }]);
  await shows(again, 'a whisper', ['typing', { by: 'Ann' }]);

  // toOthers: the tab that sends hears nothing of it, the other tab of the same person does.
  if (await get(ann, '/ship') !== 'shipped') throw new Error('not shipped');
  await shows(again, 'a private channel', ['order', { order: 7 }], ['shop', { order: 7 }]);
  await shows(bob, 'a public channel', ['shop', { order: 7 }]);
  await shows(guest, 'a public channel', ['shop', { order: 7 }]);
  await shows(ann, 'the tab that has sent it');

  await ann.close();
  await again.evaluate(() => window.echo.join('room.1').whisper('typing', { by: 'the other tab' }));
  await shows(bob, 'one of two tabs closes', ['typing', { by: 'the other tab' }]);
  await again.evaluate(() => window.echo.leave('room.1'));
  await shows(bob, 'the last tab leaves', ['leaving', annInfo]);
  await again.evaluate(() => window.echo.join('room.1').here((people) => window.shown.push(['back', people.length])));
  await shows(again, 'back', ['back', 2]);
  await shows(bob, 'back', ['joining', annInfo]);

  await again.evaluate(() => {
    window.all = (event, data) => window.shown.push(['all', { event, data }]);
    window.told = (data) => window.shown.push(['told', data]);
    window.echo.private('orders.7').notification(window.told).listenToAll(window.all);
  });
  await ask('notify');
  await shows(again, 'a notification', ['told', { id: 1 }], ['all', { event: '.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated', data: { id: 1 } }]);
  await again.evaluate(() => window.echo.private('orders.7').stopListeningForNotification(window.told));
  await get(bob, '/ship');
  await shows(again, 'all events', ['order', { order: 7 }], ['shop', { order: 7 }], ['all', { event: 'OrderShipped', data: { order: 7 } }]);
  await ask('notify');
  await shows(again, 'one listener less', ['all', { event: '.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated', data: { id: 1 } }]);
  await again.evaluate(() => window.echo.private('orders.7').stopListeningToAll(window.all));

  // The gateway restarts: all is subscribed again.
  await ask('restart');
  for (const [tab, what] of [[again, 'back'], [bob, 'here']]) {
    await tab.waitForFunction((name) => window.shown.some(([of]) => of === name), what, { timeout: 20_000 });
  }
  await again.waitForFunction(() => window.echo.private('orders.7').isSubscribed, null, { timeout: 20_000 });
  await again.evaluate(() => { window.shown.length = 0; });
  await bob.evaluate(() => { window.shown.length = 0; });
  if (await get(bob, '/ship') !== 'shipped') throw new Error('not shipped');
  await shows(again, 'after a restart', ['order', { order: 7 }], ['shop', { order: 7 }]);
  await bob.evaluate(() => window.echo.join('room.1').whisper('typing', 1));

  // A right ends.
  await get(bob, '/revoke?id=7&channel=private-orders.7');
  await shows(again, 'a right ends', refused);
  await get(bob, '/revoke?id=7&channel=presence-room.1');
  await shows(bob, 'a right ends', ['leaving', annInfo]);
  await again.waitForFunction(() => !window.echo.join('room.1').isSubscribed);
  await get(bob, '/ship');
  await shows(again, 'without the right', ['shop', { order: 7 }]);
  await bob.evaluate(() => window.echo.join('room.1').whisper('typing', 2));
  await get(bob, '/ship');
  await shows(again, 'without the right', ['shop', { order: 7 }]);
  await shows(bob, 'the one who has sent it');

  // Redis is away: the page asks again until there is an answer.
  await ask('stop redis');
  await again.evaluate(() => window.echo.join('room.2').here((people) => window.shown.push(['in room 2', people])).error((e) => window.shown.push(['not yet', e])));
  await again.waitForFunction(() => window.shown.some(([what]) => what === 'not yet'), null, { timeout: 20_000 });
  await ask('start redis');
  await again.waitForFunction(() => window.shown.some(([what]) => what === 'in room 2'), null, { timeout: 30_000 });

  const encrypted = await bob.evaluate(() => {
    try {
      window.echo.encryptedPrivate('x');
    } catch (error) {
      return error.message;
    }
  });
  if (encrypted !== 'Broadcaster function WsfpmConnector does not support encrypted private channels.') throw new Error(`encrypted: ${encrypted}`);

  // A login that ends: the page comes back as a guest, and may join public channels only.
  await get(bob, '/logout');
  const before = await bob.evaluate(() => {
    window.echo.private('any.1').error((e) => window.shown.push(['ended', e.status]));
    return window.echo.socketId();
  });
  await bob.waitForFunction((id) => (window.echo.socketId() ?? id) !== id, before, { timeout: 20_000 });
  await bob.waitForFunction(() => window.shown.some(([what, status]) => what === 'ended' && status === 403), null, { timeout: 20_000 });

  await bob.evaluate(() => window.echo.disconnect());
  if (await bob.evaluate(() => window.echo.connectionStatus()) !== 'disconnected') throw new Error('not disconnected');
  await again.close();
  console.log('ok');
} finally {
  input.close();
  await done();
}
