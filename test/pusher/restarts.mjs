// Pages come and go in a presence channel while their nodes are restarted: each line "restart" waits for a line that says that
// it is done. In the end all must agree.
import { createInterface } from 'node:readline';
import { Pusher, equal, get, key, members, options, until } from './clients.mjs';

const [count, people, rounds, name] = [40, 12, Number(process.argv[2]), 'presence-restarts'];
const pause = (most) => new Promise((done) => setTimeout(done, most * Math.random()));
const pages = Array.from({ length: count }, (_, i) => {
  const who = `user-${i % people}`;
  const p = new Pusher(key, options(who));
  p.connection.bind('error', () => {});
  return { p, who, stays: i % 4 !== 0 };
});

let over = false;
let changes = 0;
const coming = pages.map(async ({ p }) => {
  while (!over) {
    p.subscribe(name);
    await pause(1500);
    if (!over) p.unsubscribe(name);
    await pause(500);
    changes++;
  }
});
const done = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
for (let round = 0; round < rounds; round++) {
  const began = changes;
  await until('all pages', () => changes > began + count && pages.every(({ p }) => p.connection.state === 'connected'));
  console.log('restart');
  await done.next();
}
over = true;
await Promise.all(coming);
await until('all pages', () => pages.every(({ p }) => p.connection.state === 'connected'));
await Promise.all(pages.map(({ p, stays }) => (stays ? p.subscribe(name) : until('the end of a subscription', () => {
  p.unsubscribe(name);                                       // pusher-js forgets it when the connection breaks while it subscribes
  return !p.channel(name);
}))));

const here = pages.filter(({ stays }) => stays);
const want = [...new Set(here.map(({ who }) => who))].sort().join();
const seen = () => here.map(({ p }) => p.channel(name)?.subscribed && members(p.channel(name)));
const long = 90_000;                                         // a node is dead after 45 s without a beat
await until('all to agree', () => seen().every((list) => list === want), long).catch((e) => { throw new Error(`${e.message}: want ${want}, got ${JSON.stringify(seen())}`); });
equal('users', (await get(`/channels/${name}/users`)).users.map((u) => u.id).sort().join(), want);
equal('connections', (await get(`/channels/${name}`, { info: 'subscription_count' })).subscription_count, here.length);
console.log(`${changes} changes`);
process.exit(0);
