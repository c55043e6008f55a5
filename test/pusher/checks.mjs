// What pusher-js, Laravel Echo and the server SDK do with the example: one line of JSON for each check.
import { createHash, createHmac } from 'node:crypto';
import { API, Server, appId, closeAll, echo, equal, events, get, key, members, page, refused, secret, server, subscribe, until } from './clients.mjs';

const checks = {
  async 'connect: a socket_id of two numbers, and a ping is answered'() {
    const p = await page();
    equal('socket_id', /^\d+\.\d+$/.test(p.connection.socket_id), true);
    let pong = 0;
    p.connection.bind('message', (m) => { pong += m.event === 'pusher:pong'; });
    p.send_event('pusher:ping', {});
    await until('a pong', () => pong);
  },

  async 'public: trigger reaches those who have subscribed, and no others'() {
    const [a, b] = [await page(), await page()];
    const [x, y] = [await subscribe(a, 'news'), await subscribe(b, 'sport')];
    await server.trigger('news', 'posted', { title: 'Grüße "x" </a>', n: [1, 2.5, null], empty: {} });
    await server.trigger(['news', 'sport'], 'end', 'text');
    await until('the end', () => events(y, 'end').length && events(x, 'end').length);
    equal('news', events(x), [['posted', { title: 'Grüße "x" </a>', n: [1, 2.5, null], empty: {} }], ['end', 'text']]);
    equal('sport', events(y), [['end', 'text']]);
  },

  async 'unsubscribe ends it'() {
    const p = await page();
    const [x, y] = [await subscribe(p, 'leaving-x'), await subscribe(p, 'leaving-y')];
    p.unsubscribe('leaving-x');
    await until('leaving-x to be empty', async () => !(await get('/channels/leaving-x')).occupied);
    await server.trigger(['leaving-x', 'leaving-y'], 'e', '');
    await until('the other', () => events(y).length);
    equal('after the end', events(x), []);
  },

  async 'private: only with the signature of the site'() {
    const good = await subscribe(await page(), 'private-a');
    equal('subscribed', good.subscribed, true);
    const forged = (auth) => page(undefined, { channelAuthorization: { customHandler: (_, done) => done(null, { auth }) } });
    const own = await page();
    const foreign = server.authorizeChannel('1.1', 'private-a').auth;            // of another socket
    const other = new Server({ appId, key, secret: 'x'.repeat(20) }).authorizeChannel(own.connection.socket_id, 'private-a').auth;
    for (const auth of ['', `${key}:`, foreign, other, `${key}:0`, server.authorizeChannel('1.1', 'private-b').auth]) {
      const bad = await subscribe(await forged(auth), 'private-a');
      equal(`subscribed with ${auth}`, [bad.subscribed, bad.got[0][0], bad.got[0][1].type], [false, 'pusher:subscription_error', 'AuthError']);
    }
    await server.trigger('private-a', 'secret', {});
    await until('the event', () => events(good).length);
    equal('connections in private-a', (await get('/channels/private-a', { info: 'subscription_count' })).subscription_count, 1);
  },

  async 'private-encrypted: the server does not see what is said'() {
    const sealed = new Server({ appId, key, secret, host: '127.0.0.1', port: API, encryptionMasterKeyBase64: Buffer.alloc(32, 7).toString('base64') });
    const p = await page(undefined, {
      channelAuthorization: { customHandler: ({ socketId, channelName }, done) => done(null, sealed.authorizeChannel(socketId, channelName)) },
    });
    const c = await subscribe(p, 'private-encrypted-safe');
    await sealed.trigger('private-encrypted-safe', 'e', { word: 'tea' });
    await until('the event', () => events(c).length);
    equal('deciphered', events(c), [['e', { word: 'tea' }]]);
  },

  async 'presence: here, joining, leaving'() {
    const a = await subscribe(await page('ann'), 'presence-room');
    equal('here', [members(a), a.members.me.id, a.members.count], ['ann', 'ann', 1]);
    const page2 = await page('bob');
    const b = await subscribe(page2, 'presence-room');
    equal('here for the second', [members(b), b.members.me.info, b.members.count], ['ann,bob', { name: 'bob Ü' }, 2]);
    await until('bob', () => members(a) === 'ann,bob');
    equal('joining', events(a, 'pusher:member_added'), [['pusher:member_added', { id: 'bob', info: { name: 'bob Ü' } }]]);
    equal('users', (await get('/channels/presence-room/users')).users.map((u) => u.id).sort(), ['ann', 'bob']);
    page2.unsubscribe('presence-room');
    await until('bob to leave', () => members(a) === 'ann');
    const c = await subscribe(page2, 'presence-room');
    equal('bob is back', members(c), 'ann,bob');
    page2.disconnect();
    await until('bob to leave again', () => members(a) === 'ann' && events(a, 'pusher:member_removed').length === 2);
    equal('count', a.members.count, 1);
  },

  async 'presence: two tabs of a user are one member'() {
    const a = await subscribe(await page('ann'), 'presence-tabs');
    const [tab1, tab2, end] = [await page('bob'), await page('bob'), await page('eve')];
    await subscribe(tab1, 'presence-tabs');
    const b = await subscribe(tab2, 'presence-tabs');
    equal('members', [members(b), b.members.count], ['ann,bob', 2]);
    tab1.disconnect();
    await until('one connection less', async () => (await get('/channels/presence-tabs', { info: 'subscription_count' })).subscription_count === 2);
    const asked = await get('/channels', { filter_by_prefix: 'presence-tabs', info: 'user_count' });
    equal('user_count', asked, { channels: { 'presence-tabs': { user_count: 2 } } });
    await subscribe(end, 'presence-tabs');
    tab2.disconnect();
    await until('bob to leave', () => members(a) === 'ann,eve');
    equal('changes', events(a).filter(([e]) => e.startsWith('pusher:')).length, 0);
    equal('added and removed', [events(a, 'pusher:member_added').length, events(a, 'pusher:member_removed').length], [2, 1]);
  },

  async 'presence: many come and go at once, and all agree'() {
    const pages = await Promise.all(Array.from({ length: 12 }, (_, i) => page(`user-${i % 6}`)));
    const channels = await Promise.all(pages.map(async (p, i) => {
      for (let round = 0; round < 3; round++) {
        await subscribe(p, 'presence-crowd');
        await new Promise((done) => setTimeout(done, 20 * Math.random()));
        p.unsubscribe('presence-crowd');
      }
      return i % 3 === 0 ? undefined : subscribe(p, 'presence-crowd');
    }));
    const want = ['user-1', 'user-2', 'user-4', 'user-5'];
    const lists = () => channels.filter(Boolean).map((c) => [members(c), c.members.count]);
    await until('all to agree', () => lists().every(([ids, count]) => ids === want.join() && count === 4)).catch((e) => { throw new Error(`${e.message}: ${JSON.stringify(lists())}`); });
    equal('users', (await get('/channels/presence-crowd/users')).users.map((u) => u.id).sort(), want);
    equal('connections', (await get('/channels/presence-crowd', { info: 'subscription_count' })).subscription_count, 8);
  },

  async 'presence: a user_id may be a number'() {
    const handler = ({ socketId, channelName }, done) => done(null, server.authorizeChannel(socketId, channelName, { user_id: 42, user_info: {} }));
    const c = await subscribe(await page(undefined, { channelAuthorization: { customHandler: handler } }), 'presence-number');
    equal('me', [c.members.me, c.members.count], [{ id: 42, info: {} }, 1]);
    equal('users', (await get('/channels/presence-number/users')).users, [{ id: '42' }]);
  },

  async 'presence: a forged channel_data is refused'() {
    const p = await page(undefined, { channelAuthorization: { customHandler: ({ socketId, channelName }, done) => {
      const good = server.authorizeChannel(socketId, channelName, { user_id: 'ann' });
      done(null, { ...good, channel_data: '{"user_id":"root"}' });
    } } });
    const c = await subscribe(p, 'presence-forged');
    equal('subscribed', [c.subscribed, c.got[0][0]], [false, 'pusher:subscription_error']);
    equal('users', (await get('/channels/presence-forged/users')).users, []);
  },

  async 'client events: to the others, with user_id in presence channels'() {
    for (const name of ['private-whisper', 'presence-whisper']) {
      const [a, b] = [await subscribe(await page('ann'), name), await subscribe(await page('bob'), name)];
      let from;
      b.bind('client-typing', (_, meta) => { from = meta?.user_id; });
      a.trigger('client-typing', { at: 3, of: {} });
      await until('the event', () => events(b, 'client-typing').length);
      await server.trigger(name, 'end', '');
      await until('the end', () => events(a, 'end').length);
      equal('to itself', events(a, 'client-typing'), []);
      equal('to the other', [events(b, 'client-typing'), from], [[['client-typing', { at: 3, of: {} }]], name === 'presence-whisper' ? 'ann' : undefined]);
    }
  },

  async 'client events: not in public channels, not without a subscription'() {
    const [a, b] = [await page('ann'), await page('bob')];
    const [open, closed] = [await subscribe(a, 'whisper'), await subscribe(a, 'private-not-mine')];
    await subscribe(b, 'whisper');
    let errors = 0;
    b.connection.bind('message', (m) => { errors += m.event === 'pusher:error'; });
    b.send_event('client-x', {}, 'whisper');
    b.send_event('client-x', {}, 'private-not-mine');
    b.send_event('posted', {}, 'private-not-mine');
    await until('the errors', () => errors === 3);
    await server.trigger(['whisper', 'private-not-mine'], 'end', '');
    await until('the end', () => events(open, 'end').length && events(closed, 'end').length);
    equal('client events', [events(open).length, events(closed).length], [1, 1]);
  },

  async 'toOthers: socket_id excludes one connection'() {
    const [p, q] = [await page(), await page()];
    const [a, b] = [await subscribe(p, 'others'), await subscribe(q, 'others')];
    await server.trigger('others', 'not-to-a', {}, { socket_id: p.connection.socket_id });
    await server.trigger('others', 'to-all', {});
    await until('the second', () => events(a).length && events(b).length === 2);
    equal('a', events(a).map(([e]) => e), ['to-all']);
    equal('b', events(b).map(([e]) => e), ['not-to-a', 'to-all']);
  },

  async 'batch: several events, each with its own socket_id'() {
    const p = await page();
    const [x, y] = [await subscribe(p, 'batch-x'), await subscribe(p, 'batch-y')];
    const body = await (await server.triggerBatch([
      { channel: 'batch-x', name: 'one', data: { n: 1 } },
      { channel: 'batch-y', name: 'two', data: { n: 2 } },
      { channel: 'batch-x', name: 'three', data: 'x', socket_id: p.connection.socket_id },
    ])).json();
    equal('answer', body, {});
    await until('both', () => events(x).length && events(y).length);
    equal('got', [events(x), events(y)], [[['one', { n: 1 }]], [['two', { n: 2 }]]]);
    equal('eleven', await refused(server.triggerBatch(Array(11).fill({ channel: 'batch-x', name: 'e', data: '' }))), 400);
  },

  async 'channels: the list, one of them, what is asked about them'() {
    const p = await page('ann');
    for (const name of ['list-a', 'private-list', 'presence-list']) await subscribe(p, name);
    equal('by prefix', await get('/channels', { filter_by_prefix: 'list-' }), { channels: { 'list-a': {} } });
    equal('counted', await get('/channels', { filter_by_prefix: 'presence-list', info: 'user_count,subscription_count' }),
      { channels: { 'presence-list': { user_count: 1, subscription_count: 1 } } });
    const { channels } = await get('/channels');
    equal('all', ['list-a', 'private-list', 'presence-list'].every((name) => channels[name]), true);
    equal('one', await get('/channels/list-a'), { occupied: true });
    equal('none', await get('/channels/list-none'), { occupied: false });
    equal('a presence channel', await get('/channels/presence-list', { info: 'user_count' }), { occupied: true, user_count: 1 });
    equal('user_count of another', await refused(get('/channels/list-a', { info: 'user_count' })), 400);
    equal('users of another', await refused(get('/channels/list-a/users')), 400);
  },

  async 'signin: events for the user, on all of its pages'() {
    const tabs = [await page('ann@example.com, 7; ü'), await page('ann@example.com, 7; ü')];
    const other = await page('bob');
    const got = [];
    for (const [i, p] of [...tabs, other].entries()) {
      p.signin();
      p.user.bind('greeting', (data) => got.push([i, data]));
      await until('the sign-in', () => p.user.serverToUserChannel?.subscribed);
    }
    await server.sendToUser('ann@example.com, 7; ü', 'greeting', { word: 'hi' });
    await until('the event', () => got.length === 2);
    equal('got', got.sort(), [[0, { word: 'hi' }], [1, { word: 'hi' }]]);
    equal('who', tabs[0].user.user_data.id, 'ann@example.com, 7; ü');
    const { channels } = await get('/channels');
    equal('users in the list of channels', Object.keys(channels).filter((name) => name.includes('#')), []);
  },

  async 'signin: presence without channel_data is the signed-in user'() {
    const p = await page('ann', { channelAuthorization: { customHandler: ({ socketId, channelName }, done) => done(null, server.authorizeChannel(socketId, channelName)) } });
    p.signin();
    await until('the sign-in', () => p.user.serverToUserChannel?.subscribed);
    const c = await subscribe(p, 'presence-signed-in');
    equal('me', c.members.me, { id: 'ann', info: { name: 'ann' } });
  },

  async 'signin: a wrong signature ends the connection for good, and no other hears what is for a user'() {
    const forged = await page('eve', { userAuthentication: { customHandler: (_, done) => done(null, { auth: `${key}:0`, user_data: '{"id":"ann-2"}' }) } });
    forged.signin();
    await until('the end', () => forged.connection.state === 'disconnected');
    const p = await page('eve');
    const thief = p.channels.add('x', p);
    thief.name = '#server-to-user-ann-2';                                        // pusher-js itself refuses such a name
    p.channels.channels[thief.name] = thief;
    thief.subscribe();
    let error;
    thief.bind('pusher:subscription_error', (e) => { error = e.type; });
    await until('the refusal', () => error);
    equal('subscribed', thief.subscribed, false);
  },

  async 'terminate: all connections of a user, and of no other'() {
    const all = [await page('ann-3'), await page('ann-3'), await page('bob-3')];
    for (const p of all) {
      p.signin();
      await until('the sign-in', () => p.user.serverToUserChannel?.subscribed);
    }
    await server.terminateUserConnections('ann-3');
    await until('the end', () => all[0].connection.state === 'disconnected' && all[1].connection.state === 'disconnected');
    const c = await subscribe(all[2], 'still-there');
    equal('the other', c.subscribed, true);
  },

  async 'the HTTP API: wrong signatures, old and future times, a changed body'() {
    const path = `/apps/${appId}/events`;
    const post = async (change = {}) => {
      const r = { method: 'POST', path, body: JSON.stringify({ name: 'e', data: '', channels: ['forged'] }), at: 0, key, secret, version: '1.0', more: '', ...change };
      const md5 = r.md5 ?? createHash('md5').update(r.body).digest('hex');
      const query = `auth_key=${r.key}&auth_timestamp=${Math.floor(Date.now() / 1000) + r.at}&auth_version=1.0` + (md5 && `&body_md5=${md5}`);
      const signature = r.signature ?? createHmac('sha256', r.secret).update(`${r.signedAs ?? r.method}\n${r.path}\n${query}`).digest('hex');
      return (await fetch(`http://127.0.0.1:${API}${r.sentTo ?? r.path}?${query}&auth_signature=${signature}${r.more}`, { method: r.method, body: r.sent ?? r.body })).status;
    };
    equal('as it should be', [await post(), await post({ at: -590 }), await post({ at: 590 })], [200, 200, 200]);
    for (const [what, change] of Object.entries({
      secret: { secret: 'x'.repeat(20) }, 'no signature': { signature: '' }, key: { key: 'other' }, old: { at: -610 }, future: { at: 610 },
      body: { sent: '{"name":"x","data":"","channels":["forged"]}' }, 'no md5': { md5: '' }, path: { sentTo: `/apps/${appId}/batch_events` },
      method: { signedAs: 'GET' }, 'a second value': { more: '&auth_timestamp=1' }, 'something more': { more: '&info=user_count' },
    })) equal(what, await post(change), 401);
    equal('another application', await post({ path: '/apps/8/events' }), 404);
    for (const body of ['', '[]', '{}', '"x"', '{"name":1,"data":"","channels":["a"]}', '{"name":"e","data":{},"channels":["a"]}', '{"name":"e","data":"","channels":["a b"]}',
      '{"name":"e","data":"","channels":[]}', '{"name":"e","data":"","channels":["a"],"socket_id":"all"}', '{"name":"e","data":"","channels":["good","channel:x"]}',
      '{"name":"e","data":"","channels":{"a":["b"]}}', '{"batch":[]}', 'null']) equal(body, await post({ body }), 400);
    equal('a large one', await post({ body: JSON.stringify({ name: 'e', data: 'x'.repeat(300_000), channels: ['a'] }) }), 413);
  },

  async 'names with comma and semicolon; too long ones are refused'() {
    const name = 'presence-a,b;c=d@e.f_g';
    const [a, b] = [await subscribe(await page('ann'), name), await subscribe(await page('bob'), name)];
    await until('both', () => members(a) === 'ann,bob' && members(b) === 'ann,bob');
    await server.trigger(name, 'e', {});
    await until('the event', () => events(b, 'e').length);
    equal('in the list', (await get('/channels', { filter_by_prefix: 'presence-a,' })).channels, { [name]: {} });
    equal('users', (await get(`/channels/${name}/users`)).users.length, 2);
    const long = 'x'.repeat(150);
    equal('150 bytes', (await subscribe(await page(), long)).subscribed, true);
    const longer = await subscribe(await page(), ','.repeat(70));
    equal('70 commas', [longer.subscribed, longer.got[0][0]], [false, 'pusher:subscription_error']);
    equal('to 70 commas', await refused(server.trigger(','.repeat(70), 'e', {})), 400);
  },

  async 'Echo: a public, a private and a presence channel, whispers, notifications'() {
    const [a, b] = [await echo('ann'), await echo('bob')];
    const got = [];
    const ready = [];
    a.channel('orders').listen('OrderShipped', (e) => got.push(['orders', e])).subscribed(() => ready.push(1));
    a.private('orders.1').listen('.shipped', (e) => got.push(['private', e])).subscribed(() => ready.push(2));
    let here;
    a.join('chat').here((all) => { here = all; ready.push(3); }).joining((m) => got.push(['joining', m])).leaving((m) => got.push(['leaving', m]))
      .listenForWhisper('typing', (e) => got.push(['whisper', e]));
    await until('the subscriptions', () => ready.length === 3);
    equal('here', here, [{ name: 'ann Ü' }]);
    await server.trigger('orders', 'App\\Events\\OrderShipped', { id: 1 });
    await until('orders', () => got.length === 1);
    await server.trigger('private-orders.1', 'shipped', { id: 2 });
    await until('private', () => got.length === 2);
    let joined = false;
    const chat = b.join('chat').here(() => { joined = true; });
    await until('the other', () => joined && got.length === 3);
    chat.whisper('typing', { at: 1 });
    await until('the whisper', () => got.length === 4);
    equal('socketId', [a.socketId(), b.socketId()].every((id) => /^\d+\.\d+$/.test(id)), true);
    await server.trigger('presence-chat', 'end', {}, { socket_id: b.socketId() });
    b.leave('chat');
    await until('leaving', () => got.length === 5);
    equal('all', got, [['orders', { id: 1 }], ['private', { id: 2 }], ['joining', { name: 'bob Ü' }], ['whisper', { at: 1 }], ['leaving', { name: 'bob Ü' }]]);
  },
};

for (const [check, run] of Object.entries(checks)) {
  let error;
  try {
    await run();
  } catch (e) {
    error = e.stack;
  }
  closeAll();
  console.log(JSON.stringify({ check, error }));
}
process.exit(0);
