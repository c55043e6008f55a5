package load

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"wsfpm/test/stack"
)

// house is what the guests of one test share.
type house struct {
	addresses []string      // of the nodes: the first that takes a connection is it
	every     time.Duration // between the messages of one client, about
	most      int           // milliseconds that one message takes in PHP
	over      atomic.Bool   // everybody shall leave
	ending    atomic.Bool   // the first node has been told to end
	late      atomic.Int64  // answers since then
	living    sync.WaitGroup
}

// guest is one client of a gateway that is restarted. It sends messages, and
// when its connection ends it comes back as the chat example's pages do. Its
// own goroutine uses it; the test reads it when that has ended.
type guest struct {
	*house
	number  int
	sent    int
	waiting []string // tags of the messages without an answer, oldest first
	answers []string // tags in the order of the answers
	ends    []parting
	err     error
}

// parting is the end of a connection and the return after it.
type parting struct {
	code     int
	at, back time.Time
}

// live sends one to three messages now and then until the house is closed and
// every message has its answer.
func (g *guest) live(s *socket) {
	due := time.Now().Add(rand.N(g.every))
	for g.err == nil {
		// Looks up every two seconds, whether it is time to leave.
		text, code := s.next(time.Now().Add(min(time.Until(due), 2*time.Second)))
		switch {
		case text != nil:
			g.answer(string(text))
		case code != 0:
			s = g.comeBack(code)
		case g.over.Load() && len(g.waiting) == 0:
			s.leave()
			return
		case time.Now().After(due):
			g.say(s)
			due = time.Now().Add(g.every/2 + rand.N(g.every))
		}
	}
}

// say sends one to three messages. What cannot be sent shows at the next read.
func (g *guest) say(s *socket) {
	if g.over.Load() {
		return
	}
	for range 1 + rand.IntN(3) {
		tag := fmt.Sprintf("%d-%d", g.number, g.sent)
		g.sent++
		g.waiting = append(g.waiting, tag)
		s.send(fmt.Sprintf("%s %d", tag, rand.IntN(g.most)))
	}
}

func (g *guest) answer(tag string) {
	if len(g.waiting) == 0 || g.waiting[0] != tag {
		g.err = fmt.Errorf("client %d got %q, want the answer to the first of %q", g.number, tag, g.waiting)
		return
	}
	g.waiting = g.waiting[1:]
	g.answers = append(g.answers, strings.Clone(tag))
	if g.ending.Load() {
		g.late.Add(1)
	}
}

// comeBack connects again after a random wait that grows with every failure.
// What has no answer by now gets none.
func (g *guest) comeBack(code int) *socket {
	g.waiting = nil
	end := parting{code: code, at: time.Now()}
	for longest := 500 * time.Millisecond; ; longest = min(30*time.Second, 2*longest) {
		<-time.After(rand.N(longest))
		for _, address := range g.addresses {
			if s, err := enter(address); err == nil {
				end.back = time.Now()
				g.ends = append(g.ends, end)
				return s
			}
		}
	}
}

// enter shakes hands and waits for PHP's first message.
func enter(address string) (*socket, error) {
	s, err := dial(wish{address: address, path: "/ws"})
	if err != nil {
		return nil, err
	}
	if text, _ := s.next(time.Now().Add(stack.Patience)); string(text) != "hello" {
		s.reset()
		return nil, fmt.Errorf("the first message is %q, want hello", text)
	}
	return s, nil
}

// invite connects n guests and lets them live.
func (h *house) invite(t stack.T, n int) []*guest {
	t.Helper()
	guests := make([]*guest, n)
	open(t, n, func(i int) error {
		s, err := enter(h.addresses[0])
		if err != nil {
			return err
		}
		guests[i] = &guest{house: h, number: i}
		h.living.Go(func() { guests[i].live(s) })
		return nil
	})
	return guests
}

// busiest is the largest share of the given times that falls into one second.
func busiest(times []time.Time) float64 {
	slices.SortFunc(times, time.Time.Compare)
	most, from := 0, 0
	for i, at := range times {
		for at.Sub(times[from]) >= time.Second {
			from++
		}
		most = max(most, i-from+1)
	}
	return float64(most) / float64(max(1, len(times)))
}
