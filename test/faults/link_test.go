package faults

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"time"

	"wsfpm/test/stack"
)

// weather is what a link does to the bytes that pass.
type weather struct {
	latency time.Duration // each piece comes that much later
	slice   int           // pieces have at most that many bytes, 0 for any
	half    int64         // each connection is reset after that many further bytes of answer, 0 for never
}

// link is a TCP proxy that can be slow, crumbly, silent or cut. It stands between
// two parts, as a network does. It is safe for concurrent use.
type link struct {
	address  string
	network  string // tcp or unix, of the target
	target   string // HOST:PORT, or a path
	listener net.Listener
	running  sync.WaitGroup
	renames  *strings.Replacer // in answers; nil: nothing. It keeps their length

	mu    sync.Mutex // guards what follows
	now   weather
	hole  chan struct{} // not nil while nothing passes; closed when it does again
	down  bool          // new connections are closed at once
	pairs map[*pair]bool
}

// pair is one connection through the link.
type pair struct {
	client, server net.Conn
	cut            sync.Once
	gone           chan struct{} // closed by reset
	told           int64         // bytes of answer since the half weather began; owned by its pipe
}

// reset ends both sides: with an RST where there is such a thing.
func (p *pair) reset() { p.over(true) }

// end ends both sides in good order.
func (p *pair) end() { p.over(false) }

func (p *pair) over(rst bool) {
	p.cut.Do(func() {
		close(p.gone)
		for _, c := range []net.Conn{p.client, p.server} {
			if tcp, ok := c.(*net.TCPConn); ok && rst {
				tcp.SetLinger(0)
			}
			c.Close()
		}
	})
}

// newLink opens a link to target.
func newLink(t stack.T, network, target string) *link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("open a link: %v", err)
	}
	k := &link{address: l.Addr().String(), network: network, target: target, listener: l, pairs: make(map[*pair]bool)}
	k.running.Go(k.accept)
	t.Cleanup(k.close)
	return k
}

func (l *link) close() {
	l.listener.Close()
	l.mend()
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	l.reset()
	l.running.Wait()
}

// set changes the weather.
func (l *link) set(w weather) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = w
}

// swallow lets nothing pass, and closes nothing.
func (l *link) swallow() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hole == nil {
		l.hole = make(chan struct{})
	}
}

// breakDown cuts every connection and takes no new one.
func (l *link) breakDown() {
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	l.reset()
}

// mend ends swallow, breakDown and every weather.
func (l *link) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now, l.down = weather{}, false
	if l.hole != nil {
		close(l.hole)
		l.hole = nil
	}
}

// reset cuts every connection, once.
func (l *link) reset() {
	l.mu.Lock()
	var all []*pair
	for p := range l.pairs {
		all = append(all, p)
	}
	l.mu.Unlock()
	for _, p := range all {
		p.reset()
	}
}

func (l *link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.running.Go(func() { l.serve(client) })
	}
}

func (l *link) serve(client net.Conn) {
	server, err := net.DialTimeout(l.network, l.target, bound) // a second would be a fault of its own on a machine that stands still
	if err != nil {
		client.Close()
		return
	}
	p := &pair{client: client, server: server, gone: make(chan struct{})}
	defer p.reset()
	l.mu.Lock()
	down := l.down
	l.pairs[p] = true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.pairs, p)
		l.mu.Unlock()
	}()
	if down {
		return
	}
	asked := make(chan struct{})
	l.running.Go(func() {
		defer close(asked)
		l.pipe(p, server, client, false)
	})
	l.pipe(p, client, server, true)
	if l.network == "tcp" {
		// A close at once could be an RST, and cost the client what it has not read.
		// PHP-FPM's clients have read all that they wait for, or want to know.
		client.(*net.TCPConn).CloseWrite()
		select {
		case <-asked:
		case <-p.gone:
		case <-time.After(2 * time.Second):
		}
	}
	p.end()
	<-asked
}

// pipe copies src to dst until either ends.
func (l *link) pipe(p *pair, dst, src net.Conn, answers bool) {
	buf := make([]byte, 16<<10)
	for {
		n, err := src.Read(buf)
		if n > 0 && !l.pass(p, dst, buf[:n], answers) {
			break
		}
		if errors.Is(err, syscall.ECONNRESET) {
			p.reset()
		}
		if err != nil {
			if half, ok := dst.(interface{ CloseWrite() error }); ok {
				half.CloseWrite()
			}
			return
		}
	}
	// dst takes no more. Who asks hears of it by the end of the answers.
	if l.network == "unix" {
		p.end()
	} else if !answers {
		io.Copy(io.Discard, src)
	}
}

// pass hands one piece on in the link's present weather. It reports false when
// the connection is to be cut.
func (l *link) pass(p *pair, dst net.Conn, piece []byte, answers bool) bool {
	if answers && l.renames != nil {
		piece = []byte(l.renames.Replace(string(piece)))
	}
	l.mu.Lock()
	w, hole := l.now, l.hole
	l.mu.Unlock()
	if hole != nil {
		select {
		case <-hole:
		case <-p.gone:
			return false
		}
	}
	if w.latency > 0 && !p.rest(w.latency) {
		return false
	}
	cut := false
	if answers && w.half > 0 {
		if p.told+int64(len(piece)) > w.half {
			piece, cut = piece[:max(0, w.half-p.told)], true
		}
		p.told += int64(len(piece))
	} else if answers {
		p.told = 0
	}
	for len(piece) > 0 {
		n := len(piece)
		if w.slice = l.slice(); w.slice > 0 {
			n = min(n, w.slice)
		}
		if _, err := dst.Write(piece[:n]); err != nil {
			return false
		}
		piece = piece[n:]
		if w.slice > 0 && len(piece) > 0 && !p.rest(100*time.Microsecond) {
			return false
		}
	}
	if cut {
		p.reset()
	}
	return !cut
}

// slice is the size of pieces now: a long piece may be under way for longer than
// the weather that cuts it up.
func (l *link) slice() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.now.slice
}

// rest waits for d; it reports false when the connection is cut meanwhile.
func (p *pair) rest(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.gone:
		return false
	}
}
