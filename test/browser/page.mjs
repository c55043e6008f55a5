// The operators' page in Chromium: node page.mjs FOLDER. It reads what to do from standard
// input, a line of JSON each, and answers with a line of JSON: {"open": URL}, {"width": N},
// {"see": TEXT}, {"find": ADDRESS}, {"send": TEXT}, {"close": true}, {"shot": NAME}, and more.
import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { open } from './lib.mjs';

const [folder] = process.argv.slice(2);
const { browser, done } = await open();
const problems = [];
const foreign = [];
let page;

async function start(url, dark) {
  const context = await browser.newContext({ locale: 'en-GB', colorScheme: dark ? 'dark' : 'light', viewport: { width: 1440, height: 1000 }, deviceScaleFactor: dark ? 2 : 1.5 });
  page = await context.newPage();
  page.setDefaultTimeout(30_000);
  page.on('console', m => m.type() === 'error' && problems.push(m.text()));
  page.on('pageerror', e => problems.push(String(e)));
  page.on('dialog', d => d.accept());
  page.on('request', r => new URL(r.url()).host !== new URL(url).host && foreign.push(r.url()));
  await page.goto(url);
}

/** report is what a test judges. */
const report = () => page.evaluate(() => ({
  title: document.title, url: location.href, text: document.body.innerText, images: document.images.length,
  cookies: document.cookie, stored: JSON.stringify({ ...sessionStorage, ...localStorage }),
  overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
  ink: [...document.querySelectorAll('canvas')].map(c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size),
}));

const actions = {
  open: (url, c) => start(url, c.dark),
  width: width => page.setViewportSize({ width, height: width < 500 ? 844 : 1000 }),
  see: async text => { // the page's policy forbids what waitForFunction does
    for (const until = Date.now() + 30_000; !(await page.innerText('body')).includes(text); await page.waitForTimeout(50)) {
      if (Date.now() > until) throw new Error(`the page never showed ${text}`);
    }
  },
  find: async of => {
    await page.fill('#of', of);
    await page.click('#find button');
  },
  send: async text => {
    await page.fill('#text', text);
    await page.click('#send button:not([type])');
  },
  close: () => page.click('#close'),
  rest: seconds => page.waitForTimeout(seconds * 1000),
  size: ([width, height]) => page.setViewportSize({ width, height }),
  view: name => page.screenshot({ path: join(folder, name) }),
  shot: name => page.screenshot({ path: join(folder, name), fullPage: true }),
  reload: () => page.reload(),
  state: () => {},
};

try {
  for await (const line of createInterface({ input: process.stdin })) {
    const command = JSON.parse(line);
    try {
      const { see, ...others } = command;
      for (const [name, value] of Object.entries(others)) await actions[name]?.(value, command);
      if (see) await actions.see(see);
      console.log(JSON.stringify({ ...(await report()), problems, foreign }));
    } catch (e) {
      console.log(JSON.stringify({ error: String(e), text: await page?.innerText('body').catch(() => '') }));
    }
  }
} finally {
  await done();
}
