package fpm

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// member is one client that keeps account of what it asked for. Every message
// gets exactly one answer, in the order of asking: its own, or sorry.
type member struct {
	*stack.Client
	w     *world
	id    string   // of the connection
	seq   int      // of the last message that was answered
	asked []string // what has no answer yet
}

// join connects to the route /ws with an optional query such as "?user=ann".
func (w *world) join(query string) *member {
	w.t.Helper()
	c := stack.Dial(w.t, w.URL+"/ws"+query, stack.DialOptions{})
	hello := c.Next()
	id, rest, _ := strings.Cut(string(hello.Data), " ")
	if rest != "0 hello" {
		w.t.Fatalf("the first message is %s, want ID 0 hello", hello)
	}
	return &member{Client: c, w: w, id: id}
}

// ask sends one message; answer fetches what comes of it.
func (m *member) ask(what string) {
	m.w.t.Helper()
	m.asked = append(m.asked, what)
	m.Send(what)
}

// answer takes the answer to the oldest message without one. It must be the
// asker's own, to this very message; false when the event failed.
func (m *member) answer() bool {
	m.w.t.Helper()
	m.seq++
	what := m.asked[0]
	m.asked = m.asked[1:]
	f := m.Next()
	if string(f.Data) == sorry {
		return false
	}
	if want := fmt.Sprintf("%s %d %s", m.id, m.seq, what); f.Binary || string(f.Data) != want {
		m.w.t.Fatalf("got %s, want %q or %q", f, want, sorry)
	}
	return true
}

// does asks and wants the answer.
func (m *member) does(what string) {
	m.w.t.Helper()
	m.ask(what)
	if !m.answer() {
		m.w.t.Fatalf("%q failed, want an answer", what)
	}
}

// fails asks and wants the event to fail.
func (m *member) fails(what string) {
	m.w.t.Helper()
	m.ask(what)
	m.failed()
}

// failed wants the oldest message without an answer to have failed.
func (m *member) failed() {
	m.w.t.Helper()
	if what := m.asked[0]; m.answer() {
		m.w.t.Fatalf("%q was answered, want it to fail", what)
	}
}

// crowd is many clients, driven by one goroutine: they all ask, then all
// answers are fetched.
type crowd []*member

// crowd connects n clients.
func (w *world) crowd(n int) crowd {
	w.t.Helper()
	var c crowd
	for range n {
		c = append(c, w.join(""))
	}
	return c
}

// ask sends one message from everybody.
func (c crowd) ask(what string) {
	for _, m := range c {
		m.w.t.Helper()
		m.ask(what)
	}
}

// answers fetches every answer that is due and counts the events that failed.
func (c crowd) answers() (failed int) {
	for _, m := range c {
		m.w.t.Helper()
		for len(m.asked) > 0 {
			if !m.answer() {
				failed++
			}
		}
	}
	return failed
}

// allAnswered wants everything that was asked to be answered.
func (c crowd) allAnswered(t *testing.T, when string) {
	t.Helper()
	if failed := c.answers(); failed > 0 {
		t.Errorf("%s: %d events failed, want none", when, failed)
	}
}

// standAtGate sends everybody to the gate and returns, when as many scripts
// stand there as the pool has workers for, who they belong to.
func (c crowd) standAtGate(t *testing.T, gate string) (running map[*member]bool) {
	t.Helper()
	w := c[0].w
	c.ask("gate " + gate)
	stack.Wait(t, "the pool to be full", func() bool {
		inUse := w.inUse()
		if inUse == 0 || inUse+w.waiting() < len(c) {
			return false // some are on their way to the pool
		}
		running = make(map[*member]bool)
		for _, m := range c {
			if len(w.ledger.begun(m.id, "message")) == m.seq+1 {
				running[m] = true
			}
		}
		return len(running) == inUse
	})
	return running
}

// soon is how long the gateway may take to serve everybody again once
// PHP-FPM is well.
var soon = stack.Bound(2 * time.Second)

// recovers wants everybody to be answered within soon.
func (c crowd) recovers(t *testing.T) {
	t.Helper()
	began := time.Now()
	for failed := len(c); failed > 0; {
		if time.Since(began) > soon {
			t.Fatalf("%v after the fault %d of %d clients get no answer", soon, failed, len(c))
		}
		c.ask("hello")
		failed = c.answers()
	}
	if took := time.Since(began); took > soon {
		t.Errorf("everybody was answered again after %v, want %v at most", took, soon)
	}
}

// leave lets everybody go and checks the whole account: every accepted connect
// has run once and has had its one disconnect, nothing ran twice or out of order.
func (c crowd) leave(t *testing.T) {
	t.Helper()
	if len(c) == 0 {
		return
	}
	w := c[0].w
	for _, m := range c {
		m.Close(1000, "")
	}
	for _, m := range c {
		stack.Wait(t, "the disconnect of "+m.id, func() bool { return len(w.ledger.begun(m.id, "disconnect")) > 0 })
		equal(t, "connects of "+m.id, len(w.ledger.begun(m.id, "connect")), 1)
	}
	w.ledger.check()
	equal(t, "disconnects", len(w.ledger.begun("", "disconnect")), int(w.Metric(t, "wsfpm_connections_opened_total")))
	equal(t, "wsfpm_disconnects_lost_total", w.Metric(t, "wsfpm_disconnects_lost_total"), 0)
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
