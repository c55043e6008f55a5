// People in the chat, for the programs that drive it.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { open } from './lib.mjs';

/**
 * visit opens a browser, and returns what its people do: enter, say and shot; ask, which lets the test that started this
 * program do something outside of the browser, by a line "do WORD"; and end, to be called at the end with the error, if any.
 */
export async function visit(shots) {
  const { browser, done } = await open();
  const input = createInterface({ input: process.stdin });
  const answers = input[Symbol.asyncIterator]();

  async function ask(word) {
    console.log(`do ${word}`);
    return (await answers.next()).value;
  }

  // before is a script that runs in the person's pages before their own.
  async function enter(url, name, before = '') {
    const context = await browser.newContext({ viewport: { width: 900, height: 640 } });
    await context.addInitScript(before);
    const page = await context.newPage();
    page.setDefaultTimeout(15_000);
    page.on('pageerror', (error) => {
      console.log(`failed: the page of ${name}: ${error}`);
      process.exitCode = 1;
    });
    await page.goto(`${url}/index.php`);
    await page.fill('#name', name);
    await page.click('button.primary');
    await page.waitForSelector('#state[data-state=open]');
    return page;
  }

  async function say(page, words) {
    await page.fill('#text', words);
    await page.press('#text', 'Enter');
  }

  const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

  async function end(error) {
    if (error) {
      console.log(`failed: ${error.message}`);
      process.exitCode = 1;
      for (const [i, context] of browser.contexts().entries()) {
        for (const page of context.pages()) await shot(page, `failed-${i}`).catch(() => {});
      }
    }
    await done();
    input.close();
    process.stdin.destroy();
  }
  return { ask, enter, say, shot, end };
}
