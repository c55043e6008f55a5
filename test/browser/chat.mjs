// Two people on two nodes use the chat: node chat.mjs URL_ONE URL_TWO SHOTS.
// The test that started this program does things outside the browser when asked
// by a line "do WORD", and answers with a line on standard input.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { open } from './lib.mjs';

const [one, two, shots] = process.argv.slice(2);
const { browser, done } = await open();
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function ask(word) {
  console.log(`do ${word}`);
  return (await answers.next()).value;
}

async function enter(url, name) {
  const context = await browser.newContext({ viewport: { width: 900, height: 640 } });
  const page = await context.newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`${url}/index.php`);
  await page.fill('#name', name);
  await page.click('button.primary');
  await page.waitForSelector('#state[data-state=open]');
  return page;
}

const text = (page, words) => page.locator('#log .message p.text', { hasText: words }).first().waitFor();
const here = (page, name) => page.locator('#people', { hasText: name }).waitFor();
const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

async function say(page, words) {
  await page.fill('#text', words);
  await page.press('#text', 'Enter');
}

try {
  const ann = await enter(one, 'Ann');
  const bob = await enter(two, 'Bob');
  await Promise.all([here(ann, 'Bob'), here(bob, 'Ann')]);
  console.log('ok both are here');

  await say(ann, 'Hello from node one');
  await Promise.all([text(ann, 'Hello from node one'), text(bob, 'Hello from node one')]);
  await say(bob, 'Grüße from node two');
  await Promise.all([text(ann, 'Grüße from node two'), text(bob, 'Grüße from node two')]);
  await Promise.all([shot(ann, 'chat-ann'), shot(bob, 'chat-bob')]);
  console.log('ok they chat');

  await ask('push');
  await bob.locator('#log .notice.push', { hasText: 'Only for Bob' }).waitFor();
  await say(ann, 'After the push');
  await text(ann, 'After the push');
  if (await ann.locator('#log', { hasText: 'Only for Bob' }).count() > 0) throw new Error('Ann got the push for Bob');
  await shot(bob, 'push-bob');
  console.log('ok a push reaches one person only');

  // Bob's node ends: his page must come back by itself and miss nothing.
  const away = bob.waitForSelector('#state:not([data-state=open])', { state: 'attached' });
  await ask('stop');
  await away;
  await shot(bob, 'away-bob');
  await say(ann, 'While Bob was away');
  await ask('start');
  await bob.waitForSelector('#state[data-state=open]', { timeout: 45_000 });
  await Promise.all([text(bob, 'While Bob was away'), here(ann, 'Bob')]);
  await say(bob, 'Back again');
  await text(ann, 'Back again');
  await Promise.all([shot(ann, 'back-ann'), shot(bob, 'back-bob')]);
  console.log('ok he comes back by himself');

  // Ann logs out in another tab: with her next message the chat ends, for good.
  const tab = await ann.context().newPage();
  await tab.goto(`${one}/room.php`);
  await tab.click('button[name=logout]');
  await tab.waitForURL('**/index.php');
  await tab.close();
  await say(ann, 'Am I still here?');
  await ann.waitForSelector('#state[data-state=stopped]');
  await ann.locator('#banner-text', { hasText: 'you have logged out' }).waitFor();
  await ann.evaluate(() => { window.dispatchEvent(new Event('online')); document.dispatchEvent(new Event('visibilitychange')); });
  await ann.waitForSelector('#state[data-state=stopped]');
  console.log('ok who has logged out stays away');
} catch (e) {
  console.log(`failed: ${e.message}`);
  for (const [i, context] of browser.contexts().entries()) {
    for (const page of context.pages()) await page.screenshot({ path: join(shots, `failed-${i}.png`) }).catch(() => {});
  }
  process.exitCode = 1;
} finally {
  await done();
  process.stdin.destroy();
}
