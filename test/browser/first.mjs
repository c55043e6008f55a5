// A visitor of the first page: node first.mjs PAGE_URL. Writes a text, and prints "echoed"
// when the page shows its echo; then prints "pushed" when the page shows a push.
import { open } from './lib.mjs';

const { browser, done } = await open();
try {
  const page = await (await browser.newContext()).newPage();
  await page.goto(process.argv[2]);
  await page.waitForFunction(() => document.querySelector('#text').onchange); // the socket is open
  await page.fill('#text', 'hello');
  await page.press('#text', 'Enter');
  await page.locator('li', { hasText: 'echo: hello' }).waitFor({ timeout: 60_000 });
  console.log('echoed');
  await page.locator('li', { hasText: 'hello from PHP' }).waitFor({ timeout: 120_000 });
  console.log('pushed');
} finally {
  await done();
}
