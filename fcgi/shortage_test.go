package fcgi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// machine is an application server with a fake clock: how many workers it has, how
// late they come for a connection, on average (exponentially distributed), how
// long the network takes there and back, and how long a script runs.
type machine struct {
	workers int
	late    time.Duration
	network time.Duration
	script  time.Duration
}

// backlogged is a connection whose bytes the kernel takes before a worker comes.
type backlogged struct {
	net.Conn
	in   chan []byte // closed at the end
	rest []byte
}

func (b *backlogged) receive(network time.Duration) {
	defer close(b.in)
	for {
		buf := make([]byte, 4096)
		n, err := b.Conn.Read(buf)
		if err != nil {
			return
		}
		time.Sleep(network)
		b.in <- buf[:n]
	}
}

func (b *backlogged) Read(into []byte) (int, error) {
	for len(b.rest) == 0 {
		chunk, more := <-b.in
		if !more {
			return 0, net.ErrClosed
		}
		b.rest = chunk
	}
	n := copy(into, b.rest)
	b.rest = b.rest[n:]
	return n, nil
}

// pool starts the machine and makes a pool for it.
func (m machine) pool(t *testing.T, cfg Config) *Pool {
	t.Helper()
	backlog := make(chan *backlogged, 1000)
	var running sync.WaitGroup
	random := rand.New(rand.NewPCG(1, 2))
	var mu sync.Mutex
	lateness := func() time.Duration {
		mu.Lock()
		defer mu.Unlock()
		return min(time.Duration(random.ExpFloat64()*float64(m.late)), 6*m.late)
	}
	script := func(w *fcgitest.Writer, r *fcgitest.Request) {
		time.Sleep(m.script)
		fcgitest.Echo(w, r)
	}
	for range m.workers {
		running.Go(func() {
			for c := range backlog {
				time.Sleep(lateness())
				fcgitest.Serve(c, script, fcgitest.Options{})
				c.Close()
			}
		})
	}
	t.Cleanup(running.Wait)
	t.Cleanup(func() { close(backlog) })
	cfg.Address, cfg.QueueWait, cfg.Timeout = "machine", time.Hour, time.Hour
	p := newTestPool(t, cfg)
	p.netDial = func(context.Context, *Config) (net.Conn, error) {
		time.Sleep(m.network)
		client, server := net.Pipe()
		c := &backlogged{Conn: server, in: make(chan []byte, 100)}
		running.Go(func() { c.receive(m.network) })
		backlog <- c
		return client, nil
	}
	return p
}

// load has that many callers make requests for as long. It returns the lowest
// limit that the pool had, and after how long it had it first.
func (m machine) load(t *testing.T, p *Pool, callers int, lasting time.Duration) (limit int, after time.Duration) {
	t.Helper()
	call(p, &Request{Env: testEnv(t)}) // learns of the probe
	began := time.Now()
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			for time.Since(began) < lasting {
				if _, _, err := call(p, &Request{Env: testEnv(t)}); err != nil {
					t.Error(err)
				}
				if callers < p.cfg.MaxConnections { // who are not always there all
					time.Sleep(rand.N(time.Duration(10*(i+1)) * time.Millisecond))
				}
			}
		})
	}
	limit = p.cfg.MaxConnections
	for time.Since(began) < lasting {
		time.Sleep(10 * time.Millisecond)
		if now := p.Stats().Limit; now < limit {
			limit, after = now, time.Since(began)
		}
	}
	all.Wait()
	return limit, after
}

const ms = time.Millisecond

// forms are the ways to use connections: all are kept, one is, and none.
var forms = map[string]Config{
	"all kept":  {MaxConnections: 6, MaxIdle: 6, IdleTimeout: 5 * time.Second},
	"one kept":  {MaxConnections: 6, MaxIdle: 1},
	"none kept": {MaxConnections: 6, IdleTimeout: -1},
}

// Workers that come late are there: because they, or the gateway, have to wait for
// the CPU, or because the network is slow.
func TestLateWorkersAreNotMissing(t *testing.T) {
	for what, m := range map[string]machine{
		"busy machine, short scripts":      {workers: 20, late: 40 * ms, script: 10 * ms},
		"busy machine, scripts of 200 ms":  {workers: 20, late: 40 * ms, script: 200 * ms},
		"very busy machine, short scripts": {workers: 20, late: 100 * ms, script: 10 * ms},
		"workers to spare: none":           {workers: 6, late: 40 * ms, script: 60 * ms},
		"network of 120 ms":                {workers: 20, network: 120 * ms, script: 30 * ms},
	} {
		for form, cfg := range forms {
			for _, callers := range []int{20, 4} {
				t.Run(fmt.Sprintf("%s, %s, %d callers", what, form, callers), func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						p := m.pool(t, cfg)
						if limit, after := m.load(t, p, callers, 5*time.Second); limit < 6 {
							t.Errorf("worked with %d of 6 after %v", limit, after)
						}
						if st := p.Stats(); m.late > 0 && form == "none kept" && st.Stalls < 10 {
							t.Errorf("%d stalls: the machine is not busy", st.Stalls)
						}
					})
				})
			}
		}
	}
}

// A shortage of workers is detected within two seconds, on a quiet machine and on a
// busy one, however short each wait in the backlog is.
func TestFewerWorkersAreFoundWithinTwoSeconds(t *testing.T) {
	for what, m := range map[string]machine{
		"scripts of 100 ms":                {workers: 2, script: 100 * ms},
		"scripts of 200 ms":                {workers: 2, script: 200 * ms},
		"long scripts":                     {workers: 4, script: 20 * time.Second},
		"one worker":                       {workers: 1, script: 200 * ms},
		"busy machine, scripts of 200 ms":  {workers: 2, late: 10 * ms, script: 200 * ms},
		"busy machine, long scripts":       {workers: 4, late: 40 * ms, script: 20 * time.Second},
		"slow network, scripts of 1000 ms": {workers: 3, network: 20 * ms, script: time.Second},
	} {
		for form, cfg := range forms {
			t.Run(what+", "+form, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					p := m.pool(t, cfg)
					limit, after := m.load(t, p, 20, 3*time.Second)
					if limit != m.workers || after > 2*time.Second {
						t.Errorf("worked with %d after %v, want %d within 2s", limit, after, m.workers)
					}
					st := p.Stats()
					p.mu.Lock()
					defer p.mu.Unlock()
					if st.Running+st.Settling+p.missing+p.owed != 0 {
						t.Errorf("left over: %+v, %d missed, %d owed", st, p.missing, p.owed)
					}
				})
			})
		}
	}
}

// Conclusive and inconclusive windows.
func TestShortage(t *testing.T) {
	full := func(n int, l look) (looks []look) {
		for range n {
			looks = append(looks, l)
		}
		return looks
	}
	missed := look{held: 2, most: 2, open: 4, missed: true}
	with := func(change func(*look)) look {
		l := missed
		change(&l)
		return l
	}
	for what, c := range map[string]struct {
		looks []look
		want  int // after the last
	}{
		"a whole window":             {full(windowSize, missed), 2},
		"not yet":                    {full(windowSize-1, missed), 0},
		"none was missed for a look": {append(full(windowSize-1, missed), append([]look{with(func(l *look) { l.missed = false })}, full(windowSize-1, missed)...)...), 0},
		"one more worker came":       {append(full(windowSize-1, missed), full(windowSize-1, with(func(l *look) { l.held, l.most = 3, 3 }))...), 0},
		"one more came and stayed":   {append(full(3, missed), full(windowSize, with(func(l *look) { l.held, l.most = 3, 3 }))...), 3},
		"no more slots were taken":   {full(3*windowSize, with(func(l *look) { l.open = 2 })), 0},
		"workers are known and free": {full(3*windowSize, with(func(l *look) { l.held = 1 })), 0},
		"no worker came at all":      {full(3*windowSize, with(func(l *look) { l.held, l.most = 0, 0 })), 0},
	} {
		var s shortage
		got := 0
		for _, l := range c.looks {
			s.missed = l.missed
			got = s.look(l.held, l.most, l.open)
		}
		if got != c.want {
			t.Errorf("%s: got %d workers, want %d", what, got, c.want)
		}
	}
}

// look is what is seen at a look.
type look struct {
	held, most, open int
	missed           bool
}
