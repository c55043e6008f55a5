// Laravel Echo over wsfpm: a connector for laravel-echo 2, whose server is Wsfpm\Laravel\EchoHandler of client/php.
//
//   import Echo from 'laravel-echo'
//   import { WsfpmConnector } from './echo.js'
//   const echo = new Echo({ broadcaster: WsfpmConnector, url: '/ws/echo' })
//   echo.private('orders.7').listen('OrderShipped', show)

import { Live } from './live.js'

const MOST = 60             // channels in one message, as EchoHandler takes
const AGAIN = 5_000         // ms, the least until channels are asked for again that were neither granted nor refused; doubled each time
const LONGEST = 30_000

/** A channel. Its callbacks stay over lost connections, after which it is subscribed again. */
export class WsfpmChannel {
  isSubscribed = false
  #callbacks = new Map()    // event → Set
  #all = new Set()          // of listenToAll

  constructor(connector, name) {
    this.connector = connector
    this.name = name
  }

  listen(event, callback) {
    return this.on(this.#full(event), callback)
  }

  listenToAll(callback) {
    this.#all.add(callback)
    return this
  }

  stopListening(event, callback) {
    const name = this.#full(event)
    callback ? this.#callbacks.get(name)?.delete(callback) : this.#callbacks.delete(name)
    return this
  }

  stopListeningToAll(callback) {
    callback ? this.#all.delete(callback) : this.#all.clear()
    return this
  }

  notification(callback) {
    return this.listen(NOTIFICATION, callback)
  }

  stopListeningForNotification(callback) {
    return this.stopListening(NOTIFICATION, callback)
  }

  listenForWhisper(event, callback) {
    return this.listen(`.client-${event}`, callback)
  }

  stopListeningForWhisper(event, callback) {
    return this.stopListening(`.client-${event}`, callback)
  }

  subscribed(callback) {
    return this.on(SUBSCRIBED, callback)
  }

  error(callback) {
    return this.on(ERROR, callback)
  }

  /** Binds a callback to an event by its full name. */
  on(event, callback) {
    if (!this.#callbacks.has(event)) this.#callbacks.set(event, new Set())
    this.#callbacks.get(event).add(callback)
    return this
  }

  /** A push of the server for this channel. */
  received(m) {
    if ('status' in m) this.answered(m.status)
    if (!('event' in m)) return
    this.fire(m.event, m.data)
    for (const callback of [...this.#all]) call(callback, this.#short(m.event), m.data)
  }

  /** How the server has answered a subscription, or has ended one: a status of HTTP. */
  answered(status) {
    this.isSubscribed = status === 200
    this.isSubscribed ? this.fire(SUBSCRIBED) : this.fire(ERROR, { type: status === 403 ? 'AuthError' : 'ServerError', status })
  }

  fire(event, ...args) {
    for (const callback of [...this.#callbacks.get(event) ?? []]) call(callback, ...args)
  }

  /** The class that Laravel sends for a short name; a name that begins with a dot stands for itself. */
  #full(event) {
    if (event[0] === '.' || event[0] === '\\') return event.slice(1)
    const namespace = this.connector.options.namespace
    return (namespace ? `${namespace}.${event}` : event).replaceAll('.', '\\')
  }

  #short(event) {
    const namespace = `${this.connector.options.namespace}\\`.replaceAll('.', '\\')
    return event.startsWith(namespace) ? event.slice(namespace.length) : `.${event}`
  }
}

// Names that no event of the server has.
const [SUBSCRIBED, ERROR, HERE, JOINING, LEAVING] = ['subscribed', 'error', 'here', 'joining', 'leaving'].map(Symbol)
const NOTIFICATION = '.Illuminate\\Notifications\\Events\\BroadcastNotificationCreated'

export class WsfpmPrivateChannel extends WsfpmChannel {
  /** Sends an event to the others of the channel; without a subscription it is dropped. */
  whisper(event, data) {
    if (this.isSubscribed) this.connector.send({ whisper: event, channel: this.name, data })
    return this
  }
}

export class WsfpmPresenceChannel extends WsfpmPrivateChannel {
  #members = new Map()      // id → info

  here(callback) {
    return this.on(HERE, callback)
  }

  joining(callback) {
    return this.on(JOINING, callback)
  }

  leaving(callback) {
    return this.on(LEAVING, callback)
  }

  /** The list says that the client is in the channel, not the reply. */
  answered(status) {
    if (status !== 200) super.answered(status)
  }

  /** The list comes first, then each change, in the server's order. */
  received(m) {
    super.received(m)
    if (m.here) {
      this.#members = new Map(m.here)
      super.answered(200)
      this.fire(HERE, [...this.#members.values()])
    }
    for (const id of m.left ?? []) {
      const info = this.#members.get(id)
      if (this.#members.delete(id)) this.fire(LEAVING, info)
    }
    for (const [id, info] of m.joined ?? []) {
      const isNew = !this.#members.has(id)
      this.#members.set(id, info)
      if (isNew) this.fire(JOINING, info)
    }
  }
}

export class WsfpmConnector {
  channels = Object.create(null)
  #live
  #socket                   // the connection's id, while there is one
  #status = 'connecting'
  #watching = new Set()
  #wanted = new Set()       // names that are still to be asked for

  /** What Echo shows when it has no such kind of channel. */
  static toString() {
    return 'WsfpmConnector'
  }

  constructor(options) {
    if (!options) return    // laravel-echo up to 2.0 makes one without, to see whether it can
    this.options = { namespace: 'App.Events', url: '/ws/echo', ...options }
    this.connect()
  }

  connect() {
    this.#live?.close()     // one connection at a time
    this.#live = new Live(this.options.url, {
      message: m => this.#received(m),
      state: (name, detail) => this.#changed(name, detail),
    }, this.options.live)
  }

  listen(name, event, callback) {
    return this.channel(name).listen(event, callback)
  }

  channel(name) {
    return this.#open(WsfpmChannel, name)
  }

  privateChannel(name) {
    return this.#open(WsfpmPrivateChannel, `private-${name}`)
  }

  encryptedPrivateChannel() {
    throw new Error('wsfpm has no encrypted channels: use private()')
  }

  presenceChannel(name) {
    return this.#open(WsfpmPresenceChannel, `presence-${name}`)
  }

  leave(name) {
    for (const prefix of ['', 'private-', 'presence-']) this.leaveChannel(prefix + name)
  }

  leaveChannel(name) {
    if (!this.channels[name]) return
    delete this.channels[name]
    if (!this.#wanted.delete(name)) this.#leave(name, AGAIN) // else it was not asked for yet
  }

  socketId() {
    return this.#socket
  }

  connectionStatus() {
    return this.#status
  }

  onConnectionChange(callback) {
    this.#watching.add(callback)
    return () => this.#watching.delete(callback)
  }

  disconnect() {
    this.#live.close()
  }

  /** Sends what has a meaning on this connection only. */
  send(message) {
    if (this.#socket) this.#live.send(message).catch(() => {})
  }

  #open(Kind, name) {
    if (!this.channels[name]) {
      this.channels[name] = new Kind(this, name)
      this.#want([name])
    }
    return this.channels[name]
  }

  /** All that a page wants in one go is one message. */
  #want(names) {
    if (this.#wanted.size === 0) queueMicrotask(() => this.#subscribe())
    for (const name of names) this.#wanted.add(name)
  }

  #subscribe() {
    if (!this.#socket) return this.#wanted.clear() // all are wanted when there is one
    const names = [...this.#wanted].slice(0, MOST)
    if (names.length === 0) return
    for (const name of names) this.#wanted.delete(name)
    if (this.#wanted.size) queueMicrotask(() => this.#subscribe())
    this.#ask(names, AGAIN)
  }

  async #ask(names, wait) {
    const socket = this.#socket
    const replies = await this.#live.send({ subscribe: names }).catch(() => {}) ?? {}
    if (socket !== this.#socket) return
    for (const name of names) this.channels[name]?.answered(replies[name]?.status ?? 500)
    const open = () => names.filter(name => this.channels[name]?.isSubscribed === false && (replies[name]?.status ?? 200) === 200)
    const again = () => socket === this.#socket && open().length && this.#ask(open(), Math.min(wait * 2, LONGEST))
    if (open().length) setTimeout(again, wait * (1 + Math.random()))
  }

  /** Until the server has heard it: others would see the page in the channel. */
  #leave(name, wait) {
    const socket = this.#socket
    const again = () => socket === this.#socket && !this.channels[name] && this.#leave(name, Math.min(wait * 2, LONGEST))
    if (socket) this.#live.send({ leave: name }).catch(() => setTimeout(again, wait * (1 + Math.random())))
  }

  #received(m) {
    if (m.socket) {
      this.#socket = m.socket
      this.#become('connected')
      this.#want(Object.keys(this.channels))
    } else {
      this.channels[m.channel]?.received(m)
    }
  }

  #changed(name, detail) {
    if (name === 'open') return // connect's body follows
    this.#socket = undefined
    for (const channel of Object.values(this.channels)) channel.isSubscribed = false
    if (name === 'stopped') this.#become(detail.code === 1000 ? 'disconnected' : 'failed')
    else if (name === 'waiting') this.#become('reconnecting')
  }

  #become(status) {
    if (status === this.#status) return
    this.#status = status
    for (const callback of [...this.#watching]) call(callback, status)
  }
}

/** A callback that throws costs the others nothing. */
function call(callback, ...args) {
  try {
    callback(...args)
  } catch (error) {
    console.error(error)
  }
}
