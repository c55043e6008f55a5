// A WebSocket of the protocol wsfpm.v1 (docs/contract.md, 6) for pages: it comes back after
// a lost connection with what was missed meanwhile, notices a dead one, and knows which reply
// belongs to which message. Where messages run once, it sends those without a reply again.
//
//   import { Live } from './live.js'
//   const live = new Live('/ws/chat', { message: show, gap: () => {}, state: (name, detail) => {} })
//   const answer = await live.send({ text: 'hi' })

const PROTOCOL = 'wsfpm.v1'
const FIRST = 5_000         // ms, the longest wait before the first attempt; all that a dead node leaves come at once
const SOON = 500            // the same where the server has already spread the ends
const LONGEST = 30_000
const STABLE = 10_000       // open for that long: the next failure is a first one again
const OPENING = 15_000      // a hello that takes longer has failed
const SPREAD = 10_000       // pages that learn of a gap connect again within that time
const ATTEMPTS = 3          // for one message
const BUFFERED = 65_536     // bytes that the browser has not sent yet: more wait here
const LOOK = 50             // ms between two looks at them

/** Whether a close code says "do not come back", as in the table of docs/contract.md. */
export function isFinal(code) {
  return code === 1000 || code === 1005 || code >= 3000 && code !== 4401 && code !== 4408
}

/** Why a message has no reply: see reason in live.d.ts. */
export class NoReply extends Error {
  constructor(reason, data) {
    super(`no reply: ${reason}`)
    this.reason = reason
    this.data = data        // what came with the error: the route's error_message
  }
}

export class Live {
  #url
  #on
  #o
  #last
  #was = ''
  #user                     // stands for who the page was at its last hello; undefined: no one, or not known
  #ws = null
  #failures = 0
  #timer = 0
  #silence = 0
  #full = 0
  #waiting = new Map()      // id → { text, resolve, reject, part, timer, sent, until, user, tries }
  #bytes = 0                // of the texts in it
  #tab = Math.random().toString(36).slice(2, 10)
  #count = 0
  #stopped = false

  constructor(url, on, options) {
    this.#url = typeof url === 'function' ? url : () => url
    this.#on = on
    this.#o = { most: 100, bytes: 1 << 20, WebSocket: globalThis.WebSocket, ...options }
    this.#last = this.#o.last ?? ''
    this.#listen('addEventListener')
    this.#connect()
  }

  send(data, { part, timeout } = {}) {
    return new Promise((resolve, reject) => {
      const id = `${this.#tab}-${++this.#count}`
      const text = this.#o.plain ? (typeof data === 'string' ? data : JSON.stringify(data)) : JSON.stringify({ id, data })
      if (this.#stopped) return reject(new NoReply('closed'))
      if (this.#waiting.size >= this.#o.most || this.#bytes + text.length > this.#o.bytes) return reject(new NoReply('full'))
      const timer = timeout && setTimeout(() => this.#fail(id, 'timeout'), timeout)
      this.#waiting.set(id, { text, resolve, reject, part, timer, sent: false, tries: 0, user: this.#user })
      this.#bytes += text.length
      this.#pump()
    })
  }

  retry() {
    if (!this.#timer) return
    clearTimeout(this.#timer)
    this.#connect()
  }

  close() {
    this.#stop(1000, '')
  }

  /** The device is online again, or the page is seen again: timers have stood still meanwhile. */
  #look = () => {
    if (globalThis.document?.hidden) return
    const ws = this.#ws
    if (ws?.quiet && Date.now() - ws.heard > ws.quiet) this.#lost(ws, 1006, 'nothing came')
    this.retry()
  }

  #listen(how) {
    for (const name of ['online', 'pageshow']) globalThis[how]?.(name, this.#look)
    globalThis.document?.[how]('visibilitychange', this.#look)
  }

  async #connect() {
    this.#timer = 0
    this.#on.state?.('connecting')
    let ws = null
    try {
      const url = new URL(await this.#url(), globalThis.location?.href)
      url.protocol = url.protocol.replace('http', 'ws')
      if (this.#last) url.searchParams.set('ws_last', this.#last)
      if (this.#was) url.searchParams.set('ws_was', this.#was)
      if (this.#stopped) return
      ws = this.#ws = new this.#o.WebSocket(url, this.#o.plain ? [] : [PROTOCOL])
    } catch (error) {
      return this.#lost(null, 1006, String(error))
    }
    ws.binaryType = 'arraybuffer'
    this.#expect(ws, OPENING)
    if (this.#o.plain) ws.onopen = () => this.#welcome(ws, { resume: 'off', ping: 0 })
    ws.onmessage = event => this.#received(ws, event.data)
    ws.onclose = event => this.#lost(ws, event.code, event.reason)
    ws.onerror = () => {}   // onclose follows
  }

  #received(ws, data) {
    if (this.#o.plain) return this.#hand(typeof data === 'string' ? data : new Uint8Array(data))
    const m = JSON.parse(data)
    if (m.gap) return this.#missed(ws)
    if (m.hello) this.#welcome(ws, m.hello)
    this.#expect(ws, ws.quiet)
    if (m.re !== undefined) this.#settle(m)
    else if ('data' in m || 'base64' in m) this.#hand(payload(m), m.from)
    if (m.id && !ws.placeless) this.#last = m.id
  }

  /** Messages may be missing: connect gives the state again. Until then what comes is shown. */
  #missed(ws) {
    if (ws.placeless) return
    ws.placeless = true
    this.#last = ''
    this.#on.gap?.()
    setTimeout(() => this.#again(ws, 1012, 0), Math.random() * SPREAD)
  }

  #welcome(ws, hello) {
    const had = this.#last
    this.#was = hello.conn ?? ''
    ws.ready = true
    ws.opened = Date.now()
    ws.quiet = hello.ping * 2500
    ws.placeless = hello.resume === 'off'
    ws.once = hello.once
    const was = this.#user
    const user = this.#user = hello.user
    for (const [id, message] of this.#waiting) {
      // After a login in another tab it would be what the other user says, and run again.
      const other = message.user !== user && (message.user || message.tries)
      if (message.tries && (other || !ws.once || Date.now() >= message.until)) this.#fail(id, 'unsure')
      else if (other) this.#fail(id, 'user')
    }
    if (was && was !== user && hello.resume === 'ok') { // the page has the state of the other one
      this.#last = ''
      this.#on.gap?.()
      return this.#again(ws, 1012, 0)
    }
    if (hello.resume !== 'ok') this.#last = ''   // connect's body brings a new one
    this.#on.state?.('open', hello.resume)
    if (had && hello.resume !== 'ok') this.#on.gap?.()
    this.#pump()
  }

  /** A handler that throws has had the message: it does not come again. */
  #hand(data, from) {
    try {
      this.#on.message?.(data, from)
    } catch (error) {
      console.error(error)
    }
  }

  #settle(m) {
    const message = this.#waiting.get(m.re)
    if (!message) return
    if (m.more) return message.part?.(payload(m))
    const unkept = m.kept === false && message.tries > 1 && payload(m) === undefined
    const error = m.error ?? (unkept ? 'unkept' : '')
    if (error) this.#fail(m.re, error, payload(m))
    else this.#take(m.re).resolve(payload(m))
    this.#pump()
  }

  /** Sends what waits for a connection, in order, and no more than the browser can pass on. */
  #pump() {
    const ws = this.#ws
    clearTimeout(this.#full)
    if (!ws?.ready) return
    let unanswered = 0
    for (const [id, message] of this.#waiting) {
      if (++unanswered > (ws.once?.most ?? Infinity)) return
      if (message.sent) continue
      if (ws.bufferedAmount > BUFFERED) return void (this.#full = setTimeout(() => this.#pump(), LOOK))
      message.sent = true
      message.tries++
      message.until ??= Date.now() + (ws.once?.for ?? 0) * 900 // ms: a little less, for the way there
      message.user = this.#user
      ws.send(message.text)
      if (this.#o.plain) this.#take(id).resolve()
    }
  }

  /** Gives the connection up when nothing comes within ms; 0: it may be silent. */
  #expect(ws, ms) {
    clearTimeout(this.#silence)
    ws.heard = Date.now()
    if (ms) this.#silence = setTimeout(() => this.#lost(ws, 1006, 'nothing came'), ms)
  }

  #lost(ws, code, reason) {
    if (ws !== this.#ws) return
    if (isFinal(code)) return this.#stop(code, reason)
    this.#again(ws, code)
  }

  #wait(code) {
    if (code === 1008) return LONGEST * (1 + Math.random())
    const first = code === 1001 || code === 1012 ? SOON : FIRST
    return Math.random() * Math.min(LONGEST, first * 2 ** this.#failures++)
  }

  #again(ws, code, wait) {
    if (ws !== this.#ws) return
    if (ws?.opened && Date.now() - ws.opened > STABLE) this.#failures = 0
    wait ??= this.#wait(code)
    this.#drop()
    // After these codes one of the messages may be what the server does not bear.
    const poisoned = [1002, 1003, 1007, 1009, 1011].includes(code)
    for (const [id, message] of this.#waiting) {
      if (!message.sent) continue
      if (!ws?.once || poisoned || message.tries >= ATTEMPTS) this.#fail(id, 'unsure')
      message.sent = false // it is sent again after the next hello
    }
    this.#timer = setTimeout(() => this.#connect(), wait)
    this.#on.state?.('waiting', wait)
  }

  #stop(code, reason) {
    if (this.#stopped) return
    this.#stopped = true
    this.#listen('removeEventListener')
    this.#drop()
    for (const id of this.#waiting.keys()) this.#fail(id, 'closed')
    this.#on.state?.('stopped', { code, reason })
  }

  #fail(id, reason, data) {
    this.#take(id)?.reject(new NoReply(reason, data))
  }

  #take(id) {
    const message = this.#waiting.get(id)
    if (!this.#waiting.delete(id)) return
    clearTimeout(message.timer)
    this.#bytes -= message.text.length
    return message
  }

  #drop() {
    for (const timer of [this.#timer, this.#silence, this.#full]) clearTimeout(timer)
    this.#timer = 0
    const ws = this.#ws
    this.#ws = null
    if (!ws) return
    ws.onopen = ws.onmessage = ws.onclose = null
    ws.close()
  }
}

/** The payload of an envelope: a value, bytes, or undefined. */
function payload(m) {
  return 'base64' in m ? Uint8Array.from(atob(m.base64), c => c.charCodeAt(0)) : m.data
}
