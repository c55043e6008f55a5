// node page.mjs BASE FILE: runs the script of a page in FILE. Its WebSocket goes to BASE, with
// the cookie of PAGE_COOKIE; show(x) prints x as a line of JSON. Live is that of client/js/live.js.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { Live as Client } from '../../../client/js/live.js';

const WS = createRequire(new URL('../../browser/package.json', import.meta.url))('ws');
const [base, file] = process.argv.slice(2);

class WebSocket extends WS {
  constructor(url, protocols) {
    const { pathname, search } = new URL(url, base);
    super(base + pathname + search, protocols, { headers: { cookie: process.env.PAGE_COOKIE ?? '' } });
    this.on('error', () => {}); // close follows
  }
}

class Live extends Client {
  constructor(path, on) {
    super(base + path, on, { WebSocket });
  }
}

const show = (x) => console.log(JSON.stringify(x));
new Function('WebSocket', 'Live', 'show', readFileSync(file, 'utf8'))(WebSocket, Live, show);
