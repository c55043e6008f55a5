// Reads a post of WordPress with the block of client/wordpress, as a guest and as its author: node wordpress.mjs URL POST. Prints "ok".
import { open } from './lib.mjs';

const [url, post] = process.argv.slice(2);
const { browser, done } = await open();

/** expect waits until the block of a page shows a text. */
const expect = (page, text) => page.locator('.wp-block-wsfpm-visitors', { hasText: text }).waitFor({ timeout: 120_000 });

try {
  const guest = await (await browser.newContext()).newPage();
  await guest.goto(`${url}/?p=${post}`);
  await expect(guest, 'You read this alone');

  const author = await (await browser.newContext()).newPage();
  await author.goto(`${url}/wp-login.php`);
  await author.fill('#user_login', 'ann');
  await author.fill('#user_pass', 'secret');
  await Promise.all([author.waitForURL(/wp-admin/, { timeout: 120_000 }), author.click('#wp-submit')]);
  await author.goto(`${url}/?p=${post}`);
  await expect(author, '2 people read this');
  await expect(guest, '2 people read this');

  // Another tab of the author hears of a comment, and is no further reader.
  await author.evaluate((path) => new Promise((resolve, reject) => {
    const socket = new WebSocket(new URL(path, location.href.replace('http', 'ws')));
    window.heard = new Promise((said) => { socket.onmessage = ({ data }) => { if (data[0] !== '{') said(data); }; });
    socket.onopen = resolve;
    socket.onerror = () => reject(new Error('not opened'));
  }), `/ws/site?page=${post}`);
  await guest.fill('#comment', 'Nice');
  await guest.fill('#author', 'Bob');
  await guest.fill('#email', 'bob@example.com');
  await Promise.all([guest.waitForURL(/#comment-|unapproved/, { timeout: 120_000 }), guest.click('#submit')]);
  const heard = await author.evaluate(() => window.heard);
  if (heard !== 'A new comment') throw new Error(`the author heard ${heard}`);
  await expect(guest, '2 people read this');

  await author.goto(`${url}/wp-admin/post-new.php`, { timeout: 120_000 });
  await author.waitForFunction(() => window.wp?.blocks?.getBlockType('wsfpm/visitors'), null, { timeout: 120_000 });
  await expect(guest, 'You read this alone');
  console.log('ok');
} finally {
  await done();
}
