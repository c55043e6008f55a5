// A page that uses every type of client/js/live.d.ts and echo.d.ts, for tsc --strict --noEmit: what is not
// to compile is marked, and tsc refuses a mark without an error.
import { Live, NoReply, isFinal, type Handlers, type Options, type Reason, type SendOptions } from '../../client/js/live.js'
import {
  WsfpmChannel, WsfpmConnector, WsfpmPresenceChannel, WsfpmPrivateChannel, type SubscriptionError, type WsfpmOptions,
} from '../../client/js/echo.js'

const final: boolean = isFinal(4001)

const words: Record<'connecting' | 'open' | 'waiting' | 'stopped', string> = {
  connecting: '…', open: 'on', waiting: 'off', stopped: 'over',
}

const handlers: Handlers = {
  message: (data, from) => console.log(from?.startsWith('user:') ? `${from}: ${data}` : data.text),
  gap: () => {},
  state(name, detail) {
    document.title = words[name]
    if (name === 'waiting') setTimeout(() => live.retry(), detail as number)
  },
}

const token = async (): Promise<string> => (await fetch('/token')).text()
const options: Options = { last: '17-0-a', most: 10, bytes: 1000, plain: false, WebSocket }
const live = new Live(async () => `/ws?token=${await token()}`, handlers, options)
new Live('/ws', {})
new Live(new URL('wss://example.com/ws'), { state: (name: string) => console.log(name) })
new Live(() => new URL('/ws', location.href), { message: async (data: { text: string }) => console.log(data.text) }, {})

const sending: SendOptions = { part: (line) => console.log(line), timeout: 5000 }
const answer: Promise<{ ok: boolean }> = live.send({ text: 'hi' }, sending)
answer.then(({ ok }) => ok, (error: unknown) => {
  if (!(error instanceof NoReply)) throw error
  const reason: Reason = error.reason
  const known: Reason[] = ['failed', 'unsure', 'unkept', 'timeout', 'full', 'closed', 'busy']
  if (known.includes(reason) && error.message) console.log(error.data)
  // @ts-expect-error: what came with an error is of no known type
  error.data.text
})
live.close()

// @ts-expect-error: without an address
new Live()
// @ts-expect-error: without handlers
new Live('/ws')
// @ts-expect-error: no such handler
new Live('/ws', { onmessage() {} })
// @ts-expect-error: from may be missing
new Live('/ws', { message: (data, from) => console.log(from.length) })
// @ts-expect-error: the number is in most
new Live('/ws', {}, { most: '10' })
// @ts-expect-error: no such option
live.send('x', { after: 1 })
// @ts-expect-error: no code
isFinal('4001')
// @ts-expect-error: no such method
live.open()

const echo: WsfpmOptions = { url: async () => `/ws/echo?token=${await token()}`, namespace: 'App', live: options, broadcaster: WsfpmConnector }
const connector = new WsfpmConnector(echo)
const heard = (data: { text: string }) => console.log(data.text)
const failed = (error: SubscriptionError) => error.status === 403 && error.type === 'AuthError'
const shop: WsfpmChannel = connector.channel('shop').listen('Said', heard).listenToAll((event, data) => console.log(event, data)).subscribed(() => {}).error(failed)
shop.stopListening('Said', heard).stopListeningToAll().notification(heard).stopListeningForNotification(heard).on('Said', heard)
connector.listen('shop', '.said', heard)
const orders: WsfpmPrivateChannel = connector.privateChannel('orders.7').whisper('typing', { by: 'ann' })
orders.listenForWhisper('typing', heard).stopListeningForWhisper('typing')
const room: WsfpmPresenceChannel = connector.presenceChannel('room.1').here((people) => people.length).joining(heard).leaving(heard)
const off: () => void = connector.onConnectionChange((status) => status === 'connected' && off())
const id: string | undefined = connector.socketId()
if (id && room.isSubscribed && connector.connectionStatus() === 'connected' && connector.channels[room.name]) connector.leave('room.1')
connector.leaveChannel('private-orders.7')
connector.disconnect()
connector.connect()
const never: never = connector.encryptedPrivateChannel('x')

// @ts-expect-error: a public channel has no whispers
shop.whisper('typing', {})
// @ts-expect-error: nor members
orders.here(() => {})
// @ts-expect-error: the reply is of the server
room.isSubscribed = true

export { final, never }
