// Presence over the death of a node: the first port's node is killed when this program says so.
import { equal, events, get, members, page, subscribe, until } from './clients.mjs';

const [dying, other] = process.env.PORTS.split(',').map(Number);
const patience = 90_000;                                     // a node is dead after 45 s without a beat

const stays = await subscribe(await page('ann', {}, other), 'presence-room');
const [lost, back] = [await page('bob', {}, dying), await page('eve', {}, dying)];
for (const p of [lost, back]) await subscribe(p, 'presence-room');
await until('all', () => members(stays) === 'ann,bob,eve');
console.log('kill');
await until('the end of the node', () => lost.connection.state !== 'connected' && back.connection.state !== 'connected');
lost.disconnect();
back.disconnect();
const again = await subscribe(await page('eve', {}, other), 'presence-room');
await until('bob to leave', () => members(stays) === 'ann,eve' && members(again) === 'ann,eve', patience);
await until('one connection less', async () => (await get('/channels/presence-room', { info: 'subscription_count' })).subscription_count === 2, patience);
equal('leaving', events(stays, 'pusher:member_removed').map(([, m]) => m.id), ['bob']);
equal('joining', events(stays, 'pusher:member_added').map(([, m]) => m.id), ['bob', 'eve']);
equal('users', (await get('/channels/presence-room/users')).users.map((u) => u.id).sort(), ['ann', 'eve']);
console.log('ok');
process.exit(0);
