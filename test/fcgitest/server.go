package fcgitest

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"
)

// Options describes how a server differs from a default PHP-FPM pool.
type Options struct {
	// Network is "unix" (the default) or "tcp", on a free port of 127.0.0.1.
	Network string
	// Address is where to listen; by default a new place.
	Address string
	// Workers is the number of connections served at once; others wait in the
	// backlog, unread. Default 4.
	Workers int
	// MaxRequests is the number of requests after which a worker closes its
	// connection. 0: no limit.
	MaxRequests int
	// CloseAfterValues closes the connection after the reply to FCGI_GET_VALUES, as PHP
	// before 8.2 does.
	CloseAfterValues bool
	// IgnoreValues leaves FCGI_GET_VALUES unanswered.
	IgnoreValues bool
	// Early starts the handler after the parameters; Request.Body is empty and the rest
	// is not read before the handler returns.
	Early bool
}

// Handler is the script. When it returns, the server ends the answer unless the handler
// has done so.
type Handler func(w *Writer, r *Request)

// Server is an application server on a real socket.
type Server struct {
	Network, Address string

	opts     Options
	handler  Handler
	dir      string // to be removed
	listener net.Listener
	workers  sync.WaitGroup
	accepted atomic.Int64
	served   atomic.Int64
	running  atomic.Int64
	peak     atomic.Int64

	mu     sync.Mutex // guards what follows
	conns  map[net.Conn]bool
	closed bool
}

// NewServer starts a server. Like httptest, it panics if it cannot listen.
func NewServer(handler Handler, opts Options) *Server {
	if opts.Workers == 0 {
		opts.Workers = 4
	}
	s := &Server{Network: opts.Network, Address: opts.Address, opts: opts,
		handler: handler, conns: make(map[net.Conn]bool)}
	if s.Network == "" {
		s.Network = "unix"
	}
	if s.Address == "" && s.Network == "unix" {
		dir, err := os.MkdirTemp("", "fcgitest")
		if err != nil {
			panic(fmt.Sprintf("fcgitest: %v", err))
		}
		s.dir, s.Address = dir, filepath.Join(dir, "sock")
	}
	if s.Address == "" {
		s.Address = "127.0.0.1:0"
	}
	l, err := net.Listen(s.Network, s.Address)
	if err != nil {
		panic(fmt.Sprintf("fcgitest: %v", err))
	}
	s.listener = l
	if s.Network != "unix" {
		s.Address = l.Addr().String()
	}
	for range opts.Workers {
		s.workers.Go(s.work)
	}
	return s
}

// closeTime bounds the wait for scripts in Close. A test that fails may leave one held.
const closeTime = 30 * time.Second

// Close stops listening, closes every connection and waits for the workers, for half a
// minute at most.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.listener.Close()
	s.CloseConnections()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		s.workers.Wait()
	}()
	select {
	case <-ended:
	case <-time.After(closeTime):
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// CloseConnections closes the connections being served, as a restart of PHP-FPM
// does.
func (s *Server) CloseConnections() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		c.Close()
	}
}

// Open returns the number of connections being served.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Accepted returns the number of connections accepted, Served that of requests run, and
// Peak the maximum of requests run at once.
func (s *Server) Accepted() int { return int(s.accepted.Load()) }

// Served is described at Accepted.
func (s *Server) Served() int { return int(s.served.Load()) }

// Peak is described at Accepted.
func (s *Server) Peak() int { return int(s.peak.Load()) }

// work is one worker: it serves one connection after another.
func (s *Server) work() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.accepted.Add(1)
		if s.track(c) {
			s.serve(c)
		}
		c.Close()
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}
}

func (s *Server) track(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.conns[c] = true
	}
	return !s.closed
}

// Serve serves one connection, such as a net.Pipe, until it ends. The caller closes it.
func Serve(c net.Conn, handler Handler, opts Options) {
	(&Server{handler: handler, opts: opts}).serve(c)
}

func (s *Server) serve(c net.Conn) {
	in := newReader(c)
	for n := 1; ; n++ {
		r, err := in.request(c, s.opts)
		if err != nil {
			return
		}
		r.N = n
		w := &Writer{conn: c, id: r.ID}
		s.run(w, r)
		if w.hungUp || !r.Keep {
			return
		}
		if s.opts.Early && in.rest(r.ID) != nil {
			return
		}
		if n == s.opts.MaxRequests {
			// As PHP does: close the writing side and wait until the peer closes.
			closeWrite(c)
			io.Copy(io.Discard, in)
			return
		}
	}
}

func (s *Server) run(w *Writer, r *Request) {
	s.served.Add(1)
	running := s.running.Add(1)
	for peak := s.peak.Load(); running > peak && !s.peak.CompareAndSwap(peak, running); {
		peak = s.peak.Load()
	}
	s.handler(w, r)
	s.running.Add(-1)
	if !w.ended && !w.hungUp {
		w.End(0, 0)
	}
}

func closeWrite(c net.Conn) {
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
}
