package registry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// shared is the first part of the scripts that change records: it parses a stored record
// and counts members. Counts that were lost are not guessed: one that falls below zero is
// removed without a transition. A name whose key another program has changed is not counted,
// and said: the names beside it are.
const shared = `
local function parse(was)
  local old = {version = 0, pairs = {}, said = ''}
  local e = string.find(was, '\n\n', 1, true)
  if not e then return old end
  local f = string.find(was, '\n\n', e + 2, true)
  if f then old.said = string.sub(was, e + 2, f - 1) end
  local line, who = 0, ''
  for text in string.gmatch(string.sub(was, 1, e - 1), '[^\n]+') do
    line = line + 1
    if line == 1 then old.version = tonumber(text) or 0
    elseif line == 2 then who = text
    else old.pairs[#old.pairs + 1] = {text, who} end
  end
  return old
end
local function as(pair, conn)
  if string.sub(pair[1], 1, 5) == 'user:' then return conn end
  return pair[2]
end
local function add(key, pair, who, n, said)
  local now = redis.pcall('HINCRBY', key, who, n)
  if type(now) == 'number' then return now end
  if not string.find(now.err, 'WRONGTYPE', 1, true) and not string.find(now.err, 'not an integer', 1, true) then
    redis.call('HINCRBY', key, who, n) -- fails again, and ends the script
  end
  said[#said + 1] = '!' .. pair[1] .. '\t' .. who
  return nil
end
local function join(prefix, pair, conn, said)
  local key, who = prefix .. 'presence:' .. pair[1], as(pair, conn)
  if add(key, pair, who, 1, said) ~= 1 then return end
  local mark = '+'
  if redis.call('HLEN', key) == 1 then mark = '*' end
  said[#said + 1] = mark .. pair[1] .. '\t' .. who
end
local function leave(prefix, pair, conn, said)
  local key, who = prefix .. 'presence:' .. pair[1], as(pair, conn)
  local n = add(key, pair, who, -1, said)
  if not n or n > 0 then return end
  redis.call('HDEL', key, who)
  if n < 0 then return end
  local mark = '-'
  if redis.call('HLEN', key) == 0 then mark = '_' end
  said[#said + 1] = mark .. pair[1] .. '\t' .. who
end
`

// put is the second part of register and change. It refuses what a claimed node writes, and
// answers a repeated version with the transitions of the first time.
const put = `
if redis.call('GET', KEYS[2]) then return {'claimed', ''} end
local prefix, id, head, tail = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local was, conn = redis.call('HGET', KEYS[1], id), 'conn:' .. ARGV[2]
if not was and must then return {'missing', ''} end
local old, new, said = parse(was or ''), parse(head .. '\n\n'), {}
if old.version == new.version then return {'ok', old.said} end
if old.version > new.version then return {'old', ''} end
local had, has = {}, {}
for _, p in ipairs(old.pairs) do had[p[1] .. '\t' .. as(p, conn)] = true end
for _, p in ipairs(new.pairs) do has[p[1] .. '\t' .. as(p, conn)] = true end
for _, p in ipairs(new.pairs) do
  if not had[p[1] .. '\t' .. as(p, conn)] then join(prefix, p, conn, said) end
end
for _, p in ipairs(old.pairs) do
  if not has[p[1] .. '\t' .. as(p, conn)] then leave(prefix, p, conn, said) end
end
said = table.concat(said, '\n')
redis.call('HSET', KEYS[1], id, head .. '\n\n' .. said .. '\n\n' .. tail)
`

// Script is a Lua script of Redis. Scripts are run by their hash, and sent after NOSCRIPT.
type Script struct {
	Name string
	Text string
}

// The scripts. Their keys begin with the node's hash and its tombstone.
const (
	// registerText creates a record. A node whose hash is new is listed, so that others
	// claim it even if it dies before its next beat.
	registerText = shared + "local must = false" + put + `
if redis.call('HEXISTS', KEYS[1], '.') == 0 then
  local t = redis.call('TIME')
  redis.call('ZADD', KEYS[3], 'NX', t[1] * 1000 + math.floor(t[2] / 1000), ARGV[5])
end
return {'ok', said}`

	// changeText replaces a record. It does not create one: a change that arrives late
	// would bring a connection back that has been unregistered.
	changeText = shared + "local must = true" + put + `
return {'ok', said}`

	// unregisterText removes a record, and returns it to the one caller that may run the
	// disconnect event.
	unregisterText = shared + `
local was = redis.call('HGET', KEYS[1], ARGV[2])
if not was then
  if redis.call('GET', KEYS[2]) then return {'claimed', '', ''} end
  return {'missing', '', ''}
end
local said = {}
for _, p in ipairs(parse(was).pairs) do leave(ARGV[1], p, 'conn:' .. ARGV[2], said) end
redis.call('HDEL', KEYS[1], ARGV[2])
return {'ok', table.concat(said, '\n'), was}`

	// beatText notes a beat, and returns the node's stamp and all nodes with their beats. A
	// beat that finds no stamp writes one of its own, by which the node learns that Redis
	// has forgotten it, even if the answer to that beat is lost.
	beatText = `
if redis.call('GET', KEYS[2]) then return {'claimed', '', {}} end
local was = redis.call('HGET', KEYS[1], '.')
if was and string.sub(was, 1, #ARGV[2] + 1) ~= ARGV[2] .. ' ' then return {'taken', '', {}} end
if not was then
  was = ARGV[2] .. ' ' .. ARGV[3]
  redis.call('HSET', KEYS[1], '.', was)
end
local t = redis.call('TIME')
redis.call('ZADD', KEYS[3], t[1] * 1000 + math.floor(t[2] / 1000), ARGV[1])
return {'ok', was, redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', '+inf', 'WITHSCORES', 'LIMIT', 0, 1000)}`

	// claimText sets a node's tombstone, if its beat is still the one that the caller saw,
	// and removes the node when it has no record. ARGV[4] is the holder of a tombstone
	// whom the caller takes for dead.
	claimText = `
local beat, by = redis.call('ZSCORE', KEYS[3], ARGV[1]), redis.call('GET', KEYS[2])
if not beat then return {'done', 0} end
if by and by ~= ARGV[3] and by ~= ARGV[4] then return {'held', by} end
if not by and tonumber(beat) ~= tonumber(ARGV[2]) then return {'alive', 0} end
if by ~= ARGV[3] then redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[5]) end
local n = redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '.')
if n > 0 then return {'ok', n} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return {'done', 0}`

	// retireText removes a node that ends, if it has no record left.
	retireText = `
if redis.call('HLEN', KEYS[1]) - redis.call('HEXISTS', KEYS[1], '.') > 0 then return {'missing', 0} end
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[3], ARGV[1])
return {'ok', 0}`
)

// The first elements of the scripts' answers.
const (
	codeOK      = "ok"
	codeOld     = "old"     // a newer version is stored
	codeMissing = "missing" // no such record
	codeClaimed = "claimed" // the node has a tombstone
	codeTaken   = "taken"   // the node's name has another stamp
	codeDone    = "done"    // the node is gone
	codeHeld    = "held"    // another node claims it
	codeAlive   = "alive"   // it has beaten since
)

// Call is one run of a script.
type Call struct {
	Script Script
	Keys   []string
	Args   []any
}

// keys makes the names in Redis.
type keys string // the prefix

func (k keys) all() string              { return string(k) + "node:all" }
func (k keys) node(name string) string  { return string(k) + "node:" + name }
func (k keys) tomb(name string) string  { return k.node(name) + ":claimed" }
func (k keys) of(name string) []string  { return []string{k.node(name), k.tomb(name)} }
func (k keys) top(name string) []string { return append(k.of(name), k.all()) }

// tombstoneTime is how long a tombstone lasts. A node that has been silent for longer takes
// itself for claimed.
const tombstoneTime = 24 * time.Hour

func (k keys) put(p *write, node, id string) Call {
	if p.creates {
		return Call{Script{"register", registerText}, k.top(node), []any{string(k), id, p.head, p.tail, node}}
	}
	return Call{Script{"change", changeText}, k.of(node), []any{string(k), id, p.head, p.tail}}
}

func (k keys) unregister(node, id string) Call {
	return Call{Script{"unregister", unregisterText}, k.of(node), []any{string(k), id}}
}

func (k keys) beat(node, stamp string, number uint64) Call {
	return Call{Script{"beat", beatText}, k.top(node), []any{node, stamp, number}}
}

func (k keys) claim(dead death, by string) Call {
	ttl := strconv.FormatInt(tombstoneTime.Milliseconds(), 10)
	return Call{Script{"claim", claimText}, k.top(dead.node), []any{dead.node, dead.beat, by, dead.holder, ttl}}
}

func (k keys) retire(node string) Call {
	return Call{Script{"retire", retireText}, k.top(node), []any{node}}
}

// answer is what a script returned.
type answer struct {
	code string
	text string   // transitions, a number, a stamp, or the holder of a tombstone
	rest []string // of unregister: the record; of beat: nodes and their beats in turn
}

// parseAnswer reads an answer: a list of a code, a text or number, and a text or list.
func parseAnswer(script string, v any) (a answer, err error) {
	list, _ := v.([]any)
	if len(list) < 2 {
		return a, fmt.Errorf("script %s: answer %T of %d parts", script, v, len(list))
	}
	a.code, a.text = fmt.Sprint(list[0]), fmt.Sprint(list[1])
	if len(list) == 2 {
		return a, nil
	}
	if rest, ok := list[2].([]any); ok {
		for _, each := range rest {
			a.rest = append(a.rest, fmt.Sprint(each))
		}
		return a, nil
	}
	a.rest = []string{fmt.Sprint(list[2])}
	return a, nil
}

// beats reads the nodes of an answer to beat.
func (a *answer) beats() map[string]string {
	m := make(map[string]string, len(a.rest)/2)
	for i := 0; i+1 < len(a.rest); i += 2 {
		m[a.rest[i]] = strings.TrimSpace(a.rest[i+1])
	}
	return m
}
