// What the programs of this folder share: the official clients, and waiting.
import { createRequire } from 'node:module';
import Echo from 'laravel-echo';

const require = createRequire(import.meta.url);
export const Pusher = require('pusher-js');
export const Server = require('pusher');

export const { APP_ID: appId, APP_KEY: key, APP_SECRET: secret, PORTS, API } = process.env;
const ports = PORTS.split(',').map(Number);                  // where clients connect, in turn

export const server = new Server({ appId, key, secret, host: '127.0.0.1', port: API, useTLS: false });

let opened = [];
let turn = 0;

/** options connect a client, which is who says: a page's site has logged it in. */
export function options(who, port = ports[turn++ % ports.length]) {
  return {
    wsHost: '127.0.0.1', wsPort: port, forceTLS: false, cluster: '', enabledTransports: ['ws'], enableStats: false,
    channelAuthorization: {
      customHandler: ({ socketId, channelName }, done) => {
        const member = channelName.startsWith('presence-') && who ? { user_id: who, user_info: { name: `${who} Ü` } } : undefined;
        done(null, server.authorizeChannel(socketId, channelName, member));
      },
    },
    userAuthentication: { customHandler: ({ socketId }, done) => done(null, server.authenticateUser(socketId, { id: who, user_info: { name: who } })) },
  };
}

/** page is pusher-js, connected. More are further options. */
export async function page(who, more = {}, port = undefined) {
  const p = new Pusher(key, { ...options(who, port), ...more });
  opened.push(p);
  p.connection.bind('error', () => {});
  await until('a connection', () => p.connection.state === 'connected');
  return p;
}

/** echo is Laravel Echo, connected. */
export async function echo(who) {
  const e = new Echo({ broadcaster: 'reverb', key, Pusher, ...options(who) });
  opened.push(e.connector.pusher);
  await until('a connection', () => e.connector.pusher.connection.state === 'connected');
  return e;
}

/** subscribe returns the channel when it is subscribed; got has what came since. */
export async function subscribe(p, name) {
  const channel = p.subscribe(name);
  if (!channel.got) {
    channel.got = [];
    channel.bind_global((event, data) => channel.got.push([event, data]));
  }
  await until(`${name} to be subscribed`, () => channel.subscribed || channel.got.some(([event]) => event === 'pusher:subscription_error'));
  return channel;
}

/** events are those of the site's own, or of one name. */
export const events = (channel, of = undefined) => channel.got.filter(([event]) => (of ? event === of : !event.startsWith('pusher:')));

/** members are the ids whom a client sees in a presence channel. */
export const members = (channel) => Object.keys(channel.members.members).sort().join();

export function closeAll() {
  for (const p of opened) p.disconnect();
  opened = [];
}

/** until waits for a condition. */
export async function until(what, condition, patience = 30_000) {
  for (const end = Date.now() + patience; !(await condition());) {
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, patience > 30_000 ? 200 : 5));
  }
}

/** equal compares as JSON. */
export function equal(what, got, want) {
  if (JSON.stringify(got) !== JSON.stringify(want)) throw new Error(`${what}: got ${JSON.stringify(got)}, want ${JSON.stringify(want)}`);
}

/** get is a GET of the HTTP API, as JSON. */
export const get = async (path, params = {}) => (await server.get({ path, params })).json();

/** refused is the status with which a request to the HTTP API fails. */
export async function refused(request) {
  try {
    await request;
  } catch (e) {
    if (e.status) return e.status;
    throw e;
  }
  return 'accepted';
}
