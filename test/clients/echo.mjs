// Echoes messages of every size through the URL given, by Node's ws. Prints one
// line, "ok N", when all N messages came back as they went.
import { createRequire } from 'node:module';
import { randomBytes } from 'node:crypto';

const require = createRequire(new URL('../browser/package.json', import.meta.url));
const WebSocket = require('ws');

const sizes = [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20];
const ws = new WebSocket(process.argv[2], { perMessageDeflate: false });
const waiting = [];
ws.on('message', (data, binary) => waiting.shift()({ data, binary }));
ws.on('close', (code) => fail(`closed with ${code}`));
ws.on('error', (e) => fail(e.message));
const next = () => new Promise((resolve) => waiting.push(resolve));
let over = false;

function fail(why) {
  if (over) return;
  console.error(why);
  process.exit(1);
}

function send(data, binary, frames) {
  const step = Math.max(1, Math.ceil(data.length / frames));
  for (let i = 0; i < data.length || i === 0; i += step) {
    ws.send(data.subarray(i, i + step), { binary, fin: i + step >= data.length });
  }
}

function text(size) {
  const body = Buffer.from('aü€😀'.repeat(Math.ceil(size / 10)));
  let end = size;
  while (end > 0 && end < body.length && (body[end] & 0xc0) === 0x80) end--;
  return Buffer.concat([body.subarray(0, end), Buffer.alloc(size - end, 'x')]);
}

ws.on('open', async () => {
  let done = 0;
  for (const size of sizes) {
    for (const binary of [true, false]) {
      const data = binary ? randomBytes(size) : text(size);
      for (const frames of [1, 5]) {
        // PHP answers nothing to an empty message, by contract.
        const back = size === 0 ? null : next();
        send(data, binary, frames);
        if (back) {
          const got = await back;
          if (got.binary !== binary || !data.equals(got.data)) {
            fail(`${size} bytes, binary ${binary}: got ${got.data.length} bytes, binary ${got.binary}`);
          }
        }
        done++;
      }
    }
  }
  over = true;
  ws.close(1000);
  ws.on('close', (code) => { console.log('ok', done); process.exit(code === 1000 ? 0 : 1); });
});
