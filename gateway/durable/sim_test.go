package durable

import (
	"fmt"
	"slices"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// fakeRedis is a server with one stream, whose replica has a copy of some moment.
type fakeRedis struct {
	ms      uint64
	log     []published
	last    session.Position
	tag     session.Tag
	alone   bool // master_replid2 is zeros
	line    int  // connections of older numbers are broken
	replica *fakeRedis
	tags    uint32
}

type published struct {
	at   session.Position // without a tag
	to   string
	text int
	step int
}

func (s *fakeRedis) add(to string, text, step int) {
	if s.ms > s.last.Milli {
		s.last = session.Position{Milli: s.ms}
	} else {
		s.last.Seq++
	}
	s.log = append(s.log, published{s.last, to, text, step})
}

// rename gives the history a new tag.
func (s *fakeRedis) rename(alone bool) {
	s.tags++
	s.tag, s.alone = 1<<31|session.Tag(s.tags), alone
}

func (s *fakeRedis) find(p session.Position) int {
	return slices.IndexFunc(s.log, func(e published) bool { return e.at.Compare(p) == 0 })
}

func (s *fakeRedis) round(after session.Position, count int) redis.Round {
	round := redis.Round{Present: s.find(after) >= 0, Info: info(s.tag, s.alone)}
	for _, e := range s.log {
		if e.at.After(after) && len(round.Entries) < count {
			fields := []string{"to", e.to, "data", fmt.Sprint(e.text)}
			if e.to == "" {
				fields = []string{"", ""}
			}
			round.Entries = append(round.Entries, redis.Entry{ID: e.at.ID(), Fields: fields})
		}
	}
	return round
}

// trim removes all entries before at.
func (s *fakeRedis) trim(at session.Position) {
	s.log = slices.DeleteFunc(s.log, func(e published) bool { return at.After(e.at) })
}

// simClient is a client with an envelope: it knows the id of each message.
type simClient struct {
	addrs  []session.Address
	wire   []simMessage
	node   *simNode
	last   session.Position
	joined int // the step of its first hello; 0: none
	got    []simMessage
	gaps   []int // steps
}

type simMessage struct {
	kind string // "hello", "gap", "id", "text"
	at   session.Position
	text string
	step int // at which it was taken
}

func (c *simClient) take(n, step int) {
	for _, m := range c.wire[:min(n, len(c.wire))] {
		m.step = step
		switch m.kind {
		case "hello":
			if c.joined == 0 {
				c.joined = step
			}
		case "gap":
			if c.joined == 0 {
				c.joined = step
			}
			c.gaps = append(c.gaps, step)
		case "text":
			c.got = append(c.got, m)
		}
		c.last = m.at
	}
	c.wire = c.wire[min(n, len(c.wire)):]
}

// simNode is a node with its reader, its window and its sessions.
type simNode struct {
	w        *simWorld
	reader   reader
	window   *window
	loading  bool
	line     int
	alive    bool
	paused   int // until this step
	sessions map[*simClient]session.Position
}

func (n *simNode) start() {
	n.alive, n.loading, n.line = true, true, -1
	n.reader = reader{own: session.NoTag}
	n.window = newWindow(time.Hour, int64(n.w.ring)*size(&session.Command{To: make([]session.Address, 1), Message: session.NewMessage(false, []byte("1234"))}))
	n.sessions = make(map[*simClient]session.Position)
}

// read is one round of the loop.
func (n *simNode) read() {
	s := n.w.redis
	if n.line != s.line {
		n.line = s.line
		n.reader.line()
	}
	if n.w.variant == "line" {
		n.reader.fresh = false
	}
	count := min(n.reader.count(), n.w.batch)
	round := s.round(n.reader.last, count)
	n.falsify(&round, count)
	last := n.reader.last
	j := n.reader.judge(round)
	if j.verdict == verdictGap {
		n.window.clear()
		n.reader.restart()
		n.loading = true
		return
	}
	var list []held
	for _, e := range round.Entries {
		at, _ := parseID(e.ID, n.reader.tag)
		c, err := command(e, at, 100)
		if err != nil {
			panic(err)
		}
		list = append(list, held{at: at, command: c})
	}
	n.window.append(n.reader.tag, list)
	if n.loading {
		n.load(len(list), count)
		return
	}
	if j.renamed {
		last.Tag = n.reader.tag
		for c, at := range n.sessions {
			at.Tag = last.Tag
			n.sessions[c] = at
		}
	}
	for _, e := range list {
		n.deliver(e.command)
	}
}

// falsify leaves a rule out, in what the reader sees.
func (n *simNode) falsify(round *redis.Round, count int) {
	switch got := len(round.Entries); n.w.variant {
	case "exists":
		round.Present = true
	case "written": // look only where something may be wrong
		round.Present = round.Present || got > 0 && got < count
	case "load":
		round.Present = round.Present || n.loading
	case "tag":
		round.Info = info(tagA, true)
	case "alone":
		round.Info = info(n.w.redis.tag, true)
	}
}

func (n *simNode) load(got, count int) {
	switch {
	case n.reader.last.IsZero():
		n.w.redis.add("", 0, n.w.step)
		return
	case got >= count:
		return
	}
	n.loading = false
	newest := n.window.open()
	for c := range n.sessions {
		n.sessions[c] = newest
		c.wire = append(c.wire, simMessage{kind: "gap", at: newest})
	}
}

func (n *simNode) deliver(c *session.Command) {
	if c == nil {
		return
	}
	for client, at := range n.sessions {
		if (at.IsZero() || c.At.After(at)) && slices.Contains(client.addrs, c.To[0]) {
			n.sessions[client] = c.At
			client.wire = append(client.wire, simMessage{kind: "text", at: c.At, text: string(c.Message.Data())})
		}
	}
}

// enter is a client that connects.
func (n *simNode) enter(c *simClient) {
	c.node, c.wire = n, nil
	for range 20 { // Log.Await
		if n.loading || !n.window.knows(c.last.Tag) || !c.last.After(n.window.Newest()) {
			break
		}
		n.read()
	}
	newest := n.window.Newest()
	if c.last.IsZero() && c.joined == 0 && !newest.IsZero() {
		n.sessions[c] = newest
		c.wire = append(c.wire, simMessage{kind: "hello", at: newest})
		return
	}
	missed, through, known := n.since(c)
	if !known {
		n.sessions[c] = newest
		c.wire = append(c.wire, simMessage{kind: "gap", at: newest})
		return
	}
	n.sessions[c] = through
	c.wire = append(c.wire, simMessage{kind: "hello", at: c.last})
	for _, m := range missed {
		c.wire = append(c.wire, simMessage{kind: "text", at: m.At, text: string(m.Message.Data())})
	}
}

func (n *simNode) since(c *simClient) ([]*session.Command, session.Position, bool) {
	after := c.last
	if n.w.variant == "known" && !n.loading && len(n.window.entries) > 0 {
		for _, e := range n.window.entries { // any place between the oldest and the newest will do
			if !e.at.After(c.last) {
				after = e.at
			}
		}
	}
	return n.window.Since(after, c.addrs, 1<<20, nil)
}
