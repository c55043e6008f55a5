package stack

import (
	"io"
	"net"
	"sync"
	"time"
)

// Link is a TCP proxy that can be slow, silent or cut: the network between the
// gateway and Redis, for example. It is safe for concurrent use.
type Link struct {
	Addr string // where it listens

	target   string
	listener net.Listener
	running  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	delay  time.Duration
	down   bool
	paused chan struct{} // nil while bytes flow; closed to let them flow again
	conns  map[net.Conn]bool
}

// Proxy opens a link to target, with no delay.
func Proxy(t T, target string) *Link {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("open a proxy: %v", err)
	}
	link := &Link{Addr: l.Addr().String(), target: target, listener: l, conns: make(map[net.Conn]bool)}
	link.running.Go(link.accept)
	t.Cleanup(link.close)
	return link
}

// Delay makes every byte arrive d later, in each direction. It holds for bytes
// that the proxy reads from now on.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// Cut closes every connection and refuses new ones until Mend.
func (l *Link) Cut() {
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	l.Reset()
}

// Mend ends Cut.
func (l *Link) Mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// Reset closes every connection, once.
func (l *Link) Reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		c.Close()
	}
}

// Pause holds all bytes back without closing anything, until Resume.
func (l *Link) Pause() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused == nil {
		l.paused = make(chan struct{})
	}
}

// Resume ends Pause; what was held back goes on.
func (l *Link) Resume() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.paused != nil {
		close(l.paused)
		l.paused = nil
	}
}

func (l *Link) close() {
	l.listener.Close()
	l.Resume()
	l.Cut()
	l.running.Wait()
}

func (l *Link) accept() {
	for {
		client, err := l.listener.Accept()
		if err != nil {
			return // closed
		}
		l.running.Go(func() { l.serve(client) })
	}
}

func (l *Link) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", l.target)
	if err != nil {
		return
	}
	defer server.Close()
	if !l.register(client, server) {
		return
	}
	defer l.forget(client, server)
	var both sync.WaitGroup
	both.Go(func() { l.pipe(server, client) })
	both.Go(func() { l.pipe(client, server) })
	both.Wait()
}

func (l *Link) register(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = true
	}
	return !l.down
}

func (l *Link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}

// chunk is what was read at once and when it may arrive.
type chunk struct {
	data []byte
	due  time.Time
}

// pipe copies src to dst. Reading and writing are two goroutines, so that a
// delay does not also limit the throughput.
func (l *Link) pipe(dst, src net.Conn) {
	queue := make(chan chunk, 1024)
	go func() {
		defer close(queue)
		for {
			buf := make([]byte, 16<<10)
			n, err := src.Read(buf)
			if n > 0 {
				queue <- chunk{buf[:n], time.Now().Add(l.lag())}
			}
			if err != nil {
				return
			}
		}
	}()
	for c := range queue {
		l.hold(c.due)
		if _, err := dst.Write(c.data); err != nil {
			src.Close()
			io.Copy(io.Discard, src)
		}
	}
	dst.Close()
}

func (l *Link) lag() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay
}

// hold waits until due, and while the link is paused.
func (l *Link) hold(due time.Time) {
	if wait := time.Until(due); wait > 0 {
		<-time.After(wait)
	}
	l.mu.Lock()
	paused := l.paused
	l.mu.Unlock()
	if paused != nil {
		<-paused
	}
}
