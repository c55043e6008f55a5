import type { Options } from './live.js'

type Callback = (...args: any[]) => void

/**
 * What error() gets. Status is that of HTTP: 403 for a channel that the user may not join, or no longer; 429 for too many; 500 for a
 * failure. When the whole message has failed it is sent again.
 */
export interface SubscriptionError {
  type: 'AuthError' | 'ServerError'
  status: number
}

/** A channel. Its callbacks stay over lost connections, after which it is subscribed again. */
export class WsfpmChannel {
  readonly name: string
  readonly isSubscribed: boolean
  listen(event: string, callback: (data: any) => void): this
  listenToAll(callback: (event: string, data: any) => void): this
  stopListening(event: string, callback?: Callback): this
  stopListeningToAll(callback?: Callback): this
  notification(callback: (notification: any) => void): this
  stopListeningForNotification(callback: Callback): this
  listenForWhisper(event: string, callback: (data: any) => void): this
  stopListeningForWhisper(event: string, callback?: Callback): this
  /** Called after each subscription, also after a lost connection. */
  subscribed(callback: () => void): this
  error(callback: (error: SubscriptionError) => void): this
  /** Binds a callback to an event by its full name. */
  on(event: string, callback: (data: any) => void): this
}

export class WsfpmPrivateChannel extends WsfpmChannel {
  /** Sends an event to the others of the channel; without a subscription it is dropped. */
  whisper(event: string, data: unknown): this
}

/** What its callbacks get is what the channel's callback in routes/channels.php returns for a user. */
export class WsfpmPresenceChannel extends WsfpmPrivateChannel {
  /** Called with all members after each subscription. */
  here(callback: (members: any[]) => void): this
  joining(callback: (member: any) => void): this
  leaving(callback: (member: any) => void): this
}

export interface WsfpmOptions {
  /** The address of Route::websocket, or a function that is asked before every attempt to connect: "/ws/echo". */
  url?: string | URL | (() => string | URL | Promise<string | URL>)
  /** The namespace of events: "App.Events". */
  namespace?: string | false
  /** Options of Live. */
  live?: Options
  [more: string]: unknown
}

/** A connector for laravel-echo 2: new Echo({ broadcaster: WsfpmConnector, url: '/ws/echo' }). */
export class WsfpmConnector {
  readonly channels: Record<string, WsfpmChannel>
  constructor(options: WsfpmOptions)
  connect(): void
  listen(name: string, event: string, callback: (data: any) => void): WsfpmChannel
  channel(name: string): WsfpmChannel
  privateChannel(name: string): WsfpmPrivateChannel
  /** Throws: there are no encrypted channels. */
  encryptedPrivateChannel(name: string): never
  presenceChannel(name: string): WsfpmPresenceChannel
  /** Leaves a channel, and its private and presence variants. */
  leave(name: string): void
  leaveChannel(name: string): void
  /** The connection's id, for X-Socket-ID: undefined while there is no connection. */
  socketId(): string | undefined
  connectionStatus(): 'connected' | 'connecting' | 'reconnecting' | 'disconnected' | 'failed'
  /** Returns a function that ends it. */
  onConnectionChange(callback: (status: 'connected' | 'connecting' | 'reconnecting' | 'disconnected' | 'failed') => void): () => void
  disconnect(): void
}
