// A page that uses every type of client/js/live.d.ts, for tsc --strict --noEmit: what is not
// to compile is marked, and tsc refuses a mark without an error.
import { Live, NoReply, isFinal, type Handlers, type Options, type Reason, type SendOptions } from '../../client/js/live.js'

const final: boolean = isFinal(4001)

const words: Record<'connecting' | 'open' | 'waiting' | 'stopped', string> = {
  connecting: '…', open: 'on', waiting: 'off', stopped: 'over',
}

const handlers: Handlers = {
  message: (data) => console.log(data.text),
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
// @ts-expect-error: the number is in most
new Live('/ws', {}, { most: '10' })
// @ts-expect-error: no such option
live.send('x', { after: 1 })
// @ts-expect-error: no code
isFinal('4001')
// @ts-expect-error: no such method
live.open()

export { final }
