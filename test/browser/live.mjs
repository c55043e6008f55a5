// Two people type into the documented chat, in a Chromium each, while nodes are killed: node live.mjs SITE_URL. Prints
// "ok N" when each page shows what was acknowledged, once, and both show the same.
import { createInterface } from 'node:readline';
import { open } from './lib.mjs';

const [site] = process.argv.slice(2);
const input = createInterface({ input: process.stdin });
const answers = input[Symbol.asyncIterator]();
const ask = async (word) => {
  console.log(`do ${word}`);
  await answers.next();
};

const { browser, done } = await open();
try {
  const people = ['Ann', 'Bob'];
  const pages = await Promise.all(people.map(async (user) => {
    const page = await (await browser.newContext()).newPage();
    page.on('pageerror', (error) => console.log(`${user}: ${error}`));
    await page.goto(`${site}/login.php?user=${user}`);
    await page.waitForFunction(() => window.live);
    return page;
  }));
  const sent = [];
  const type = async (round) => {
    await Promise.all(pages.map(async (page, i) => {
      for (let n = 0; n < 40; n++) {
        const text = `${people[i]} ${round}.${n}`;
        const acknowledged = await page.evaluate((text) => window.live.send(text).then(() => true, () => false), text);
        if (acknowledged) sent.push(text);
      }
    }));
  };
  await type(1);
  const typing = type(2);
  await ask('kill');
  await typing;
  await ask('start');
  const again = type(3);
  await ask('kill the other');
  await again;
  await type(4);

  const rows = (page) => page.evaluate(() => window.rows);
  const wrong = async () => {
    const [a, b] = await Promise.all(pages.map(rows));
    for (const [i, list] of [a, b].entries()) {
      if (new Set(list).size !== list.length) return `${people[i]} sees a message twice`;
      const missing = sent.filter((text) => !list.includes(text));
      if (missing.length) return `${people[i]} misses ${missing.length}, such as ${missing[0]}`;
    }
    return a.join() === b.join() ? '' : 'the pages differ';
  };
  let problem = await wrong();
  for (const end = Date.now() + 60_000; problem && Date.now() < end; problem = await wrong()) await new Promise((resolve) => setTimeout(resolve, 200));
  if (problem) throw new Error(problem);
  console.log(`ok ${sent.length} of ${people.length * 4 * 40} acknowledged`);
} finally {
  input.close();
  await done();
}
