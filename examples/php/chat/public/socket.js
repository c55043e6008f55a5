// A WebSocket that comes back: after a deploy, a tunnel, a night with the lid
// closed. It waits longer after every failure, up to 30 seconds, and a random
// part of that ("full jitter"), so that thousands of browsers do not return in
// the same second.

const FIRST = 500           // ms, the longest wait before the first attempt
const LONGEST = 30_000
const STABLE = 10_000       // open for that long: the next failure is a first one again
const OPENING = 15_000      // a handshake that takes longer has failed

/**
 * Whether a close code says "do not come back", as in the table of docs/contract.md.
 * The rest is a restart, an overload or a lost connection; 4401 needs a new token
 * first, 4408 means a slow reader.
 */
export function isFinal(code) {
  if (code === 4401 || code === 4408) return false
  return code === 1000 || code === 1005 || code === 1008 || code >= 3000
}

export class Socket {
  #url
  #on
  #ws = null
  #failures = 0
  #timer = 0
  #silence = 0
  #deadline = 0

  /**
   * url: a function, asked before every attempt.
   * on: { message(text), open(), state(name, detail), lost(code), refused() }; the
   * states are connecting, open, waiting (detail: ms), offline and stopped (detail: why).
   */
  constructor(url, on) {
    this.#url = url
    this.#on = on
    window.addEventListener('online', () => this.retry())
    window.addEventListener('offline', () => { if (!this.#ws) this.#wait() })
  }

  connect() {
    clearTimeout(this.#timer)
    this.#on.state('connecting')
    const ws = this.#ws = new WebSocket(this.#url())
    let opened = 0
    this.#timer = setTimeout(() => this.#lost(ws, 1006, '', false), OPENING)

    ws.onopen = () => {
      clearTimeout(this.#timer)
      opened = Date.now()
      this.#on.state('open')
      this.#on.open()
    }
    ws.onmessage = event => {
      this.#answered()
      this.#on.message(event.data)
    }
    ws.onclose = event => {
      if (opened && Date.now() - opened > STABLE) this.#failures = 0
      this.#lost(ws, event.code, event.reason, opened > 0)
    }
  }

  /** Sends; returns whether it succeeded. */
  send(data) {
    if (!this.isOpen) return false
    this.#ws.send(JSON.stringify(data))
    return true
  }

  get isOpen() {
    return this.#ws?.readyState === WebSocket.OPEN
  }

  /**
   * Gives the connection up when nothing arrives within ms: a dead line looks
   * like a quiet one. While an earlier answer is due sooner, that one counts.
   */
  expectAnswer(ms) {
    const ws = this.#ws
    const deadline = Date.now() + ms
    if (this.#deadline > 0 && this.#deadline <= deadline) return
    this.#answered()
    this.#deadline = deadline
    this.#silence = setTimeout(() => this.#lost(ws, 1006, '', true), ms)
  }

  #answered() {
    clearTimeout(this.#silence)
    this.#deadline = 0
  }

  /** Tries again now instead of later. */
  retry() {
    if (!this.#ws && this.#timer !== null) this.connect()
  }

  /** Ends it for good. */
  stop(why) {
    clearTimeout(this.#timer)
    this.#answered()
    this.#timer = null
    this.#drop()
    this.#on.state('stopped', why)
  }

  #lost(ws, code, reason, wasOpen) {
    if (ws !== this.#ws) return
    this.#answered()
    this.#drop()
    if (wasOpen) this.#on.lost(code)
    if (isFinal(code)) return this.stop(reason || `the server closed the connection (${code})`)
    this.#wait()
    if (!wasOpen) this.#on.refused()
  }

  #wait() {
    clearTimeout(this.#timer)
    if (navigator.onLine === false) return this.#on.state('offline')
    const wait = Math.random() * Math.min(LONGEST, FIRST * 2 ** this.#failures++)
    this.#timer = setTimeout(() => this.connect(), wait)
    this.#on.state('waiting', wait)
  }

  #drop() {
    const ws = this.#ws
    this.#ws = null
    if (!ws) return
    ws.onopen = ws.onmessage = ws.onclose = null
    ws.close()
  }
}
