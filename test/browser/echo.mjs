// Chromium echoes text and binary messages from 0 bytes to 16 MiB through the
// gateway: node echo.mjs PAGE_URL WS_URL. Prints "ok N".
import { open } from './lib.mjs';

const [page_url, ws_url] = process.argv.slice(2);
const { browser, done } = await open();
try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(page_url);
  const result = await page.evaluate(async (url) => {
    const ws = new WebSocket(url);
    ws.binaryType = 'arraybuffer';
    const next = () => new Promise((resolve, reject) => {
      ws.onmessage = (e) => resolve(e.data);
      ws.onclose = (e) => reject(new Error(`closed with ${e.code}`));
    });
    await new Promise((resolve, reject) => { ws.onopen = resolve; ws.onerror = () => reject(new Error('not opened')); });
    let n = 0;
    for (const size of [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]) {
      const binary = new Uint8Array(size);
      for (let i = 0; i < size; i++) binary[i] = (i * 31 + (i >> 8)) & 255;
      const text = ('aü€😀'.repeat(Math.floor(size / 10))) + 'x'.repeat(size % 10);
      if (size === 0) {            // PHP answers nothing to an empty message, by contract
        ws.send(binary);
        ws.send('');
        n += 2;
        continue;
      }
      let back = next();
      ws.send(binary);
      const bytes = new Uint8Array(await back);
      if (bytes.length !== size || bytes.some((b, i) => b !== binary[i])) return `binary ${size}: got ${bytes.length}`;
      back = next();
      ws.send(text);
      const words = await back;
      if (words !== text) return `text ${size}: got ${words.length} of ${text.length}`;
      n += 2;
    }
    const closed = new Promise((resolve) => { ws.onclose = (e) => resolve(e.code); });
    ws.close(1000);
    const code = await closed;
    return code === 1000 ? `ok ${n}` : `closed with ${code}`;
  }, ws_url);
  console.log(result);
  if (!result.startsWith('ok')) process.exitCode = 1;
} finally {
  await done();
}
