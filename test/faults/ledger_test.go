package faults

import (
	"bufio"
	"io"
	"strconv"
	"strings"
	"time"
)

// run is the part of the ledger about one connection.
type run struct {
	tag         string
	last        int    // number of the event that began last, -1 before
	open        bool   // it has not ended yet
	lastSeq     int    // of the message that began last, 0 for others
	begun       []bool // by event number
	messages    []byte // how often message n began, at n-1
	connects    int
	disconnects int
}

// ledger checks what scripts wrote down against what clients saw.
type ledger struct {
	v        *verdict
	sessions map[string]*session // by connection id
	runs     map[string]*run
	begun    int
}

func newLedger(v *verdict, sessions []*session) *ledger {
	l := &ledger{v: v, sessions: make(map[string]*session), runs: make(map[string]*run)}
	for _, s := range sessions {
		if s.id != "" {
			l.sessions[s.id] = s
		}
	}
	return l
}

// read checks every line: "b ID:NUMBER EVENT SEQ TAG N" when a script begins,
// "e ID:NUMBER" when it is about to answer.
func (l *ledger) read(from io.Reader) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue // of a script that was killed in the middle of a line
		}
		id, number, _ := strings.Cut(f[1], ":")
		n, err := strconv.Atoi(number)
		if err != nil {
			continue
		}
		r := l.runs[id]
		if r == nil {
			r = &run{last: -1}
			l.runs[id] = r
		}
		switch {
		case f[0] == "e" && n == r.last:
			r.open = false
		case f[0] == "b" && len(f) == 6:
			l.begins(id, n, r, f[2:])
		}
	}
	return lines.Err()
}

// begins checks the beginning of one run.
func (l *ledger) begins(id string, n int, r *run, f []string) {
	event, tag := f[0], f[2]
	seq, _ := strconv.Atoi(f[1])
	for len(r.begun) <= n {
		r.begun = append(r.begun, false)
	}
	l.v.check(ranOnce, !r.begun[n], "event %s:%d (%s) ran twice", id, n, event)
	r.begun[n] = true
	l.begun++
	if r.tag == "" {
		r.tag = tag
	}
	l.v.check(ownAnswer, tag == r.tag, "event %s:%d (%s): the script was given the tag %s, want %s", id, n, event, tag, r.tag)
	// A script whose event has failed for the client may begin, or run on, after
	// the next: PHP-FPM had its request already.
	l.v.check(inOrder, n > r.last || !l.ended(id, event, seq), "event %s:%d (%s) ran after event %d", id, n, event, r.last)
	if r.open && n > r.last {
		l.v.check(inOrder, r.lastSeq == 0 || !l.ended(id, "message", r.lastSeq),
			"event %s:%d (%s) began before event %d had ended", id, n, event, r.last)
	}
	if n > r.last {
		r.last, r.open, r.lastSeq = n, true, seq
	}
	switch event {
	case "connect":
		r.connects++
		r.lastSeq = 0
	case "disconnect":
		r.disconnects++
		r.lastSeq = 0
		l.v.check(oneDisconnect, r.disconnects == 1, "connection %s had %d disconnects", id, r.disconnects)
	case "message":
		l.v.check(inOrder, f[1] == f[3], "event %s:%d: message %s came with WS_SEQ %s", id, n, f[3], f[1])
		for len(r.messages) < seq {
			r.messages = append(r.messages, 0)
		}
		if seq > 0 {
			r.messages[seq-1]++
		}
	}
}

// ended reports whether the client has had the script's own answer to a message.
func (l *ledger) ended(id, event string, seq int) bool {
	s := l.sessions[id]
	return event == "message" && s != nil && seq >= 1 && seq <= len(s.results) && s.results[seq-1] == answered
}

// disconnectSoon is how long after the end a disconnect event may be on its way.
const disconnectSoon = 3 * time.Second

// compare holds every connection that a client has had against the ledger. It
// returns how many disconnects are missing, by the node's run.
func (l *ledger) compare(faults *windows) (missing map[string]int) {
	missing = make(map[string]int)
	for id, s := range l.sessions {
		r := l.runs[id]
		if r == nil {
			l.v.check(ranOnce, false, "connection %s was let in and its connect never ran", id)
			continue
		}
		l.v.check(ranOnce, r.connects == 1, "connection %s was let in and its connect ran %d times", id, r.connects)
		l.v.check(ownAnswer, r.tag == s.tag, "connection %s belongs to %s and ran for %s", id, s.tag, r.tag)
		for i, o := range s.results {
			l.message(s, r, i+1, o, faults)
		}
		l.v.check(ranOnce, len(r.messages) <= len(s.results), "connection %s sent %d messages and %d ran", id, len(s.results), len(r.messages))
		if r.disconnects == 0 {
			missing[incarnation(id)]++
		}
		ok := r.disconnects == 1 || faults.excuse(partNode, s.node, s.opened, s.over.Add(disconnectSoon)) ||
			faults.excuse(partFPM, s.node, s.over.Add(-disconnectSoon), s.over.Add(disconnectSoon))
		l.v.check(oneDisconnect, ok, "connection %s (tag %s, node %d) ended with %d and had no disconnect, while PHP-FPM and the node were well",
			id, s.tag, s.node+1, s.ending.code)
	}
	for id, r := range l.runs {
		l.v.check(oneDisconnect, r.disconnects == 0 || r.connects == 1, "connection %s had a disconnect and %d connects", id, r.connects)
	}
	return missing
}

// message checks how often a message ran.
func (l *ledger) message(s *session, r *run, n int, o outcome, faults *windows) {
	ran := 0
	if n <= len(r.messages) {
		ran = int(r.messages[n-1])
	}
	switch o {
	case answered:
		l.v.check(ranOnce, ran == 1, "event %s, message %d was answered and ran %d times", s.id, n, ran)
	case behindClose:
		ok := ran == 1 || s.ending.code != 1000 || faults.excuse(partFPM, s.node, s.over.Add(-5*time.Second), s.over) ||
			faults.excuse(partNode, s.node, s.over.Add(-5*time.Second), s.over)
		l.v.check(ranOnce, ok, "event %s, message %d was sent whole before a Close frame and ran %d times", s.id, n, ran)
	default:
		l.v.check(ranOnce, ran <= 1, "event %s, message %d ran %d times", s.id, n, ran)
	}
}

// incarnation is the part of a connection's id that one run of a node gives to
// all of its connections.
func incarnation(id string) string {
	i := strings.LastIndexByte(id, '-')
	return id[:max(i, 0)]
}
