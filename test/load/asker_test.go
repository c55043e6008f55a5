package load

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// busy is the error message of the routes that askers use.
const busy = "busy"

// crush is a gateway whose PHP-FPM has more to do than it can.
type crush struct {
	gateway *stack.GatewayServer
	over    atomic.Bool // everybody shall leave
	living  sync.WaitGroup
	askers  []*asker
}

// crowd connects n clients of as many users, or of one when it is named.
func (c *crush) crowd(t *testing.T, n int, user string) []*asker {
	t.Helper()
	all := make([]*asker, n)
	open(t, n, func(i int) (err error) {
		name := user
		if name == "" {
			name = fmt.Sprint("u", len(c.askers)+i)
		}
		all[i], err = c.asker(name)
		return err
	})
	c.askers = append(c.askers, all...)
	return all
}

// live lets clients do something until they shall leave.
func (c *crush) live(all []*asker, do func(*asker)) {
	for _, a := range all {
		c.living.Go(func() { do(a) })
	}
}

// disperse lets everybody leave and fails the test for a wrong answer.
func (c *crush) disperse(t *testing.T) {
	t.Helper()
	c.over.Store(true)
	c.living.Wait()
	for _, a := range c.askers {
		if a.wrong != "" {
			t.Errorf("a client %s", a.wrong)
		}
		a.Conn.Close()
	}
	c.askers = nil
	empty(t, c.gateway)
	c.over.Store(false)
}

// waits are the times that answers and refusals took, of all.
func waits(all []*asker) (answered, refused []time.Duration) {
	for _, a := range all {
		answered, refused = append(answered, a.answered...), append(refused, a.refused...)
	}
	return answered, refused
}

// asker is one client that keeps account. Its own goroutine uses it until it ends.
type asker struct {
	*crush
	*socket
	sent     []time.Time // of messages without an answer, oldest first
	answered []time.Duration
	refused  []time.Duration
	wrong    string // an answer that is none of both
}

func (c *crush) asker(user string) (*asker, error) {
	s, err := dial(wish{address: c.gateway.Listen, path: "/ws?user=" + user})
	if err != nil {
		return nil, err
	}
	if text, _ := s.next(time.Now().Add(stack.Patience)); string(text) != "hello" {
		return nil, fmt.Errorf("the first message is %q, want hello", text)
	}
	return &asker{crush: c, socket: s}, nil
}

// ask sends one message that takes PHP so long.
func (a *asker) ask(script time.Duration) {
	a.sent = append(a.sent, time.Now())
	a.send(fmt.Sprintf("done %d", script.Milliseconds()))
}

// hear takes what comes next, and reports whether it came before the given time.
func (a *asker) hear(until time.Time) bool {
	text, code := a.next(until)
	if text == nil && code == 0 {
		return false
	}
	if answer := string(text); len(a.sent) == 0 || answer != "done" && answer != busy {
		a.wrong = fmt.Sprintf("got %q and the close code %d, having asked %d times", text, code, len(a.sent))
		return true
	}
	took := time.Since(a.sent[0])
	a.sent = a.sent[1:]
	if string(text) == busy {
		a.refused = append(a.refused, took)
	} else {
		a.answered = append(a.answered, took)
	}
	return true
}

// rest listens until the given time.
func (a *asker) rest(until time.Time) {
	for a.wrong == "" && a.hear(until) {
	}
}

// finish waits for all answers.
func (a *asker) finish() {
	for until := time.Now().Add(2 * stack.Patience); a.wrong == "" && len(a.sent) > 0; {
		if !a.hear(until) {
			a.wrong = fmt.Sprintf("has no answer to %d messages", len(a.sent))
		}
	}
}

// closed sends the next message when the one before is answered, and a pause
// is over.
func (a *asker) closed(script, pause time.Duration) {
	for a.wrong == "" && !a.over.Load() {
		a.ask(script)
		a.finish()
		a.rest(time.Now().Add(pause))
	}
}

// open sends at fixed times, whatever comes back.
func (a *asker) open(script, every time.Duration) {
	for due := time.Now().Add(rand.N(every)); a.wrong == ""; due = due.Add(every) {
		a.rest(due)
		if a.over.Load() {
			break
		}
		a.ask(script)
	}
	a.finish()
}
