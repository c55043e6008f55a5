// A page that is stopped by its test while it is sent more than it can have: it says its close code, and that it is back.
import { page, subscribe, until } from './clients.mjs';

const p = await page();
await subscribe(p, 'flood');
const first = p.connection.socket_id;
const codes = new Set(); // pusher-js says each one twice
p.connection.bind('error', ({ data, error }) => codes.add((data ?? error.data).code));
console.log('stop');
await until('a new connection', () => p.connection.state === 'connected' && p.connection.socket_id !== first);
await until('the subscription', () => p.channel('flood').subscribed);
console.log([...codes].join());
console.log('back');
process.exit(0);
