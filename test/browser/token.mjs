// The page of the token example: node token.mjs URL. It logs in by the chat and
// connects. The test closes its socket with 4401 when asked by a line "do expire".
import { createInterface } from 'node:readline';
import { open } from './lib.mjs';

const [url] = process.argv.slice(2);
const { browser, done } = await open();
const answers = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

try {
  const page = await (await browser.newContext()).newPage();
  page.setDefaultTimeout(15_000);
  await page.goto(`${url}/index.php`);
  await page.fill('#name', 'Ann');
  await page.click('button.primary');
  await page.waitForURL('**/room.php');
  await page.goto(`${url}/token/`);
  const logged = (words, times) => page.waitForFunction(
    ([words, times]) => document.querySelector('#log').textContent.split(words).length > times, [words, times]);

  await page.click('#issue');
  await logged('a token for', 1);
  await page.click('#protocol');
  await logged('"hello":"Ann"', 1);
  console.log('do expire');
  await answers.next();
  await logged('closed: 4401', 1);
  await logged('"hello":"Ann"', 2);
  console.log('ok it comes back with a new token');

  console.log('do expire');
  await answers.next();
  await logged('the new token was refused too', 1);
  console.log('ok it does not try for ever');
} catch (e) {
  console.log(`failed: ${e.message}`);
  process.exitCode = 1;
} finally {
  await done();
  process.stdin.destroy();
}
