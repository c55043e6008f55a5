package faults

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"
)

const (
	users    = 100 // who may be connected several times
	channels = 12
)

// mood is what a fault makes the clients ask for, now and then.
type mood struct {
	verb, with string
	share      int // of a thousand messages
}

// talk is client number i: one connection after another until the programme is
// over.
func (p *programme) talk(i int) {
	rng := rand.New(rand.NewPCG(p.verdict.seed, uint64(i)))
	p.rest(rand.N(20 * p.pause)) // not all at once
	for !p.over() {
		s := p.newSession(rng, i%2)
		w := p.enter(rng, s)
		if w == nil {
			p.rest(50*time.Millisecond + rand.N(100*time.Millisecond))
			continue
		}
		p.ids[i].Store(&s.id)
		p.live(rng, s, w)
		w.conn.Close()
		p.keep(s)
	}
}

func (p *programme) newSession(rng *rand.Rand, node int) *session {
	return &session{
		v: p.verdict, faults: &p.windows, pushes: &p.publications, node: node,
		closes: rng.IntN(4) == 0,
		tag:    fmt.Sprintf("%016x", rng.Uint64()),
		user:   fmt.Sprint("u", rng.IntN(users)),
	}
}

// enter connects; nil when that was not possible, which needs a reason.
func (p *programme) enter(rng *rand.Rand, s *session) *wire {
	joins := []string{fmt.Sprint("c", rng.IntN(channels)), fmt.Sprint("c", rng.IntN(channels))}
	began := time.Now()
	w, id, err := dialWire(p.world.toNode[s.node].address, path(s, joins), bound, nil)
	now := time.Now()
	p.noteWait(now.Sub(began))
	var refused *refusedError
	switch {
	case err == nil:
		p.count("connect accepted")
		s.accepted(id, joins, now)
		s.v.check(ownAnswer, id != "", "a 101 on node %d came without the script's header, during %v", s.node+1, p.windows.around(now))
		return w
	case errors.As(err, &refused):
		p.count(fmt.Sprint("connect refused with ", refused.status))
		known := refused.status == 502 || refused.status == 503 || refused.status == 504
		ok := known && (p.windows.excuse(partFPM, s.node, began, now) || p.windows.excuse(partNode, s.node, began, now))
		message := fmt.Sprintf("a connect to node %d was refused with %d after %v, during %v", s.node+1, refused.status, now.Sub(began), p.windows.around(now))
		s.v.failed(ok, doubt{s.node, "", began, now, message})
	default:
		p.count("connect broken")
		ok := now.Sub(began) < bound && (p.windows.excuse(partClients, s.node, began, now) || p.windows.excuse(partNode, s.node, began, now))
		s.v.check(noSilence, ok, "a connect to node %d ended with %v after %v, during %v", s.node+1, err, now.Sub(began), p.windows.around(now))
	}
	return nil
}

func path(s *session, joins []string) string {
	route := "/message"
	if s.closes {
		route = "/close"
	}
	return fmt.Sprintf("%s?tag=%s&user=%s&join=%s", route, s.tag, s.user, strings.Join(joins, ","))
}

// live is a connection's time: rounds of asking and reading, and an end.
func (p *programme) live(rng *rand.Rand, s *session, w *wire) {
	for range 5 + rng.IntN(300) {
		if p.over() {
			break
		}
		if p.take(&p.vanishing) {
			p.vanish(rng, s, w)
			return
		}
		began := time.Now()
		if !p.ask(rng, s, w) {
			return
		}
		// Clients of a crowded machine are slower, so that the pool is never full
		// for long because of them alone.
		pause := max(p.think(rng), min(4*time.Since(began), 2*time.Second))
		if !p.listen(s, w, time.Now().Add(pause)) {
			return
		}
	}
	p.leave(rng, s, w)
}

// think is how long a client does nothing.
func (p *programme) think(rng *rand.Rand) time.Duration {
	return time.Duration(rng.IntN(int(2 * p.pause)))
}

// ask sends one message or some, in this client's present manner.
func (p *programme) ask(rng *rand.Rand, s *session, w *wire) bool {
	n := 1
	if rng.IntN(10) == 0 {
		n += rng.IntN(4)
	}
	if p.take(&p.flooding) {
		n = 150
	}
	send := w.send
	if p.take(&p.dripping) {
		send = w.drip
	}
	var texts []string
	for range n {
		verb, with := p.choose(rng, s)
		texts = append(texts, s.asks(verb, with, time.Now()))
	}
	// A client that only writes would be a slow reader.
	var writing sync.WaitGroup
	writing.Go(func() {
		for _, text := range texts {
			if send(text) != nil {
				return // the reader sees the end
			}
		}
	})
	defer writing.Wait()
	if p.settle(s, w) {
		return true
	}
	w.conn.Close()
	return false
}

// choose draws what to ask for.
func (p *programme) choose(rng *rand.Rand, s *session) (verb, with string) {
	if m := p.mood.Load(); m != nil && rng.IntN(1000) < m.share {
		return m.verb, m.with
	}
	switch r := rng.IntN(1000); {
	case r < 20:
		return "big", strings.Repeat(string(rune('a'+rng.IntN(26))), 1+rng.IntN(50<<10))
	case r < 60:
		channel := fmt.Sprint("c", rng.IntN(channels))
		l := line{"s" + s.tag, "channel:" + channel}
		return "push", fmt.Sprint(channel, " ", p.publications.begin(l, time.Now()))
	case r < 80:
		return "join", fmt.Sprint("c", rng.IntN(channels))
	case r < 100:
		return "leave", fmt.Sprint("c", rng.IntN(channels))
	case r < 130:
		return "stream", fmt.Sprint(2 + rng.IntN(5))
	case r < 135:
		return "finish", fmt.Sprint(rng.IntN(30))
	case r < 145:
		return "slow", fmt.Sprint(rng.IntN(40))
	case r < 147:
		return []string{"fatal", "odd"}[rng.IntN(2)], ""
	}
	return "echo", ""
}

// settle reads until every message has its end. It reports false when the
// connection is over.
func (p *programme) settle(s *session, w *wire) bool {
	for {
		since, waiting := s.waits()
		if !waiting {
			return true
		}
		if !p.listenOnce(s, w, since.Add(bound)) {
			return false
		}
		if _, waiting := s.waits(); waiting && time.Since(since) > bound {
			if again, _ := s.waits(); again.Equal(since) {
				s.silent(bound, time.Now())
				s.ends(ending{code: 1006, mine: true}, time.Now())
				return false
			}
		}
	}
}

// listen reads until the deadline.
func (p *programme) listen(s *session, w *wire, deadline time.Time) bool {
	for time.Now().Before(deadline) {
		if !p.listenOnce(s, w, deadline) {
			return false
		}
	}
	return true
}

// listenOnce reads one message, if one comes until the deadline. It reports
// false when the connection is over.
func (p *programme) listenOnce(s *session, w *wire, deadline time.Time) bool {
	text, err := w.next(deadline)
	now := time.Now()
	switch {
	case err == nil:
		p.heard(s, text, now)
		return true
	case errors.Is(err, io.EOF):
		code := w.close
		if code == 0 {
			code = 1006
		}
		p.count(fmt.Sprint("closed with ", code))
		s.ends(ending{code: code}, now)
		return false
	}
	return true
}

// heard gives a frame to the checker and counts what it was.
func (p *programme) heard(s *session, text string, at time.Time) {
	since, _ := s.waits()
	before := len(s.pending)
	s.frame(text, at)
	if len(s.pending) < before {
		p.events.Add(1)
		p.noteWait(at.Sub(since))
	}
	switch text[:min(2, len(text))] {
	case "A ":
		p.count("answered")
	case "E ":
		p.count("failed with an error message")
	case "P ":
		p.count("push received")
	}
}

// vanish asks for something and is gone.
func (p *programme) vanish(rng *rand.Rand, s *session, w *wire) {
	p.count("client vanished")
	if rng.IntN(2) == 0 {
		w.send(s.asks("echo", "", time.Now()))
	}
	w.vanish()
	s.ends(ending{code: 1006, mine: true}, time.Now())
}

// leave ends the connection in one of the ways in which clients do.
func (p *programme) leave(rng *rand.Rand, s *session, w *wire) {
	if rng.IntN(10) == 0 {
		w.vanish()
		s.ends(ending{code: 1006, mine: true}, time.Now())
		return
	}
	sent := true
	for range rng.IntN(3) { // send; send; close
		sent = sent && w.send(s.asks("echo", "", time.Now())) == nil
	}
	sent = sent && w.sayClose(1000) == nil
	for deadline := time.Now().Add(bound); ; {
		text, err := w.next(deadline)
		if err != nil {
			break
		}
		p.heard(s, text, time.Now())
	}
	code := 1006
	if sent && w.close == 1000 {
		code = 1000
	}
	p.events.Add(int64(len(s.pending)))
	s.closing()
	s.ends(ending{code: code, mine: true}, time.Now())
}
