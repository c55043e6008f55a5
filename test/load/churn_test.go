package load

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/test/stack"
)

const (
	churners   = 24                    // clients that come and go
	churnPause = 40 * time.Millisecond // about, between two visits of one: PHP keeps up with the disconnect events
	churnRound = 8 * time.Second
	churnShort = 6 // rounds; the first is not counted: it fills pools and grows maps
	churnLeak  = 0.02
	// churnHeap is what the heap may be off by beside 2 % of a few MiB. Go keeps
	// half a kilobyte of every goroutine that ever ran beside the others, and
	// the pool the places of all that ever waited at once: on a machine that
	// stalls a later round may have some more of both. A leak of 50 bytes per
	// connection shows all the same.
	churnHeap = 1 << 20
	churnSlop = 2 // goroutines or descriptors, such as those of a connection that asks for the metrics
)

// Clients come, say something and go, some of them without a good-bye or in
// the middle of their handshake, and at the end everything is as before.
func TestSoakComingAndGoingLeavesNothingBehind(t *testing.T) {
	g := promise(t, "G9", "G9", "no leaks: goroutines, descriptors and heap are as before, within 2 %, after a time of coming and going")
	rounds := churnShort
	if long() {
		rounds = int(time.Hour / churnRound)
	}
	comeAndGo(t, g, &churn{wave: 500, length: churnRound}, rounds)
}

func TestAShortTimeOfComingAndGoingLeavesNothingBehind(t *testing.T) {
	comeAndGo(t, &goal{}, &churn{wave: 100, length: time.Second}, 3)
}

func comeAndGo(t *testing.T, g *goal, c *churn, rounds int) {
	t.Helper()
	begin(t, 2000)
	dir := workScripts(t)
	server := stack.Redis(t, stack.RedisOptions{})
	c.gateway = stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{Children: 8}), Redis: server.URL(), LogLevel: "error",
		FPMLines: "max_connections = 8\nmax_idle = 8", Limits: "connections_per_address = 0\naccept_rate = 0\nmessages_per_second = 0",
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", dir+"/work.php")})
	c.round(t)
	before := c.count(t)
	began := time.Now()
	for range rounds - 1 {
		c.round(t)
	}
	took := time.Since(began)
	after := c.count(t)
	stack.Wait(t, "the goroutines of the last clients, and of the counting, to end", func() bool {
		after.goroutines = c.gateway.Metric(t, "go_goroutines")
		return after.goroutines <= before.goroutines+churnSlop
	})
	before.compare(t, after)
	farewells(t, ledger(t, dir+"/ledger"))
	g.reached("%d connections in %.0f s: goroutines %.0f → %.0f, descriptors %.0f → %.0f, heap %.2f → %.2f MiB", c.visits.Load(), sec(took),
		before.goroutines, after.goroutines, before.files, after.files, mib(before.heap), mib(after.heap))
}

// churn is a gateway whose clients come and go.
type churn struct {
	wave    int           // clients that stay for a round, silent long enough to be parked, then go at once
	length  time.Duration // of a round
	gateway *stack.GatewayServer
	visits  atomic.Int64
	source  atomic.Int64 // of the next client, see dialer
}

// round lets a wave of clients stay while others come and go. It ends when
// everybody has left and their last events are over.
func (c *churn) round(t *testing.T) {
	t.Helper()
	wave := make([]*socket, c.wave)
	open(t, c.wave, func(i int) (err error) {
		wave[i], err = dial(c.wish(i % 50))
		return err
	})
	end := time.Now().Add(c.length)
	failures := make([]error, churners)
	var coming sync.WaitGroup
	for i := range churners {
		coming.Go(func() {
			for time.Now().Before(end) && failures[i] == nil {
				failures[i] = c.visit()
				<-time.After(rand.N(2 * churnPause))
			}
		})
	}
	coming.Wait()
	for _, err := range failures {
		if err != nil {
			t.Error(err)
		}
	}
	for _, s := range wave {
		s.reset()
	}
	c.visits.Add(int64(c.wave))
	empty(t, c.gateway)
}

// wish names a client's user and its address: every one has 28,000 ports,
// which stay taken for a minute after a connection.
func (c *churn) wish(user int) wish {
	n := c.source.Add(1)
	from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+n%200))}
	return wish{address: c.gateway.Listen, path: fmt.Sprintf("/ws?user=u%d", user), dialer: &net.Dialer{Timeout: stack.Patience, LocalAddr: from}}
}

// visit is one client's whole life.
func (c *churn) visit() error {
	c.visits.Add(1)
	kind := rand.IntN(10)
	w := c.wish(rand.IntN(50))
	if kind == 0 { // leaves in the middle of the handshake
		conn, err := w.dialer.Dial("tcp", w.address)
		if err != nil {
			return err
		}
		fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgr", w.path)
		return conn.Close()
	}
	s, err := dial(w)
	if err != nil {
		return err
	}
	defer s.Conn.Close() // without a good-bye, when nothing was said below
	until := time.Now().Add(2 * stack.Patience)
	if text, code := s.next(until); string(text) != "hello" {
		return fmt.Errorf("got %q and the close code %d, want hello", text, code)
	}
	for i := range rand.IntN(4) {
		if err := s.send(fmt.Sprintf("tag-%d", i)); err != nil {
			return err
		}
		if text, code := s.next(until); string(text) != fmt.Sprintf("tag-%d", i) {
			return fmt.Errorf("got %q and the close code %d, want the answer to %d", text, code, i)
		}
	}
	switch kind {
	case 1, 2: // a message in flight
		s.send("last 5")
		s.reset()
	case 3:
		s.send("last")
	default:
		s.leave()
	}
	return nil
}

// counts is what a leak would show in.
type counts struct{ goroutines, files, heap float64 }

// count looks at the gateway after its kept connections to PHP-FPM have ended,
// as they do after a while without use.
func (c *churn) count(t *testing.T) counts {
	t.Helper()
	stack.Wait(t, "the kept connections to end", func() bool { return c.gateway.Metric(t, "wsfpm_fpm_idle") == 0 })
	n := counts{heap: math.Inf(1)}
	for range 4 { // pools are emptied by the second collection
		n.heap = min(n.heap, c.heap(t))
	}
	n.goroutines, n.files = c.gateway.Metric(t, "go_goroutines"), c.gateway.Metric(t, "process_open_fds")
	return n
}

// heap is how many bytes are in use right after a garbage collection.
func (c *churn) heap(t *testing.T) (bytes float64) {
	t.Helper()
	_, profile := c.gateway.AdminDo(t, http.MethodGet, "/debug/pprof/heap?gc=1&debug=1", "", nil)
	_, rest, _ := strings.Cut(profile, "# HeapAlloc = ")
	if _, err := fmt.Sscan(rest, &bytes); err != nil {
		t.Fatalf("read the heap's size: %v in %.200q", err, profile)
	}
	return bytes
}

// compare wants after to be as before.
func (before counts) compare(t *testing.T, after counts) {
	t.Helper()
	for _, c := range []struct {
		what                string
		before, after, slop float64
	}{
		{"goroutines", before.goroutines, after.goroutines, churnSlop},
		{"descriptors", before.files, after.files, churnSlop},
		{"bytes of heap", before.heap, after.heap, churnHeap},
	} {
		if c.after > c.before*(1+churnLeak)+c.slop {
			t.Errorf("%s: %.0f before and %.0f after, want the same", c.what, c.before, c.after)
		}
	}
}
