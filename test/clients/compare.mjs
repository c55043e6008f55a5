// The same page with one of three clients, for a test: node compare.mjs CLIENT URL. Each line of its input is a number to send; each line of its output is
// an event: {"state", "at"}, {"message"}, {"reply", "to"} or {"failed", "to"}.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { Live } from '../../client/js/live.js';

const require = createRequire(new URL('../browser/package.json', import.meta.url));
const WebSocket = require('ws');

const say = (event) => console.log(JSON.stringify(event));
const state = (name, detail) => say({ state: name, detail, at: Date.now() });

/** others is a page of a client with WebSocket's own interface: the script's reply is known by its text. */
function others(Client) {
  const socket = new Client(url, [], { WebSocket });
  socket.addEventListener('open', () => state('open'));
  socket.addEventListener('close', (event) => state('waiting', event.code));
  socket.addEventListener('error', () => {});
  socket.addEventListener('message', ({ data }) => {
    if (data.startsWith('reply ')) say({ reply: data, to: Number(data.slice(6)) });
    else say({ message: data });
  });
  return { send: (n) => socket.send(String(n)), close: () => socket.close() };
}

/** live is a page of live.js. */
function live() {
  const client = new Live(url, { message: (data) => say({ message: data }), state }, { WebSocket });
  const send = (n) => client.send(n).then((reply) => say({ reply, to: n }), (error) => say({ failed: error.reason, to: n }));
  return { send, close: () => client.close() };
}

const [name, url] = process.argv.slice(2);
const page = name === 'live.js' ? live() : others(name === 'partysocket' ? require('partysocket/ws').default : require('reconnecting-websocket'));
for await (const line of createInterface({ input: process.stdin })) page.send(Number(line));
page.close();
