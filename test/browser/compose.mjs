// Two screenshots become one picture for the documentation, a desktop's window and a phone:
// node compose.mjs DESKTOP PHONE FILE.
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { open } from './lib.mjs';

const inline = png => `data:image/png;base64,${png.toString('base64')}`;

function composition(desktop, phone) {
  return `<!doctype html><style>
    * { box-sizing: border-box; margin: 0 }
    body { width: 1540px; height: 790px; position: relative }
    img { display: block }
    .window { position: absolute; left: 20px; top: 16px; width: 1102px; border: 1px solid #c9cdd8; border-radius: 14px; overflow: hidden; box-shadow: 0 14px 22px rgb(20 25 40 / .22) }
    .bar { height: 36px; display: flex; align-items: center; gap: 8px; padding: 0 14px; background: #dfe2ea }
    .bar i { width: 12px; height: 12px; border-radius: 50%; background: #b4bac8 }
    .window img { width: 1100px; height: 700px }
    .phone { position: absolute; right: 20px; top: 72px; padding: 11px; border-radius: 40px; background: #05060a; border: 2px solid #3c414e; box-shadow: 0 14px 22px rgb(20 25 40 / .32) }
    .phone img { width: 351px; height: 630px; border-radius: 28px }
  </style>
  <div class="window"><div class="bar"><i></i><i></i><i></i></div><img src="${desktop}"></div>
  <div class="phone"><img src="${phone}"></div>`;
}

/** compose writes the picture of two screenshots, 1100 × 700 and 390 × 700 in proportion. */
export async function compose(browser, desktop, phone, file) {
  const sheet = await browser.newPage({ viewport: { width: 1540, height: 790 }, deviceScaleFactor: 1.3 });
  await sheet.setContent(composition(inline(desktop), inline(phone)));
  await sheet.screenshot({ path: file, omitBackground: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [desktop, phone, file] = process.argv.slice(2);
  const { browser, done } = await open();
  try {
    await compose(browser, await readFile(desktop), await readFile(phone), file);
  } finally {
    await done();
  }
}
