// Everything that touches the page. Text from others is only ever set as text,
// never as HTML.

const $ = id => document.getElementById(id)
const log = $('log')
const text = $('text')
const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' })
const date = new Intl.DateTimeFormat(undefined, { dateStyle: 'medium' })
const MOST = 400            // entries on the page

let act = {}                // what the page may ask for: send, typing, enter, retry
let privateTo = null
let unread = 0
let following = true        // the newest message is in sight

function make(tag, classes, ...content) {
  const element = document.createElement(tag)
  if (classes) element.className = classes
  element.append(...content)
  return element
}

// ------------------------------------------------------------------- messages

/** Shows a message, or confirms the one that was waiting (element). Returns its element. */
export function message(m, element = null) {
  const stay = following || m.waiting
  const li = element ?? make('li', 'message')
  li.dataset.id = m.id
  li.dataset.from = m.from
  li.classList.toggle('mine', m.mine)
  li.classList.toggle('waiting', !!m.waiting)
  li.classList.toggle('private', m.type === 'private')
  if (!element) {
    li.append(avatar(m.from), make('div', 'bubble', head(m), make('p', 'text', ...links(m.text))))
  }
  const time = li.querySelector('time')
  const at = new Date(m.id)
  time.dateTime = at.toISOString()
  time.title = at.toLocaleString()
  time.textContent = at.toDateString() === new Date().toDateString() ? clock.format(at) : `${date.format(at)}, ${clock.format(at)}`
  place(li)
  if (!m.mine && document.hidden) document.title = `(${++unread}) ${document.title.replace(/^\(\d+\) /, '')}`
  follow(stay, !m.mine)
  return li
}

/** Marks a message that the server did not accept. */
export function failed(li, why) {
  li.classList.remove('waiting')
  li.classList.add('failed')
  li.querySelector('.bubble').append(make('p', 'why', `Not sent: ${why}`))
}

/** A line without an author. kind: quiet, push (from the server) or error. */
export function notice(content, kind = 'quiet') {
  // While PHP is down every attempt fails alike: one line is enough.
  const before = [...log.querySelectorAll(':scope > :not(.waiting)')].at(-1)
  if (kind === 'error' && before?.matches('.error') && before.textContent === content) return
  const stay = following
  const li = make('li', `notice ${kind}`, make('p', '', ...links(content)))
  li.dataset.id = Date.now()
  place(li)
  follow(stay, false)
}

function head(m) {
  const name = make('button', 'name', m.mine && m.type !== 'private' ? 'You' : m.from)
  name.type = 'button'
  if (m.mine) name.disabled = true
  else name.onclick = () => writeTo(m.from)
  const line = make('p', 'head', name)
  if (m.type === 'private') {
    name.textContent = m.mine ? `You to ${m.to}` : m.from
    line.append(make('span', 'tag', 'private'))
  }
  line.append(make('time'))
  return line
}

function avatar(name) {
  const circle = make('span', 'avatar', [...name][0].toUpperCase())
  circle.setAttribute('aria-hidden', 'true')
  let hash = 0
  for (const c of name) hash = (hash * 149 + c.codePointAt(0)) % 9973
  circle.style.setProperty('--hue', hash % 360)
  return circle
}

/** Text with its web addresses as links. */
function links(content) {
  return content.split(/(https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)])/u).map((part, i) => {
    if (i % 2 === 0) return part
    const a = make('a', '', part)
    a.href = part
    a.target = '_blank'
    a.rel = 'noopener noreferrer'
    return a
  })
}

/** Puts an entry where its time belongs: nearly always at the end. What still waits stays last. */
function place(li) {
  const time = e => e.classList.contains('waiting') ? Infinity : Number(e.dataset.id)
  li.remove()
  let before = null
  for (let e = log.lastElementChild; e && time(e) > time(li); e = e.previousElementSibling) before = e
  log.insertBefore(li, before)
  group(li)
  if (before) group(before)
  while (log.childElementCount > MOST) log.firstElementChild.remove()
}

/** Messages of one person within five minutes share one name. */
function group(li) {
  const previous = li.previousElementSibling
  li.classList.toggle('again', previous !== null && previous.dataset.from === li.dataset.from && li.dataset.from !== undefined
    && !li.classList.contains('private') && !previous.classList.contains('private')
    && li.dataset.id - previous.dataset.id < 300_000)
}

function atEnd() {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 80
}

function follow(stay, announce) {
  if (stay) log.scrollTop = log.scrollHeight
  else if (announce) $('newer').hidden = false
}

/** While it is busy, a screen reader does not read fifty old messages out. */
export function busy(on) {
  log.setAttribute('aria-busy', on)
}

/** The page is being looked at again. */
export function read() {
  unread = 0
  document.title = document.title.replace(/^\(\d+\) /, '')
}

// ----------------------------------------------------------- rooms and people

export function enterRoom(name) {
  for (const li of [...log.children]) {
    if (!li.matches('.waiting, .private')) li.remove()
  }
  $('room').textContent = name
  document.title = `#${name} · wsfpm chat`
  $('newer').hidden = true
  $('typing').textContent = ''
  following = true
  menu(false)
}

/** Replaces the entries of a list and keeps the keyboard focus. */
function fill(list, entries) {
  const at = list.contains(document.activeElement) ? document.activeElement.dataset.name : undefined
  list.replaceChildren(...entries)
  if (at !== undefined) [...list.querySelectorAll('button')].find(b => b.dataset.name === at)?.focus()
}

export function rooms(counts, current) {
  fill($('rooms'), Object.entries(counts).map(([name, count]) => {
    const button = make('button', '', make('span', 'hash', '#'), make('span', 'label', name), make('span', 'count', count || ''))
    button.dataset.name = name
    button.setAttribute('aria-label', `${name}, ${count} here`)
    if (name === current) button.setAttribute('aria-current', 'true')
    button.onclick = () => name === current ? menu(false) : act.enter(name)
    return make('li', '', button)
  }))
}

export function people(names, me) {
  $('count').textContent = names.length === 1 ? '1 here' : `${names.length} here`
  fill($('people'), names.map(name => {
    const button = make('button', '', avatar(name), make('span', 'label', name))
    button.dataset.name = name
    if (name === me) {
      button.disabled = true
      button.append(make('span', 'count', 'you'))
    } else {
      button.title = `Write to ${name} alone`
      button.onclick = () => writeTo(name)
    }
    return make('li', '', button)
  }))
}

/** The list of people may be an old one. */
export function unsure() {
  $('count').textContent = 'who is here is not known now'
}

const typers = new Map()

export function typing(name) {
  clearTimeout(typers.get(name))
  typers.set(name, setTimeout(() => typed(name), 6000))
  drawTyping()
}

export function typed(name) {
  clearTimeout(typers.get(name))
  if (typers.delete(name)) drawTyping()
}

function drawTyping() {
  const names = [...typers.keys()]
  $('typing').textContent = names.length === 0 ? ''
    : names.length > 2 ? 'Several people are typing…'
    : `${names.join(' and ')} ${names.length === 1 ? 'is' : 'are'} typing…`
}

// ----------------------------------------------------------------- connection

let countdown = 0

export function state(name, detail) {
  clearInterval(countdown)
  const words = { connecting: 'Connecting', open: 'Online', waiting: 'Reconnecting', offline: 'Offline', stopped: 'Stopped' }
  $('state').dataset.state = name
  $('state').textContent = words[name]
  $('banner').hidden = name === 'open' || name === 'connecting'
  $('banner').dataset.state = name
  $('retry').hidden = name === 'offline'
  $('retry').textContent = name === 'stopped' ? 'Reload' : 'Try now'
  $('retry').onclick = name === 'stopped' ? () => location.reload() : act.retry
  text.disabled = name === 'stopped'
  if (name === 'stopped') $('banner-text').textContent = `The chat has ended: ${detail.reason || `the server closed the connection (${detail.code})`}.`
  if (name === 'offline') $('banner-text').textContent = 'You are offline. What you write is sent when you are back.'
  if (name === 'waiting') {
    const until = Date.now() + detail
    const draw = () => {
      const left = Math.max(1, Math.ceil((until - Date.now()) / 1000))
      $('banner-text').textContent = `No connection. Next attempt in ${left} s; what you write is kept.`
    }
    draw()
    countdown = setInterval(draw, 1000)
  }
}

// -------------------------------------------------------------------- writing

function writeTo(name) {
  privateTo = name
  $('private').hidden = name === null
  $('to').textContent = name ?? ''
  $('composer').classList.toggle('to-one', name !== null)
  text.placeholder = name === null ? 'Write a message' : `Only ${name} will see this`
  menu(false)
  text.focus()
}

function fit() {
  text.style.height = 'auto'
  text.style.height = `${text.scrollHeight}px`
}

function menu(open) {
  if (!open && $('side').contains(document.activeElement)) $('menu').focus()   // on a desktop it is not there, and nothing happens
  document.body.classList.toggle('menu', open)
  $('menu').setAttribute('aria-expanded', open)
  $('shade').hidden = !open
}

export function start(actions) {
  act = actions
  $('composer').onsubmit = event => {
    event.preventDefault()
    const content = text.value.trim()
    if (content === '') return
    act.send(content, privateTo)
    text.value = ''
    fit()
  }
  text.oninput = () => {
    fit()
    if (text.value.trim() !== '' && privateTo === null) act.typing()
  }
  text.onkeydown = event => {
    if (event.key === 'Escape' && privateTo !== null) writeTo(null)
    if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
    event.preventDefault()
    $('composer').requestSubmit()
  }
  $('public').onclick = () => writeTo(null)
  $('new-room').onsubmit = event => {
    event.preventDefault()
    const name = $('room-name').value.trim().toLowerCase().replace(/\s+/g, '-')
    if (name !== '') act.enter(name)
    $('room-name').value = ''
  }
  $('menu').onclick = () => menu(!document.body.classList.contains('menu'))
  $('shade').onclick = () => menu(false)
  document.addEventListener('keydown', event => { if (event.key === 'Escape') menu(false) })
  let height = log.clientHeight
  log.addEventListener('scroll', () => {
    if (log.clientHeight !== height) return              // the page has moved it, not the person
    following = atEnd()
    if (following) $('newer').hidden = true
  })
  // A keyboard that opens, a longer draft: the last message stays in sight.
  new ResizeObserver(() => {
    height = log.clientHeight
    follow(following, false)
  }).observe(log)
  $('newer').onclick = () => { log.scrollTop = log.scrollHeight }
  if (matchMedia('(pointer: fine)').matches) text.focus()   // on a phone the keyboard would open
}
