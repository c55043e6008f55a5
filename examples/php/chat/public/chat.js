// The page of the chat: what arrives, what is sent, and what keeps both right
// when the connection comes and goes. Drawing is in view.js, the connection in live.js.

import { Live } from './live.php'
import * as view from './view.js'

const { me, path } = document.body.dataset

let room = decodeURIComponent(location.hash.slice(1))
let drawn = null            // the room that the page shows
let last = 0                // id of the newest message of this room
let here = null             // the newest list of who is here
let online = false
let unknown = 0             // the timer of the next question, while it is not known who is here
let refused = false         // the last attempt has not come to an end yet, or failed
const shown = new Set()     // messages on the page: one may arrive twice
const leaving = new Map()   // a reload is no departure: name => timer

const pause = ms => new Promise(resolve => setTimeout(resolve, ms))

// ---------------------------------------------------------------- connection

function state(name, detail) {
  online = name === 'open'
  if (online) ask({ new: true })
  if (name === 'waiting' && refused) whoAmI()
  refused = name === 'connecting'
  view.state(name === 'waiting' && !navigator.onLine ? 'offline' : name, detail)
}

// A browser does not say why a handshake was refused, so ask.
async function whoAmI() {
  const answer = await fetch('whoami.php', { cache: 'no-store' }).catch(() => null)
  if (answer?.status === 401) location.href = 'index.php'
}

/** Asks who is here. */
async function ask(more) {
  const answer = online && await live.send({ type: 'here', ...more }).catch(() => null)
  if (answer) receive(answer)
}

async function enter(name) {
  if (!online) return view.notice('Not connected: try again in a moment.', 'error')
  const left = room
  const answer = await live.send({ type: 'room', room: name }).catch(() => null)
  if (answer) receive(answer)
  else view.notice('That did not work: try again.', 'error')
  if (answer?.type === 'room') ask({ new: true, left, all: true })
}

setInterval(ask, 60_000)                                          // if a list was lost while Redis was away
setInterval(() => fetch('whoami.php').catch(() => {}), 600_000)   // keeps the PHP session alive
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  view.read()
})

// ------------------------------------------------------------------ receiving

const receivers = {
  room(m) {                                                // where the page is, and at first and after a gap the messages
    if (m.room !== drawn) {
      room = drawn = m.room
      last = 0
      here = null
      shown.clear()
      view.enterRoom(room)
      history.replaceState(null, '', '#' + encodeURIComponent(room))
    }
    messages(m.messages ?? [])
  },
  here(m) {
    if (m.room !== room) return
    messages(m.messages ?? [])
    if (m.people === null) {                               // Redis is away: what is shown stays
      if (!here) view.rooms(m.rooms, room)
      clearTimeout(unknown)
      unknown = setTimeout(() => ask({ new: true }), 5000 + Math.random() * 5000)   // the others may not know of this page either
      return view.unsure()
    }
    if (here && m.at < here.at) return                     // two lists that overtook each other
    if (here) compare(here.people, m.people)
    here = m
    view.rooms(m.rooms, room)
    view.people(m.people, me)
  },
  message(m) {
    if (m.room !== room) return
    last = Math.max(last, m.id)
    show(m)
  },
  private: show,
  rooms(m) {
    view.rooms(m.rooms, room)
  },
  typing(m) {
    if (m.room === room) view.typing(m.name)
  },
  error(m) {
    view.notice(m.text, 'error')
  },
  notice(m) {
    view.notice(String(m.text ?? ''), 'push')
  },
}

/** Pushes from elsewhere may be plain text, or JSON that we do not know: both are shown. */
function receive(m) {
  if (m !== null && typeof m === 'object' && Object.hasOwn(receivers, m.type)) receivers[m.type](m)
  else view.notice(typeof m === 'string' ? m : JSON.stringify(m), 'push')
}

function messages(list) {
  if (last > 0 && list[0]?.id > last) view.notice('Some messages are missing here: the room keeps the last 50.')
  view.busy(true)
  list.forEach(receivers.message)
  view.busy(false)
}

function compare(before, now) {
  for (const name of now) {
    if (!before.includes(name) && !returned(name) && name !== me) view.notice(`${name} has come in`)
  }
  for (const name of before) {
    if (!now.includes(name)) gone(name, room)
  }
}

/** Announces that a person has left, unless they return soon; without a connection it is unknown. */
function gone(name, from) {
  leaving.set(name, setTimeout(() => {
    leaving.delete(name)
    if (from !== room || name === me) return
    if (online) view.notice(`${name} has left`)
    else gone(name, from)
  }, 10_000))
}

/** Whether a person who is here now was about to be announced as gone. */
function returned(name) {
  clearTimeout(leaving.get(name))
  return leaving.delete(name)
}

function show(m) {
  const identity = `${m.from}/${m.key}`
  if (shown.has(identity)) return
  shown.add(identity)
  view.typed(m.from)
  const mine = m.from === me
  view.message({ ...m, mine }, mine ? outbox.confirmed(m.key) : null)
}

// -------------------------------------------------------------------- sending

// What is written waits here until the server has confirmed it: one at a time,
// not faster than one a second. When it is unsure whether the server had a
// message, it is sent again; the server knows it by its key and keeps it once.
const outbox = {
  items: [],
  waiting: new Map(),       // key => the message as the page shows it, until it comes back from the server

  add(message) {
    const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`
    const item = { ...message, key }
    this.waiting.set(key, view.message({ ...item, id: Date.now(), from: me, mine: true, waiting: true }))
    this.items.push(item)
    if (this.items.length === 1) this.run()
  },
  async run() {
    for (; this.items.length > 0; this.items.shift()) {
      const { key } = this.items[0]
      const problem = await this.deliver(this.items[0])
      if (problem && this.waiting.has(key)) view.failed(this.confirmed(key), problem)
      await pause(1050)
    }
  },
  /** Returns why the server does not take a message, or nothing. */
  async deliver(item) {
    for (let unsure = 0; unsure < 5;) {
      try {
        const answer = await live.send(item)
        if (answer?.type !== 'slow') return answer?.type === 'error' ? answer.text : ''
        await pause(answer.wait * 1000 + 50)
      } catch ({ reason, data }) {
        if (reason === 'closed') return 'the chat has ended.'
        if (reason === 'unsure') unsure++
        else await pause(5000)
        if (data) receive(data)                            // the error_message of the route
      }
    }
    return 'the server did not confirm it.'
  },
  /** The message with this key, as the page shows it, if it still waited. */
  confirmed(key) {
    const element = this.waiting.get(key) ?? null
    this.waiting.delete(key)
    return element
  },
}

// -------------------------------------------------------------------- writing

let lastTyping = 0

view.start({
  send(text, to) {
    lastTyping = 0
    outbox.add(to ? { type: 'private', to, text } : { type: 'say', room, text })
  },
  typing() {
    if (!online || Date.now() - lastTyping < 4000) return
    lastTyping = Date.now()
    live.send({ type: 'typing' }).catch(() => {})
  },
  enter,
  retry: () => live.retry(),
})
const live = new Live(() => `${path}?room=${encodeURIComponent(room)}&me=${encodeURIComponent(me)}`, { message: receive, state })
