// Two people move their mice over the documented page; each sees where the other's is.
import { open } from './lib.mjs';

const [url] = process.argv.slice(2);
const { browser, done } = await open();
try {
  const context = await browser.newContext();
  const visit = async (name) => {
    const page = await context.newPage();
    const opened = page.waitForEvent('websocket').then((ws) => ws);
    await page.goto(`${url}#${name}`);
    await opened;
    return page;
  };
  const [ann, bob] = [await visit('ann'), await visit('bob')];
  /** sees moves a page's mouse until another page shows it there. */
  const sees = async (page, mover, x, y) => {
    const place = `${x}px ${y}px`;
    for (;;) {
      await mover.mouse.move(x - 3, y - 3);
      await mover.mouse.move(x, y, { steps: 3 });
      const shown = await page.waitForFunction((want) => {
        const cursor = document.querySelector('.cursor');
        return cursor && cursor.style.translate === want && `${cursor.textContent} ${want}`;
      }, place, { timeout: 2000 }).catch(() => null);
      if (shown) return shown.jsonValue();
    }
  };
  console.log(JSON.stringify([await sees(bob, ann, 300, 200), await sees(ann, bob, 40, 50)]));
} finally {
  await done();
}
