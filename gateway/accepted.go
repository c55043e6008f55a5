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

// accepted counts the sockets of the public listeners from accept to close:
// those from which a whole request has not come yet, those that are being
// answered, and, with the help of package ws, those that became WebSockets.
// Requests that net/http answers by itself, or not at all, reach no handler.
type accepted struct {
	websockets func() int64 // how many package ws has taken over and not closed

	mu      sync.Mutex // guards what follows
	most    int        // that may be open; 0: no bound
	refused int        // that may be open beyond it to read why; further ones get a bare 503
	held    int        // by net/http
	reading map[net.Conn]*pendingConn
	late    int64 // took longer than limits.handshake_timeout
	broken  int64 // had sent something, and no whole request
}

// pendingConn is a connection on which no request has come yet.
type pendingConn struct {
	since time.Time
	heard bool // it has sent something, and net/http has given it up
	late  bool // because that took too long
	away  bool // it was closed at once
}

// connKey is the key of a request's net.Conn in its context.
type connKey struct{}

// Attend lets the gateway count and bound the sockets of server, those too that
// never send a whole handshake. It is called before server serves, which has
// the gateway as its handler.
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

// turnAway refuses a socket on which nothing was read.
func turnAway(c net.Conn) {
	_ = c.SetWriteDeadline(time.Now().Add(time.Millisecond)) // a new socket has room
	_, _ = io.WriteString(c, "HTTP/1.1 503 Service Unavailable\r\nRetry-After: "+strconv.Itoa(comeBack)+
		"\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	_ = c.Close() // net/http finds out by reading
}

// state follows a connection: new; active when net/http has read something and
// waits no longer for the rest; hijacked by package ws; closed, which may be
// half a second later. It reports false for a new one that is one too many.
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
	if v := a.reading[c]; v != nil { // no request has come
		a.unreadLocked(c, v, state, timeout)
	}
	return true
}

// unreadLocked follows a connection on which no request has come yet.
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
		case v.away: // a refusal counts
		case v.late:
			a.late++
		case v.heard:
			a.broken++
		}
	}
}

// beyondLocked reports whether more sockets are open than the bound and some
// more.
func (a *accepted) beyondLocked(more int) bool {
	return a.most > 0 && a.held+int(a.websockets()) > a.most+more
}

// full reports whether a socket that has come is one too many.
func (a *accepted) full() (most int, full bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.most, a.beyondLocked(0)
}

// bound sets how many sockets may be open, 0 being any number, and how many
// beyond that.
func (a *accepted) bound(most, refused int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.most, a.refused = most, refused
}

// came notes that a request has come whole.
func (a *accepted) came(r *http.Request) {
	c, attended := r.Context().Value(connKey{}).(net.Conn)
	if !attended {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.reading, c)
}

// Sockets are the open sockets of the public listeners, by what they wait for.
type Sockets struct {
	Reading   int // a whole request has not come yet
	Answering int // PHP is asked, or a refusal or a page is being sent
	WebSocket int // taken over, until they are closed
	Most      int // that may be open; 0: no bound
}

// snapshot is the sockets as they are now, and the connections that took too
// long, and those that broke off or sent what cannot be read.
func (a *accepted) snapshot() (s Sockets, late, broken int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s = Sockets{Reading: len(a.reading), Answering: a.held - len(a.reading), WebSocket: int(a.websockets()), Most: a.most}
	return s, a.late, a.broken
}
