// Five people chat, and what two of them see becomes one picture for the README:
// node pictures.mjs CHAT_URL REDIS_URL FILE. scripts/pictures starts it.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { open } from './lib.mjs';

const [chat, redis, file] = process.argv.slice(2);
const push = fileURLToPath(new URL('../../examples/php/push.php', import.meta.url));
const { browser, done } = await open();

/** A person at their own browser; options are those of a Playwright context. */
async function person(name, options = {}) {
  const context = await browser.newContext({ locale: 'en-GB', reducedMotion: 'reduce', ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`${chat}/index.php`);
  await page.fill('#name', name);
  await page.click('button.primary');
  await here(page, name);
  return page;
}

const here = (page, name) => page.locator('#people li', { hasText: name }).waitFor({ state: 'attached' });
const sees = (page, words) => page.locator('#log li', { hasText: words }).waitFor();

/** Writes, and waits until the server has confirmed it: then the bubble is no longer pale. */
async function say(page, words) {
  await page.fill('#text', words);
  await page.press('#text', 'Enter');
  await page.locator('#log .message:not(.waiting)', { hasText: words }).waitFor();
}

/** Reloads a page that is to be looked at: who came in before is no longer told there. */
async function again(page) {
  await page.reload();
  await page.waitForSelector('#state[data-state=open]');
}

const picture = page => page.screenshot().then(png => `data:image/png;base64,${png.toString('base64')}`);

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

try {
  const bob = await person('Bob');
  const chen = await person('Chen');
  const dara = await person('Dara', { viewport: { width: 390, height: 700 }, colorScheme: 'dark', deviceScaleFactor: 2, hasTouch: true });
  const ann = await person('Ann', { viewport: { width: 1100, height: 700 }, colorScheme: 'light', deviceScaleFactor: 1.5 });
  await again(dara);
  await again(ann);
  await here(ann, 'Dara');

  await say(bob, 'Morning! Is the checkout live?');
  await say(chen, 'Going out now, two minutes.');
  const emil = await person('Emil');
  await sees(ann, 'Emil has come in');
  await say(emil, 'Hi all, train was late. Did I miss it?');
  await promisify(execFile)('php', [push, '--redis', redis, 'channel:room.lobby', 'Deploy finished: shop 4.2 is live']);
  await Promise.all([sees(ann, 'Deploy finished'), sees(dara, 'Deploy finished')]);
  await say(chen, 'The median is 180 ms. It was 420 before!');
  await dara.evaluate(() => [...document.querySelectorAll('#people button')].find(b => b.textContent.includes('Ann')).click());
  await say(dara, 'Coffee at ten? I owe you one.');
  await dara.keyboard.press('Escape');
  await say(ann, 'First order: 3 tea pots, paid.');
  await dara.locator('#log', { hasText: 'First order' }).waitFor();
  await emil.locator('#text').pressSequentially('Love');
  await Promise.all([ann, dara].map(page => page.locator('#typing', { hasText: 'Emil is typing' }).waitFor()));

  const [desktop, phone] = [await picture(ann), await picture(dara)];
  const sheet = await browser.newPage({ viewport: { width: 1540, height: 790 }, deviceScaleFactor: 1.3 });
  await sheet.setContent(composition(desktop, phone));
  await sheet.screenshot({ path: file, omitBackground: true });
} finally {
  await done();
}
