// node orders.mjs URL: a person in Chromium opens the site, is refused, logs in, and orders. Prints what the socket says, as JSON.
import { open } from '../../browser/lib.mjs';

const { browser, done } = await open();
try {
  const page = await browser.newPage();
  await page.goto(`${process.argv[2]}/`); // the site's page for what it does not have
  const seen = await page.evaluate(async () => {
    const socket = (order) => new Promise((resolve) => {
      const ws = new WebSocket(`ws://${location.host}/ws/orders`);
      const heard = [];
      ws.onopen = () => ws.send(JSON.stringify({ order }));
      ws.onmessage = ({ data }) => { if (heard.push(data) === 2) resolve(heard.sort()); };
      ws.onclose = ({ code }) => resolve([...heard, code]);
    });
    const before = await socket(1);
    const login = await fetch('/login', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{"username":"ann","password":"secret"}' });
    return [before, login.status, await socket(2)];
  });
  console.log(JSON.stringify(seen));
} finally {
  await done();
}
