// The operators' page: it reads GET /figures, a line each second, and asks for look-ups.
// All text from the gateway becomes textContent: clients wrote some of it.

const el = id => document.getElementById(id);
const store = 'wsfpm.session';
const seconds = 120; // shown by a chart
const again = 3000; // milliseconds until the next try

/** make returns an element with a class and text or children. */
function make(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children.map(c => (c instanceof Node ? c : visible(String(c)))));
  return e;
}

/** visible shows control characters and those that turn the direction of text as escapes. */
function visible(text) {
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g,
    c => '\\u' + c.codePointAt(0).toString(16).padStart(4, '0'));
}

const number = n => (n >= 1e6 ? (n / 1e6).toFixed(1) + 'M' : n >= 1e4 ? (n / 1e3).toFixed(1) + 'k' : n < 10 && n % 1 ? n.toFixed(1) : n.toFixed(0));
const bytes = n => (n >= 2 ** 20 ? (n / 2 ** 20).toFixed(1) + ' MiB' : n >= 2 ** 10 ? (n / 2 ** 10).toFixed(1) + ' KiB' : n + ' B');
const duration = s => (s === 0 ? '–' : s < 0.01 ? (s * 1e3).toFixed(2) + ' ms' : s < 1 ? (s * 1e3).toFixed(0) + ' ms' : s.toFixed(1) + ' s');
const clock = t => new Date(t).toLocaleTimeString([], { hour12: false });

function state(kind, text) {
  el('state').dataset.state = kind;
  el('state').textContent = visible(text);
}

/** A chart of the last two minutes: lines of [color, values], newest last. */
class Chart {
  constructor(id, colors, format) {
    this.canvas = el(id);
    this.lines = colors.map(color => ({ color, values: [] }));
    this.format = format;
  }

  add(...values) {
    this.lines.forEach((line, i) => {
      line.values.push(values[i]);
      if (line.values.length > seconds + 1) line.values.shift();
    });
    this.draw();
  }

  draw() {
    const { canvas } = this;
    const [width, height, scale] = [canvas.clientWidth, canvas.clientHeight, devicePixelRatio || 1];
    canvas.width = width * scale;
    canvas.height = height * scale;
    const g = canvas.getContext('2d');
    g.scale(scale, scale);
    const color = name => getComputedStyle(document.documentElement).getPropertyValue(name);
    const top = Math.max(...this.lines.flatMap(l => l.values), 1e-9) * 1.15;
    const y = v => height - 1 - (v / top) * (height - 14);
    g.strokeStyle = color('--line');
    g.beginPath();
    g.moveTo(0, height - 0.5);
    g.lineTo(width, height - 0.5);
    g.stroke();
    g.fillStyle = color('--quiet');
    g.font = '11px system-ui, sans-serif';
    g.fillText(this.format(top / 1.15), 0, 10);
    for (const { color: name, values } of this.lines) {
      g.strokeStyle = color(name);
      g.lineWidth = 1.8;
      g.lineJoin = 'round';
      g.beginPath();
      const x = i => width - ((values.length - 1 - i) * width) / seconds;
      values.forEach((v, i) => g.lineTo(x(i), y(v)));
      g.stroke();
      g.lineTo(width, height);
      g.lineTo(x(0), height);
      g.globalAlpha = 0.1;
      g.fillStyle = g.strokeStyle;
      g.fill();
      g.globalAlpha = 1;
    }
    canvas.setAttribute('role', 'img');
    canvas.setAttribute('aria-label', this.lines.map(l => this.format(l.values.at(-1) ?? 0)).join(', '));
  }
}

const charts = {
  connections: new Chart('chart-connections', ['--main'], number),
  events: new Chart('chart-events', ['--main', '--bad'], number),
  wait: new Chart('chart-wait', ['--late', '--main'], duration),
  run: new Chart('chart-run', ['--late', '--main'], duration),
};
const redraw = () => Object.values(charts).forEach(c => c.draw());
addEventListener('resize', redraw);
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', redraw);

/** rows replaces the rows of a table. */
function rows(id, list) {
  el(id).tBodies[0].replaceChildren(...list.map(cells => make('tr', '', ...cells.map(c => make('td', '', c)))));
}

function show(f) {
  const each = n => (n ?? 0) / f.seconds;
  const events = each((f.events.connect ?? 0) + (f.events.message ?? 0) + (f.events.disconnect ?? 0) + (f.events.handshake ?? 0));
  state(f.not_ready ? 'bad' : 'good', f.not_ready ? `not ready: ${f.not_ready}` : `ready, ${clock(f.time)}`);
  el('node').textContent = visible(f.node);
  el('connections').textContent = number(f.connections);
  el('events').textContent = number(events);
  el('failed').textContent = f.failed ? `${number(each(f.failed))} failed` : '';
  el('wait').textContent = duration(f.wait.p50);
  el('wait99').textContent = `p99 ${duration(f.wait.p99)}`;
  el('run').textContent = duration(f.run.p50);
  el('run99').textContent = `p99 ${duration(f.run.p99)}`;
  charts.connections.add(f.connections);
  charts.events.add(events, each(f.failed));
  charts.wait.add(f.wait.p99, f.wait.p50);
  charts.run.add(f.run.p99, f.run.p50);

  el('pools').replaceChildren(...f.pools.map(pool));
  facts([
    ['Messages in', `${bytes(Math.round(each(f.bytes)))} a second`],
    ['Sent for others', `${number(each(f.delivered))} a second`],
    ['Queued for slow readers', bytes(f.queued)],
    ['Redis', f.redis.state === 'local' ? 'none' : `${f.redis.state}: ${number(each(f.redis.received))} in, ${number(each(f.redis.published))} out, ${number(each(f.redis.failed))} lost a second`],
    ['Log', f.log.state === 'off' ? 'off' : `${f.log.state}: ${number(f.log.entries)} ${f.log.entries === 1 ? 'message' : 'messages'} over ${Math.round(f.log.span)} s, lag ${duration(f.log.lag)}`],
  ]);
  rows('scripts', f.scripts.map(s => [path(s.script), number(each(s.events)), number(s.failed), duration(s.wait.p50), duration(s.wait.p99), duration(s.run.p50), duration(s.run.p99)]));
  rows('users', f.users.slice(0, 5).map(u => [u.name, number(each(u.events))]));
  rows('addresses', f.addresses.slice(0, 5).map(a => [a.name, number(each(a.events))]));
  el('slow').hidden = f.slow.length === 0;
  rows('slow', f.slow.slice(0, 5).map(s => [s.user ? `user:${s.user}` : s.connection, bytes(s.queued)]));
  f.failures.forEach(failure);
}

/** path returns the end of a path, with all of it as a hint. */
function path(text) {
  const parts = text.split('/');
  const e = make('span', '', parts.length > 3 ? `…/${parts.slice(-2).join('/')}` : text);
  e.title = visible(text);
  return e;
}

function pool(p) {
  const bar = make('progress');
  bar.max = Math.max(p.limit, 1);
  bar.value = Math.min(p.running + p.settling, bar.max);
  const note = [`${p.running} of ${p.limit} in use`];
  if (p.limit < p.max) note.push(`max ${p.max}`);
  if (p.settling) note.push(`${p.settling} settling`);
  if (p.waiting) note.push(`${number(p.waiting)} waiting`);
  if (p.down) note.push('DOWN');
  bar.setAttribute('aria-label', note.join(', '));
  return make('div', p.down || p.waiting ? 'pool full' : 'pool', make('b', '', p.name, make('span', p.down ? 'bad' : '', note.join(' · '))), bar);
}

function facts(list) {
  el('facts').replaceChildren(...list.flatMap(([name, value]) => [make('dt', '', name), make('dd', '', value)]));
}

function failure(r) {
  el('none').hidden = true;
  const who = r.user ? `user:${r.user}` : r.address ?? '';
  const line = make('li', '', make('span', 'quiet', clock(r.time)), make('span', '', r.kind), make('span', '', who), make('span', 'quiet', r.route ?? ''), make('span', 'bad', r.error || r.outcome));
  el('failures').prepend(line);
  while (el('failures').childElementCount > 30) el('failures').lastElementChild.remove();
}

/** ask sends a request with the session's token. */
async function ask(path, options = {}) {
  return fetch(path, { ...options, cache: 'no-store', credentials: 'omit', headers: { ...options.headers, Authorization: `Bearer ${sessionStorage.getItem(store)}` } });
}

/** why returns what the gateway says is wrong. */
async function why(response) {
  const said = await response.json().catch(() => ({}));
  return said.error ?? `status ${response.status}`;
}

/** enter exchanges the one-time token of the address for a session, and removes it from there. */
async function enter() {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  history.replaceState(null, '', location.pathname);
  if (!token) return;
  sessionStorage.setItem(store, token);
  const response = await ask('page/session', { method: 'POST' });
  sessionStorage.removeItem(store);
  if (response.ok) sessionStorage.setItem(store, (await response.json()).session);
}

/** follow shows each line of figures until the stream ends. It returns whether to try again. */
async function follow() {
  const response = await ask('figures');
  if (response.status === 401 || response.status === 403) {
    state('bad', 'no session: run “wsfpm admin” on the server, and open what it prints');
    return false;
  }
  if (!response.ok) {
    state('bad', await why(response));
    return true;
  }
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ;) {
    const { done, value } = await reader.read();
    if (done) return true;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    lines.filter(Boolean).forEach(line => show(JSON.parse(line)));
  }
}

let target = '';

el('find').addEventListener('submit', async e => {
  e.preventDefault();
  await look(el('of').value.trim());
});

async function look(of) {
  const response = await ask(`page/find?of=${encodeURIComponent(of)}`);
  if (!response.ok) {
    el('send').hidden = true;
    el('found').replaceChildren();
    done(await why(response));
    return;
  }
  const { found, more } = await response.json();
  target = of.startsWith('conn:') && found.length === 1 ? `conn:${found[0].id}` : of;
  el('send').hidden = found.length === 0;
  el('target').textContent = visible(target);
  done(found.length === 0 ? 'No connection of this node has this address.' : `${found.length} connection${found.length === 1 ? '' : 's'}${more ? ', and more' : ''}`);
  el('found').replaceChildren(...found.map(card));
}

function card(c) {
  const of = `conn:${c.id}`;
  const item = make('li', '', make('b', '', c.user ? `user:${c.user}` : 'no user'), make('br'), make('code', '', c.id));
  const chips = make('div', 'chips', ...(c.channels ?? []).map(name => make('span', '', name)));
  if (c.channels?.length) item.append(chips);
  item.append(make('div', 'quiet', `${c.path} from ${c.remote}, since ${clock(c.since)}${c.queued ? `, ${bytes(c.queued)} queued` : ''}`));
  const one = make('button', '', 'Only this one');
  one.type = 'button';
  one.addEventListener('click', () => {
    el('of').value = of;
    look(of);
  });
  if (target !== of) item.append(make('div', 'row', one));
  return item;
}

const done = text => (el('done').textContent = visible(text));

/** command sends a command to the target. */
async function command(more, words) {
  const response = await ask('page/push', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ to: target, ...more }) });
  done(response.ok ? `${words} ${(await response.json()).delivered} connections` : await why(response));
  return response.ok;
}

el('send').addEventListener('submit', async e => {
  e.preventDefault();
  if (await command({ data: el('text').value }, 'Sent to')) el('text').value = '';
});

el('close').addEventListener('click', async () => {
  if (confirm(`Close all connections of ${visible(target)}?`)) await command({ close: { code: 4000, reason: 'closed by an operator' } }, 'Closed');
});

await enter();
for (let more = true; more;) {
  try {
    more = await follow();
  } catch {
    state('bad', 'the gateway does not answer');
  }
  await new Promise(next => setTimeout(next, again));
}
