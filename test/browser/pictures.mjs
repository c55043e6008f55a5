// Five people chat, and what two of them see becomes one picture for the README:
// node pictures.mjs CHAT_URL REDIS_URL FILE. scripts/pictures starts it.
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { compose } from './compose.mjs';
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

  await compose(browser, await ann.screenshot(), await dara.screenshot(), file);
} finally {
  await done();
}
