// Pages with the documented y-websocket, driven by lines on standard input: each is one command,
// answered by one line.
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';
import WebSocket from 'ws';

globalThis.WebSocket = WebSocket;
const [page] = process.argv.slice(2); // the documented module, which connects to globalThis.server
const pages = {};
const text = (name) => pages[name].doc.getText('text');

/** until waits for a condition; the test has a deadline of its own. */
const until = (condition) => new Promise((resolve) => {
  const look = () => (condition() ? resolve() : setTimeout(look, 10));
  look();
});

const commands = {
  // open NAME URL: a page that connects, and has what others have
  async open(name, url) {
    globalThis.server = url;
    pages[name] = await import(`${pathToFileURL(page)}?${name}`);
    await until(() => pages[name].provider.synced);
  },
  // type NAME TEXT: one keystroke for each character
  async type(name, ...words) {
    for (const c of words.join(' ')) text(name).insert(text(name).length, c);
  },
  // cut NAME: the connection breaks, and does not come back by itself
  async cut(name) {
    const { provider } = pages[name];
    provider.shouldConnect = false;
    provider.ws.terminate();
    await until(() => !provider.wsconnected);
  },
  async back(name) {
    pages[name].provider.connect();
    await until(() => pages[name].provider.synced);
  },
  async close(name) {
    pages[name].provider.destroy();
  },
  // same NAME…: waits until all have the same text, of the length LENGTH
  async same(length, ...names) {
    await until(() => names.every((name) => text(name).length === Number(length) && text(name).toString() === text(names[0]).toString()));
    return text(names[0]).toString();
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...args] = line.split(' ');
  console.log(`ok ${(await commands[command](...args)) ?? ''}`);
}
process.exit(0);
