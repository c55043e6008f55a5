// The page of the chat: what arrives, what is sent, and what keeps both right
// when the connection comes and goes. Drawing is in view.js.

import { Socket } from './socket.js'
import * as view from './view.js'

const { me, path } = document.body.dataset
const scheme = location.protocol === 'https:' ? 'wss' : 'ws'

let room = decodeURIComponent(location.hash.slice(1))
let drawn = null            // the room that the page shows
let last = 0                // id of the newest message of this room
let version = 0             // of the list of people
let synced = false
const shown = new Set()     // messages on the page: one may arrive twice
const leaving = new Map()   // a reload is no departure: name => timer

// ---------------------------------------------------------------- connection

const socket = new Socket(() => `${scheme}://${location.host}${path}?room=${encodeURIComponent(room)}`, {
  open() {},                // the server speaks first: "room"
  message: receive,
  state(name, detail) {
    if (name !== 'open') {
      synced = false
      outbox.pause()
    }
    view.state(name, detail)
  },
  lost(code) {
    if (code === 1009) outbox.fail(outbox.items[0]?.item.key, 'it is too long.')   // or it would be sent for ever
  },
  // A browser does not say why a handshake was refused, so ask.
  async refused() {
    const answer = await fetch('whoami.php', { cache: 'no-store' }).catch(() => null)
    if (answer?.status === 401) location.href = 'index.php'
  },
})

function sync(patience = 20_000) {
  if (socket.send({ type: 'sync', after: last })) socket.expectAnswer(patience)
}

setInterval(() => sync(), 60_000)                          // "I am here", and what was missed
window.addEventListener('offline', () => sync(3000))       // perhaps: a connection within the machine stays open
setInterval(() => fetch('whoami.php').catch(() => {}), 600_000)   // keeps the PHP session alive
document.addEventListener('visibilitychange', () => {
  if (document.hidden) return
  view.read()
  socket.retry()
  sync()
})

// ------------------------------------------------------------------ receiving

const receivers = {
  room(m) {
    if (m.room !== drawn) {
      room = drawn = m.room
      last = version = 0
      shown.clear()
      view.enterRoom(room)
      history.replaceState(null, '', '#' + encodeURIComponent(room))
    }
    sync()
  },
  sync(m) {
    if (m.room !== room) return
    if (last > 0 && m.messages.length >= 50) view.notice('Some messages are missing here: the room keeps the last 50.')
    view.busy(true)
    m.messages.forEach(receivers.message)
    view.busy(false)
    m.people.forEach(returned)
    version = 0
    receivers.people(m)
    synced = true
    outbox.resume()
  },
  message(m) {
    if (m.room !== room) return
    last = Math.max(last, m.id)
    show(m)
  },
  private: show,
  joined(m) {
    receivers.people(m)
    if (m.room !== room) return
    if (!returned(m.name)) view.notice(`${m.name} has come in`)
  },
  left(m) {
    receivers.people(m)
    if (m.room === room) gone(m.name, room)
  },
  people(m) {
    if (m.version < version) return                        // two lists that overtook each other
    view.rooms(m.rooms, room)
    if (m.room !== room) return
    version = m.version
    view.people(m.people, me)
  },
  rooms(m) {
    view.rooms(m.rooms, room)
  },
  typing(m) {
    if (m.room === room) view.typing(m.name)
  },
  slow(m) {
    outbox.later(m.key, m.wait * 1000)
  },
  error(m) {
    if (!outbox.fail(m.key, m.text)) view.notice(m.text, 'error')
  },
  notice(m) {
    view.notice(String(m.text ?? ''), 'push')
  },
}

/** Pushes from elsewhere may be plain text, or JSON that we do not know: both are shown. */
function receive(text) {
  let m = null
  try {
    m = JSON.parse(text)
  } catch {}
  if (m !== null && typeof m === 'object' && Object.hasOwn(receivers, m.type)) receivers[m.type](m)
  else view.notice(text, 'push')
}

/** Announces that a person has left, unless they return soon; without a connection it is unknown. */
function gone(name, from) {
  leaving.set(name, setTimeout(() => {
    leaving.delete(name)
    if (from !== room) return
    if (synced) view.notice(`${name} has left`)
    else gone(name, from)
  }, 4000))
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
  const waiting = m.from === me ? outbox.done(m.key) : null
  view.message({ ...m, mine: m.from === me }, waiting)
}

// -------------------------------------------------------------------- sending

// What is written waits here until the server has confirmed it: one at a time,
// not faster than one a second. After a reconnect the first is sent again; the
// server knows it by its key and keeps it once.
const outbox = {
  items: [],
  timer: 0,

  add(message) {
    const key = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`
    const item = { ...message, key }
    const element = view.message({ ...item, id: Date.now(), from: me, mine: true, waiting: true })
    this.items.push({ item, element })
    if (this.items.length === 1) this.pump()
  },
  pump() {
    clearTimeout(this.timer)
    if (!synced || this.items.length === 0) return
    socket.send(this.items[0].item)
    socket.expectAnswer(20_000)
    this.timer = setTimeout(() => this.pump(), 5000)      // no receipt: once more, with the same key
  },
  done(key) {
    const i = this.items.findIndex(x => x.item.key === key)
    if (i < 0) return null
    const [{ element }] = this.items.splice(i, 1)
    if (i === 0) this.later(this.items[0]?.item.key, 1050)
    return element
  },
  later(key, ms) {
    if (this.items[0]?.item.key !== key) return
    clearTimeout(this.timer)
    this.timer = setTimeout(() => this.pump(), ms)
  },
  fail(key, why) {
    const element = key ? this.done(key) : null
    if (element) view.failed(element, why)
    return element !== null
  },
  pause() {
    clearTimeout(this.timer)
  },
  resume() {
    if (this.items.length > 0) this.pump()
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
    if (Date.now() - lastTyping < 4000) return
    lastTyping = Date.now()
    socket.send({ type: 'typing' })
  },
  enter(name) {
    if (!socket.send({ type: 'room', room: name })) view.notice('Not connected: try again in a moment.', 'error')
  },
  retry: () => socket.retry(),
})
socket.connect()
