// How pusher-js comes back after each close code given as argument: it says which socket is to be closed, then what it did.
import { page, until } from './clients.mjs';

await Promise.all(process.argv.slice(2).map(Number).map(async (code) => {
  const p = await page();
  const began = Date.now();
  let end;
  p.connection.bind('state_change', ({ current }) => { if (current === 'disconnected' || current === 'connected') end = current; });
  console.log(JSON.stringify({ socket: p.connection.socket_id, code }));
  await until('a decision', () => end);
  console.log(JSON.stringify({ code, back: end === 'connected', seconds: (Date.now() - began) / 1000 }));
}));
process.exit(0);
