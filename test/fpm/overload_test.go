package fpm

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// handshakes sends n handshakes at once and returns the answers.
func handshakes(t *testing.T, w *world, n int) []*http.Response {
	t.Helper()
	var conns []net.Conn
	for range n {
		conns = append(conns, stack.HalfHandshake(t, w.Listen, "/ws"))
	}
	var answers []*http.Response
	for _, conn := range conns {
		conn.SetReadDeadline(time.Now().Add(2 * stack.Patience))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatalf("read the answer to a handshake: %v", err)
		}
		answers = append(answers, resp)
	}
	return answers
}

// Two workers, a hundred clients, 100 ms for each event: all of them would take
// five seconds, and no event may wait longer than one.
func TestOverloadIsBounded(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{Children: 2})
	w := start(t, setup{fpm: fpm, pool: "max_connections = 2\nmax_idle = 2\nqueue_wait = \"1s\"",
		limits: "messages_per_second = 0\nconnections_per_address = 0"}, "2.queue-wait", "2.fpm-busy", "2.on-error-message")
	clients := w.crowd(100)
	for range 3 {
		began := time.Now()
		clients.ask("sleep 100")
		refused := 0
		for _, resp := range handshakes(t, w, 50) {
			if resp.StatusCode == http.StatusSwitchingProtocols {
				continue
			}
			refused++
			if resp.StatusCode != 503 || resp.Header.Get("Retry-After") == "" {
				t.Errorf("a connect was refused with %s and Retry-After %q, want 503 and a time", resp.Status, resp.Header.Get("Retry-After"))
			}
		}
		failed := clients.answers()
		if took := time.Since(began); took > stack.Bound(3*time.Second) {
			t.Errorf("the last answer came after %v, want about 1s", took)
		}
		if failed == 0 || failed == len(clients) || refused == 0 {
			t.Errorf("%d of 100 messages and %d of 50 connects were refused, want some of each", failed, refused)
		}
	}
	clients.recovers(t)
	w.join("").does("hello")
	w.ledger.check()
	equal(t, "scripts at once", w.ledger.peak(), 2)
}

// running lists, oldest first, who of a crowd has a script that runs: their
// places in the crowd.
func (w *world) running(c crowd) []int {
	w.t.Helper()
	var running []run
	for _, r := range w.ledger.runs() {
		switch {
		case r.begins && r.event == "message":
			running = append(running, r)
		case !r.begins: // maybe that of its connect event, which ends after its answer
			running = slices.DeleteFunc(running, func(b run) bool { return b.connection == r.connection && b.number == r.number })
		}
	}
	var places []int
	for _, r := range running {
		if i := slices.IndexFunc(c, func(m *member) bool { return m.id == r.connection }); i >= 0 {
			places = append(places, i)
		}
	}
	return places
}

// Every script stands at a gate of its own, so the test decides who ends when.
func TestAChattyUserLeavesHalfThePoolToOthers(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	w := start(t, setup{fpm: fpm, pool: own(4)}, "2.pool-share")
	var chatty, others crowd
	for i := range 50 {
		chatty = append(chatty, w.join("?user=chatty"))
		if i < 5 {
			others = append(others, w.join(fmt.Sprint("?user=other-", i)))
		}
	}
	for i, m := range chatty {
		m.ask(fmt.Sprint("gate chatty-", i))
	}
	stack.Wait(t, "the pool to be taken", func() bool { return len(w.running(chatty)) == 4 })
	others.ask("gate others")
	stack.Wait(t, "the others to wait", func() bool { return w.waiting() == len(chatty)-4+len(others) })
	for done := 1; done <= 6; done++ {
		// One of the chatty user's scripts ends: another's turn, until they have half.
		run := w.running(chatty)
		if len(run) == 0 {
			t.Fatalf("after %d events no script of the chatty user runs; of the others %v, with %d that wait", done-1, w.running(others), w.waiting())
		}
		oldest := run[0]
		w.open(fmt.Sprint("chatty-", oldest))
		stack.Wait(t, "the next script", func() bool {
			now := w.running(chatty)
			return !slices.Contains(now, oldest) && len(now)+len(w.running(others)) == 4
		})
		if got, most := len(w.running(chatty)), max(2, 4-done); got > most {
			t.Errorf("after %d events the chatty user has %d of 4 workers while others wait, want %d at most", done, got, most)
		}
	}
	w.open("others")
	for i := range chatty {
		w.open(fmt.Sprint("chatty-", i))
	}
	chatty.allAnswered(t, "the chatty user's")
	others.allAnswered(t, "the others'")
	append(chatty, others...).leave(t)
}
