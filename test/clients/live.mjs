// Drives client/js/live.js for a test: node live.mjs URL..., of which each attempt takes the next one. Each line of its input is a JSON value to send, or "retry";
// with NO_TIMERS=1 no time ever comes, neither that of the next attempt nor that of a hello. Each
// line of its output is an event: {"state", "detail"}, {"message", "from"}, {"part", "of"}, {"reply", "to"} or {"failed", "to"}.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { Live } from '../../client/js/live.js';

const require = createRequire(new URL('../browser/package.json', import.meta.url));
const WebSocket = require('ws');

const plain = (value) => (value instanceof Uint8Array ? { bytes: [...value] } : value);
const say = (event) => console.log(JSON.stringify(event, (_, value) => plain(value)));

const urls = process.argv.slice(2);
if (process.env.NO_TIMERS) globalThis.setTimeout = () => 1;
let attempt = 0;
const live = new Live(() => urls[attempt++ % urls.length], {
  message: (data, from) => say({ message: data, from }),
  state: (state, detail) => say({ state, detail }),
}, { WebSocket });

let count = 0;
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'retry') {
    live.retry();
    continue;
  }
  const to = ++count;
  live.send(JSON.parse(line), { part: (part) => say({ part, of: to }) })
    .then((reply) => say({ reply: reply ?? null, to }), (error) => say({ failed: error.reason, data: error.data, to }));
}
live.close();
