package gateway

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// accepted counts the sockets of the public listeners from accept to close: without a
// complete request yet, being answered, and, as reported by package ws, WebSockets. It sees
// sockets too whose requests net/http answers itself, or not at all, and that reach no
// handler.
type accepted struct {
	websockets func() int64 // open sockets taken over by package ws

	mu      sync.Mutex // guards what follows
	most    int        // maximum of open sockets; 0: unlimited
	refused int        // sockets above most whose request is read and answered; the rest get a bare 503
	held    int        // sockets held by net/http
	reading map[net.Conn]*pendingConn
	late    int64 // exceeded limits.handshake_timeout
	broken  int64 // sent something, but no complete request
}

// pendingConn is a connection without a complete request yet.
type pendingConn struct {
	since time.Time
	heard bool // it has sent something, and net/http stopped reading
	late  bool // because of the timeout
	away  bool // it was refused unread
}

// connKey is the key of a request's net.Conn in its context.
type connKey struct{}

// Attend makes the gateway count and limit the sockets of server, including those that
// never send a complete handshake. It is called before server serves; the gateway is the
// server's handler.
func (g *Gateway) Attend(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, connKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		if g.accepted.state(c, state, server.ReadHeaderTimeout) {
			return
		}
		g.stats.refused(Refusal{http.StatusServiceUnavailable, "sockets"})
		turnAway(c)
	}
}

// turnAway refuses a socket before reading from it.
func turnAway(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a new socket's send buffer is empty
	_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "+strconv.Itoa(comeBack)+
		"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	_ = c.Close() // net/http notices at its next read
}

// state handles a connection's change of state: new; active when net/http has read
// something and no longer waits for the rest; hijacked by package ws; closed, which may be
// half a second later. It returns false for a new connection that exceeds the maximum.
func (a *accepted) state(c net.Conn, state http.ConnState, timeout time.Duration) (welcome bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch state {
	case http.StateNew:
		a.held++
		v := &pendingConn{since: time.Now(), away: a.beyondLocked(a.refused)}
		if a.reading == nil {
			a.reading = make(map[net.Conn]*pendingConn)
		}
		a.reading[c] = v
		return !v.away
	case http.StateHijacked, http.StateClosed:
		a.held--
	}
	if v := a.reading[c]; v != nil {
		a.unreadLocked(c, v, state, timeout)
	}
	return true
}

// unreadLocked is state for a connection without a complete request yet.
func (a *accepted) unreadLocked(c net.Conn, v *pendingConn, state http.ConnState, timeout time.Duration) {
	if !v.heard {
		v.late = timeout > 0 && time.Since(v.since) >= timeout
	}
	switch state {
	case http.StateActive:
		v.heard = true
	case http.StateClosed:
		delete(a.reading, c)
		switch {
		case v.away: // counted as a refusal
		case v.late:
			a.late++
		case v.heard:
			a.broken++
		}
	}
}

// beyondLocked reports whether more than a.most+more sockets are open.
func (a *accepted) beyondLocked(more int) bool {
	return a.most > 0 && a.held+int(a.websockets()) > a.most+more
}

// full reports whether the maximum is exceeded.
func (a *accepted) full() (most int, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most, a.beyondLocked(0)
}

// bound sets the maximum of open sockets, 0 being unlimited, and the number above it that
// are still read.
func (a *accepted) bound(most, refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most, a.refused = most, refused
}

// came notes that a complete request has arrived.
func (a *accepted) came(r *http.Request) {
	c, attended := r.Context().Value(connKey{}).(net.Conn)
	if !attended {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.reading, c)
}

// Sockets counts the open sockets of the public listeners by state.
type Sockets struct {
	Reading   int // no complete request yet
	Answering int // PHP is called, or a refusal or a page is being sent
	WebSocket int // taken over and not closed
	Most      int // maximum; 0: unlimited
}

// snapshot returns the open sockets, and the numbers of connections that were too late and
// that broke off or sent no valid request.
func (a *accepted) snapshot() (s Sockets, late, broken int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s = Sockets{Reading: len(a.reading), Answering: a.held - len(a.reading), WebSocket: int(a.websockets()), Most: a.most}
	return s, a.late, a.broken
}
