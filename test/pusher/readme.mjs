// Runs the page of the README, PAGE, whose site has logged it in as ann.
import { Pusher, equal, server, until } from './clients.mjs';

const got = [];
const pusher = new Function('Pusher', 'show', `${process.env.PAGE}; return pusher`)(Pusher, (data) => got.push(data));
const room = pusher.channel('presence-room');
await until('the room', () => room.subscribed);
equal('me', room.members.me, { id: 'ann', info: { name: 'ann' } });
await server.trigger('presence-room', 'said', { text: 'hi' });
await until('the event', () => got.length);
equal('shown', got, [{ text: 'hi' }]);
await until('a private channel', () => pusher.subscribe('private-news').subscribed);
let status;
pusher.subscribe('private-other').bind('pusher:subscription_error', (e) => { status = e.status; });
await until('a refusal', () => status);
equal('a channel that the user may not hear', status, 403);
pusher.signin();
await until('the sign-in', () => pusher.user.user_data);
equal('user', pusher.user.user_data.id, 'ann');
console.log('ok');
process.exit(0);
