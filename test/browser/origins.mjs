// Pages of many origins try to open WebSockets: node origins.mjs PLAN. The plan is
// a JSON file with `rules` (host resolver rules), `login` (pages that set cookies)
// and `cells` ({id, page, frame, url}). Prints one line of JSON per cell.
import { readFile } from 'node:fs/promises';
import { openProfile } from './lib.mjs';

const plan = JSON.parse(await readFile(process.argv[2], 'utf8'));
// Chromium's own defences for loopback and against cookies of other sites are
// off: wsfpm's must do without them.
const { context, done } = await openProfile([`--host-resolver-rules=${plan.rules}`, '--ignore-certificate-errors',
  '--disable-features=LocalNetworkAccessChecks,LocalNetworkAccessChecksWebSockets,BlockInsecurePrivateNetworkRequests,TrackingProtection3pcd']);

/** Runs in the page: opens the socket and says what came of it, and how the page's origin is written. */
function attempt(url) {
  return new Promise((resolve) => {
    const origin = self.origin;
    let ws;
    try {
      ws = new WebSocket(url);
    } catch (e) {
      resolve({ origin, result: 'blocked', detail: e.name });
      return;
    }
    let opened = false;
    let failed = false;
    ws.onopen = () => { opened = true; };
    ws.onerror = () => { failed = true; };
    ws.onmessage = (e) => { resolve({ origin, result: 'open', detail: e.data }); ws.close(); };
    ws.onclose = (e) => resolve({ origin, result: opened ? 'closed' : failed ? 'error' : 'ended', detail: String(e.code) });
    setTimeout(() => resolve({ origin, result: 'silence', detail: '' }), 20_000);
  });
}

/** A frame without an origin of its own inside the page. */
async function sandboxed(page) {
  await page.evaluate(() => {
    const frame = document.createElement('iframe');
    frame.setAttribute('sandbox', 'allow-scripts');
    frame.srcdoc = '<!doctype html><title>sandbox</title><p id=ready>ready';
    document.body.append(frame);
  });
  const element = await page.waitForSelector('iframe', { state: 'attached' });
  const frame = await element.contentFrame();
  await frame.waitForSelector('#ready');
  return frame;
}

try {
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  for (const url of plan.login) {
    await page.goto(url);
  }
  for (const cell of plan.cells) {
    const page = await context.newPage();
    page.setDefaultTimeout(20_000);
    if (cell.page) await page.goto(cell.page);
    const where = cell.frame ? await sandboxed(page) : page;
    console.log(JSON.stringify({ id: cell.id, ...await where.evaluate(attempt, cell.url) }));
    await page.close();
  }
} finally {
  await done();
}
