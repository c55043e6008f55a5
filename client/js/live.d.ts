/** Whether a close code says "do not come back", as in the table of docs/contract.md. */
export function isFinal(code: number): boolean

/**
 * Why a message has no reply:
 * - the server's word, such as "failed" or "busy";
 * - "unsure": the connection was lost, and the server may have handled the message;
 * - "user": the page has come back as another user, such as after a login in another tab, and it was not sent;
 * - "unkept": it has, and the reply, which was lost, cannot be had again;
 * - "timeout": none came within send's timeout; the server may have handled it;
 * - "full": too much waits already, and it was not sent;
 * - "closed": the connection has ended for good.
 */
export type Reason = 'failed' | 'unsure' | 'user' | 'unkept' | 'timeout' | 'full' | 'closed' | (string & {})

/** What the promise of a message without a reply is rejected with. */
export class NoReply extends Error {
  reason: Reason
  /** What came with the error: the route's error_message. */
  data: unknown
}

export interface Handlers {
  /**
   * Connect's body, pushes and replies to others; binary data is a Uint8Array. One that throws is reported on the
   * console and does not get the message again. Promises are not awaited.
   *
   * from is the sender of a relayed frame (WS-Relay), "user:42" or "conn:<id>": the data is that client's word, which no
   * script has seen. Without it the data is a script's word. With options.plain there is none: such a text is the
   * object { from, data } itself.
   */
  message?(data: any, from?: string): void
  /**
   * Messages are missing. Connect's body, which follows, is the state: nothing needs to be done here, but the page
   * may say so.
   */
  gap?(): void
  /**
   * connecting; open, with the resume of the hello: new, ok, gap or off; waiting, with the milliseconds until the next
   * attempt; stopped, with the close code and reason.
   */
  state?(name: 'connecting', detail?: undefined): void
  state?(name: 'open', detail: 'new' | 'ok' | 'gap' | 'off'): void
  state?(name: 'waiting', detail: number): void
  state?(name: 'stopped', detail: { code: number, reason: string }): void
}

export interface Options {
  /** The position at which the page was rendered (WS_POSITION). */
  last?: string
  /** How many messages may wait for a connection or a reply: 100. */
  most?: number
  /** How many UTF-16 units of text these may have: 1,048,576. */
  bytes?: number
  /** Speak to a route without wsfpm.v1: payloads as they are, no replies by id, no resume. A promise of send resolves when the message is sent. */
  plain?: boolean
  /** Another implementation, as for tests. */
  WebSocket?: unknown
}

export interface SendOptions {
  /** Gets each reply before the last, such as the lines of a stream. */
  part?(data: any): void
  /** Milliseconds until the promise is rejected with "timeout". Without it a message waits as long as it takes. */
  timeout?: number
}

/** A connection that comes back until the server or the page ends it. */
export class Live {
  /** url: an address, or a function that is asked before every attempt, as for a new token. */
  constructor(url: string | URL | (() => string | URL | Promise<string | URL>), on: Handlers, options?: Options)
  /**
   * Sends a message, once there is a connection, and returns a promise of the reply, undefined if PHP sends none. It is
   * rejected with NoReply. On a route with once a message without a reply is sent again after the connection was lost,
   * twice at most: PHP runs once, or hears of a second attempt.
   */
  send(data: unknown, options?: SendOptions): Promise<any>
  /** Tries again now if it waits. Not needed when the device is online again, or the page is seen again. */
  retry(): void
  /** Ends it for good. */
  close(): void
}
