package faults

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// outcome is what came of one message.
type outcome byte

const (
	lost        outcome = iota // the connection ended first
	answered                   // by the script's own answer
	failed                     // by the error that the contract has for it
	behindClose                // not awaited: the client's Close frame followed
)

// sorry is the error message of the route that has one.
const sorry = "E sorry"

// hangs is the shortest sleep, in milliseconds, after which a script may meet the
// route's timeout.
const hangs = 1500

// ask is a message that waits for its answer.
type ask struct {
	n     int
	text  string
	verb  string
	with  string
	part  int // lines of a stream that have come
	at    time.Time
	whole time.Time // until when nothing was outstanding: the wait counts from here
}

// maybeFails reports whether the message may fail although nothing is broken.
func (a ask) maybeFails() bool {
	ms, _ := strconv.Atoi(a.with)
	return a.mustFail() || a.verb == "stream" || a.verb == "slow" && ms >= hangs
}

// mustFail reports whether the script breaks its answer.
func (a ask) mustFail() bool { return a.verb == "die" || a.verb == "fatal" || a.verb == "odd" }

// session is one connection as its client sees it: every frame is given to it,
// and it checks what can be checked at once. One goroutine uses it.
type session struct {
	v       *verdict
	faults  *windows
	pushes  *publications
	node    int
	closes  bool   // the route's on_error is "close", else "message"
	deaf    bool   // the client does not read for a while
	tag     string // the owner's own, in everything that it sends
	user    string
	id      string // "" before the 101
	opened  time.Time
	over    time.Time // zero before the end
	ending  ending
	pending []ask
	results []outcome // of message n at n-1

	since map[string]time.Time // when the connection came to an address
	last  map[line]int         // the push that came last
}

// ending is how a connection ended for its client.
type ending struct {
	code int  // of the Close frame; 1006 when none came
	mine bool // the client itself ended it
}

// where says whose event it is, and what was broken then, for messages.
func (s *session) where(at time.Time) string {
	return fmt.Sprintf("connection %s (tag %s, node %d), during %v", s.id, s.tag, s.node+1, s.faults.around(at))
}

// accepted begins the session: the handshake was answered with 101.
func (s *session) accepted(id string, channels []string, at time.Time) {
	s.id, s.opened = id, at
	s.last = make(map[line]int)
	s.since = map[string]time.Time{"conn:" + id: at, "user:" + s.user: at, "all": at}
	for _, c := range channels {
		s.since["channel:"+c] = at
	}
}

// asks notes a message that is about to be sent and returns its text.
func (s *session) asks(verb, with string, at time.Time) string {
	n := len(s.results) + 1
	a := ask{n: n, verb: verb, with: with, at: at, text: strings.TrimRight(fmt.Sprintf("%s %d %s %s", s.tag, n, verb, with), " ")}
	s.results = append(s.results, lost)
	s.pending = append(s.pending, a)
	return a.text
}

// waits returns the time since which the oldest unanswered message has been the oldest.
func (s *session) waits() (since time.Time, waiting bool) {
	if len(s.pending) == 0 {
		return time.Time{}, false
	}
	a := s.pending[0]
	if a.whole.After(a.at) {
		return a.whole, true
	}
	return a.at, true
}

// frame checks a message from the gateway.
func (s *session) frame(text string, at time.Time) {
	kind, rest, _ := strings.Cut(text, " ")
	switch {
	case text == sorry:
		s.sorry(at)
	case kind == "A":
		s.answer(text, rest, at)
	case kind == "S":
		s.part(text, at)
	case kind == "P":
		s.push(rest, at)
	case kind == "H":
		s.v.check(ownAnswer, text == "H "+s.id+" "+s.tag, "%s got the greeting %.100q", s.where(at), text)
	default:
		s.v.check(ownAnswer, false, "%s got %.100q, which no script wrote", s.where(at), text)
	}
}

// take ends the oldest message.
func (s *session) take(o outcome, at time.Time) ask {
	a := s.pending[0]
	s.pending = s.pending[1:]
	s.results[a.n-1] = o
	if len(s.pending) > 0 {
		s.pending[0].whole = at
	}
	return a
}

// answer checks a script's answer: it must be to the oldest message.
func (s *session) answer(text, rest string, at time.Time) {
	if len(s.pending) == 0 {
		s.v.check(ownAnswer, false, "%s got %.100q and had asked for nothing", s.where(at), text)
		return
	}
	a := s.pending[0]
	id, body, _ := strings.Cut(rest, " ")
	tag := strings.SplitN(body, " ", 3)
	s.v.check(ownAnswer, id == s.id && len(tag) == 3 && tag[1] == s.tag,
		"%s got the answer %.100q of another client", s.where(at), text)
	want := fmt.Sprintf("A %s %d %s", s.id, a.n, a.text)
	s.v.check(inOrder, text == want, "%s, event %d: got %.100q, want %.100q", s.where(at), a.n, text, want)
	s.v.check(noSilence, !a.mustFail(), "%s, event %d: a broken answer to %q was delivered", s.where(at), a.n, a.verb)
	s.take(answered, at)
	switch a.verb {
	case "join":
		s.since["channel:"+a.with] = at
	case "leave":
		delete(s.since, "channel:"+a.with)
		s.forget("channel:" + a.with)
	case "push":
		l, k := s.pushOf(a)
		s.pushes.taken(l, k, at)
	}
}

func (s *session) forget(address string) {
	for l := range s.last {
		if l.address == address {
			delete(s.last, l)
		}
	}
}

// pushOf is the push that a message asks for.
func (s *session) pushOf(a ask) (line, int) {
	channel, number, _ := strings.Cut(a.with, " ")
	k, _ := strconv.Atoi(number)
	return line{"s" + s.tag, "channel:" + channel}, k
}

// part checks a stream's line before the last, which is an answer as others.
func (s *session) part(text string, at time.Time) {
	if len(s.pending) == 0 || s.pending[0].verb != "stream" {
		s.v.check(ownAnswer, false, "%s got %.100q and has no stream", s.where(at), text)
		return
	}
	a := &s.pending[0]
	a.part++
	want := fmt.Sprintf("S %s %d %d %s", s.id, a.n, a.part, s.tag)
	s.v.check(ownAnswer, strings.HasPrefix(text, "S "+s.id+" ") && strings.HasSuffix(text, " "+s.tag),
		"%s got the line %.100q of another client", s.where(at), text)
	s.v.check(inOrder, text == want, "%s, event %d: got the line %.100q, want %.100q", s.where(at), a.n, text, want)
}

// sorry checks an error message: the oldest message has failed.
func (s *session) sorry(at time.Time) {
	if len(s.pending) == 0 || s.closes {
		s.v.check(noSilence, false, "%s got an error message and had asked for nothing", s.where(at))
		return
	}
	s.failure(at)
}

func (s *session) failure(at time.Time) {
	a := s.pending[0]
	s.take(failed, at)
	ok := a.maybeFails() || s.faults.excuse(partFPM, s.node, a.at, at)
	s.v.failed(ok, doubt{s.node, s.id, a.at, at,
		fmt.Sprintf("%s, event %d (%s): failed after %v while PHP-FPM was well", s.where(at), a.n, a.verb, at.Sub(a.at))})
}

// push checks a push: "ADDRESS PUBLISHER NUMBER", perhaps followed by more.
func (s *session) push(rest string, at time.Time) {
	f := strings.SplitN(rest, " ", 4)
	if len(f) < 3 {
		s.v.check(rightPush, false, "%s got the push %.100q, which was never published", s.where(at), rest)
		return
	}
	l := line{publisher: f[1], address: f[0]}
	k, err := strconv.Atoi(f[2])
	s.v.check(rightPush, err == nil && s.pushes.known(l, k), "%s got the push %.100q, which was never published", s.where(at), rest)
	since, member := s.since[l.address]
	s.v.check(rightPush, member, "%s got a push to %s and is not there", s.where(at), l.address)
	for _, a := range s.pending {
		if own, number := s.pushOf(a); a.verb == "push" && own == l && number == k {
			s.v.check(inOrder, false, "%s, event %d: the push %.100q came before the answer that asks for it", s.where(at), a.n, rest)
		}
	}
	next := 0
	if last, found := s.last[l]; found {
		s.v.check(rightPush, k != last, "%s got the push %.100q twice", s.where(at), rest)
		// A script's push whose publishing took longer than redis.confirm may be
		// overtaken by that of the connection's next event.
		late := strings.HasPrefix(l.publisher, "s") && s.faults.excuse(partRedis, both, at.Add(-bound), at)
		s.v.check(inOrder, k >= last || late, "%s got the push %.100q after number %d", s.where(at), rest, last)
		next = last + 1
	}
	s.last[l] = max(k, next-1)
	if member {
		s.gap(l, next, k, since, at)
	}
}

// gap checks that pushes are missing for a reason only.
func (s *session) gap(l line, from, to int, since, at time.Time) {
	node := s.node
	if strings.HasPrefix(l.publisher, "s") {
		node = both // the script's own node must have reached Redis, too
	}
	for _, published := range s.pushes.missing(l, from, to, since) {
		ok := s.faults.excuse(partRedis, node, published.at.Add(-100*time.Millisecond), published.done.Add(2*time.Second))
		s.v.check(inOrder, ok, "%s: a push of %s to %s is missing before number %d; it was begun %v and taken %v ago, while Redis was well",
			s.where(at), l.publisher, l.address, to, at.Sub(published.at), at.Sub(published.done))
	}
	s.v.check(inOrder, true, "")
}

// closing marks what the client does not wait for any more.
func (s *session) closing() {
	for _, a := range s.pending {
		s.results[a.n-1] = behindClose
	}
	s.pending = nil
}

// silent notes that the oldest message has had nothing for longer than allowed.
func (s *session) silent(bound time.Duration, at time.Time) {
	a := s.pending[0]
	s.v.check(noSilence, false, "%s, event %d (%s): no answer, no error, no end for %v", s.where(at), a.n, a.verb, bound)
}

// ends notes how the connection ended.
func (s *session) ends(e ending, at time.Time) {
	s.over, s.ending = at, e
	if e.mine {
		return
	}
	asked := at
	if len(s.pending) > 0 {
		asked = s.pending[0].at
	}
	recently := at.Add(-time.Second)
	excused := false
	switch e.code {
	case 1006:
		excused = s.faults.excuse(partClients, s.node, recently, at) || s.faults.excuse(partNode, s.node, recently, at)
	case 1011, 1013:
		if s.closes && len(s.pending) > 0 {
			s.failure(at)
			return
		}
	case 1012:
		excused = s.faults.excuse(partNode, s.node, recently, at)
	case 4408:
		excused = s.deaf || s.faults.excuse(partClients, s.node, recently.Add(-5*time.Second), at)
	}
	s.v.check(noSilence, excused, "%s: ended with %d, %v after its oldest message, while nothing was broken that explains it", s.where(at), e.code, at.Sub(asked))
}
