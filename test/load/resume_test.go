package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

// servedLimit bounds the time from a client's handshake being answered to all that it missed.
const servedLimit = 5 * time.Second

// loss is a node that is killed while its clients read numbered messages of rooms. They come
// back to another node with their position.
type loss struct {
	clients, rooms int
	workers        int           // of PHP-FPM for each node
	every          time.Duration // between two messages

	addresses []string      // of the node that dies and of the other
	missing   chan struct{} // closed when there is a message that each client has missed
	over      atomic.Bool
	living    sync.WaitGroup
	refused   atomic.Int64 // handshakes

	mu     sync.Mutex // guards what follows
	stored []int      // messages of each room
	marks  []int      // the first message of each room after the death; nil before it
}

// returner is one client. Its own goroutine uses it; the test reads it when that has ended.
type returner struct {
	*loss
	room   int
	last   string    // position
	next   int       // number of the next message
	killed time.Time // its connection was lost
	served time.Time // its handshake was answered
	whole  time.Time // it has the first message from after the death
	err    error
}

func TestSoakADeadNodesTenThousandClients(t *testing.T) {
	begin(t, 11_000)
	g := promise(t, "G22", "G22", "a dead node's clients resume at another: each gets all that it missed, once and in order")
	list := (&loss{clients: 10_000, rooms: 100, workers: 32, every: 20 * time.Millisecond}).run(t, g)
	var back, served []time.Duration
	for _, r := range list {
		back, served = append(back, r.whole.Sub(r.killed)), append(served, r.whole.Sub(r.served))
	}
	slowest := quantile(served, 1)
	if slowest > servedLimit {
		t.Errorf("a client had what it missed %v after its handshake was answered, want %v at most", slowest, servedLimit)
	}
	g.reached("all they missed %.3f s (median), %.3f s (the last) after their handshake was answered", sec(median(served)), sec(slowest))
	g.reached("%.1f s (median), %.1f s (the last) after the death", sec(median(back)), sec(quantile(back, 1)))
}

func TestADeadNodesClientsMissNothing(t *testing.T) {
	begin(t, 1000)
	(&loss{clients: 200, rooms: 10, workers: 4, every: 20 * time.Millisecond}).run(t, &goal{})
}

// run lets the node die, and wants every client to have all messages of its room.
func (l *loss) run(t *testing.T, g *goal) []*returner {
	t.Helper()
	server := stack.Redis(t, stack.RedisOptions{})
	fpm := stack.FPM(t, stack.FPMOptions{Children: 2 * l.workers})
	dir := stack.Scripts(t, map[string]string{"room.php": `if ($_SERVER['WS_EVENT'] === 'connect') header("WS-Join: room$_GET[room]");`})
	var nodes []*stack.GatewayServer
	for _, name := range []string{"dies", "stays"} {
		n := stack.Gateway(t, stack.GatewayOptions{Node: name, FPM: fpm, LogLevel: "info", Redis: server.URL(),
			FPMLines: fmt.Sprintf("max_connections = %d\nmax_idle = %d", l.workers, l.workers),
			Limits:   "connections_per_address = 0\naccept_rate = 0",
			Routes:   fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\nresume = true\nevents = [\"connect\"]\n", dir+"/room.php")})
		nodes, l.addresses = append(nodes, n), append(l.addresses, n.Listen)
	}
	l.stored, l.missing = make([]int, l.rooms), make(chan struct{})
	list := l.invite(t)
	stop, done := l.publish(t, server)
	l.afterEach(t, server) // one message for each client, before the death
	nodes[0].Kill()
	l.mu.Lock()
	l.marks = append([]int(nil), l.stored...)
	l.mu.Unlock()
	l.afterEach(t, server)
	close(l.missing)
	stack.WaitWithin(t, 5*stack.Patience, "all clients at the other node", func() bool {
		return nodes[1].Metric(t, "wsfpm_connections") == float64(l.clients)
	})
	stop()
	<-done
	l.over.Store(true)
	l.living.Wait()
	total := 0
	for i, r := range list {
		if r.err != nil || r.whole.IsZero() || r.next != l.stored[r.room] {
			t.Fatalf("client %d has %d of %d messages, and came back: %v: %v", i, r.next, l.stored[r.room], !r.whole.IsZero(), r.err)
		}
		total += r.next
	}
	ok := nodes[1].Metric(t, "wsfpm_resumes_total", `outcome="ok"`)
	equal(t, "clients that resumed", ok, float64(l.clients))
	g.reached("%d clients of a node that was killed, %.0f resumed, %d messages, 0 lost, twice or out of order; %d handshakes refused and tried again", l.clients, ok, total, l.refused.Load())
	return list
}

// invite connects the clients to the first node and lets them read.
func (l *loss) invite(t *testing.T) []*returner {
	t.Helper()
	list := make([]*returner, l.clients)
	open(t, l.clients, func(i int) error {
		r := &returner{loss: l, room: i % l.rooms}
		s, err := r.connect(l.addresses[0])
		if err != nil {
			return err
		}
		if err := r.greeted(s, "new"); err != nil {
			return err
		}
		list[i] = r
		l.living.Go(func() { r.live(s) })
		return nil
	})
	return list
}

// publish stores messages, for one room after the other, until stop is called.
func (l *loss) publish(t *testing.T, server *stack.RedisServer) (stop func(), done <-chan struct{}) {
	ctx, stop := context.WithCancel(t.Context())
	client, ended := server.Client(t), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(l.every)
		defer tick.Stop()
		for room := 0; ; room = (room + 1) % l.rooms {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			if err := l.store(client, room); err != nil {
				t.Errorf("store: %v", err)
				return
			}
		}
	}()
	return stop, ended
}

// afterEach stores one message for each room.
func (l *loss) afterEach(t *testing.T, server *stack.RedisServer) {
	t.Helper()
	client := server.Client(t)
	for room := range l.rooms {
		if err := l.store(client, room); err != nil {
			t.Fatalf("store: %v", err)
		}
	}
}

// store stores the room's next message.
func (l *loss) store(client *redis.Client, room int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	err := client.Do(context.Background(), "XADD", "ws:log", "*", "to", fmt.Sprint("channel:room", room), "data", l.stored[room]).Err()
	if err == nil {
		l.stored[room]++
	}
	return err
}

// mark is the number of the room's first message after the death, -1 before it.
func (l *loss) mark(room int) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.marks == nil {
		return -1
	}
	return l.marks[room]
}

// finished reports whether the client has all that was stored, and no more comes.
func (r *returner) finished() bool {
	if !r.over.Load() {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.next == r.stored[r.room]
}

// connect shakes hands, with the client's position.
func (r *returner) connect(address string) (*socket, error) {
	query := url.Values{"room": {strconv.Itoa(r.room)}}
	if r.last != "" {
		query.Set("ws_last", r.last)
	}
	s, err := dial(wish{address: address, path: "/ws?" + query.Encode(), headers: "Sec-WebSocket-Protocol: wsfpm.v1\r\n"})
	r.served = time.Now()
	return s, err
}

// greeted wants a hello with this resume.
func (r *returner) greeted(s *socket, resume string) error {
	text, code := s.next(time.Now().Add(stack.Patience))
	var m struct{ Hello struct{ Resume string } }
	if code != 0 || json.Unmarshal(text, &m) != nil || m.Hello.Resume != resume {
		return fmt.Errorf("got %s and code %d, want a hello with %s", text, code, resume)
	}
	return nil
}

// live reads until the test is over, and comes back once.
func (r *returner) live(s *socket) {
	defer func() { s.reset() }()
	for until := time.Now().Add(10 * stack.Patience); !r.finished(); {
		text, code := s.next(time.Now().Add(time.Second))
		switch {
		case time.Now().After(until):
			r.err = errors.New("it waits too long")
			return
		case code != 0 && !r.killed.IsZero():
			r.err = fmt.Errorf("a second connection ended with %d", code)
			return
		case code != 0:
			r.killed = time.Now()
			if s, r.err = r.comeBack(s); r.err != nil {
				return
			}
		case text != nil:
			if r.err = r.received(text); r.err != nil {
				return
			}
		}
	}
}

// received takes a message of the log: it is the next one.
func (r *returner) received(text []byte) error {
	var m struct{ ID, Data string }
	if err := json.Unmarshal(text, &m); err != nil {
		return fmt.Errorf("%s: %w", text, err)
	}
	if m.ID != "" {
		r.last = m.ID
	}
	if m.Data == "" {
		return nil // a sign of life, or the first position
	}
	if m.Data != strconv.Itoa(r.next) {
		return fmt.Errorf("got message %s, want %d", text, r.next)
	}
	if !r.killed.IsZero() && r.whole.IsZero() && r.next == r.mark(r.room) {
		r.whole = time.Now()
	}
	r.next++
	return nil
}

// comeBack connects to the other node, as live.js does: after a random time that grows. It
// waits until there is something that it has missed.
func (r *returner) comeBack(lost *socket) (*socket, error) {
	var no refused
	<-r.missing
	for longest := 500 * time.Millisecond; ; longest = min(30*time.Second, 2*longest) {
		<-time.After(rand.N(longest))
		s, err := r.connect(r.addresses[1])
		switch {
		case err == nil:
			return s, r.greeted(s, "ok")
		case !errors.As(err, &no):
			return lost, err
		}
		r.refused.Add(1)
	}
}
