package gateway

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"
)

// unread counts connections that end before a whole request has come: net/http
// answers those by itself, or not at all, and tells no handler.
type unread struct {
	mu      sync.Mutex // guards what follows
	waiting map[net.Conn]*visit
	late    int64 // took longer than limits.handshake_timeout
	broken  int64 // had sent something, and no whole request
}

// visit is a connection on which no request has come yet.
type visit struct {
	since time.Time
	heard bool // it has sent something, and net/http has given it up
	late  bool // because that took too long
}

// visitKey is the key of a request's net.Conn in its context.
type visitKey struct{}

// Attend lets the gateway count the connections of server that never send a
// whole handshake. It is called before server serves, which has the gateway as
// its handler.
func (g *Gateway) Attend(server *http.Server) {
	server.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, visitKey{}, c)
	}
	server.ConnState = func(c net.Conn, state http.ConnState) {
		g.admission.unread.state(c, state, server.ReadHeaderTimeout)
	}
}

// state follows a connection: new; active when net/http has read something and
// waits no longer for the rest; closed, which may be half a second later.
func (u *unread) state(c net.Conn, state http.ConnState, timeout time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if state == http.StateNew {
		if u.waiting == nil {
			u.waiting = make(map[net.Conn]*visit)
		}
		u.waiting[c] = &visit{since: time.Now()}
		return
	}
	v := u.waiting[c]
	if v == nil {
		return // a request has come
	}
	if !v.heard {
		v.late = timeout > 0 && time.Since(v.since) >= timeout
	}
	switch state {
	case http.StateActive:
		v.heard = true
	case http.StateClosed:
		delete(u.waiting, c)
		switch {
		case v.late:
			u.late++
		case v.heard:
			u.broken++
		}
	}
}

// came notes that a request has come whole.
func (u *unread) came(r *http.Request) {
	c, attended := r.Context().Value(visitKey{}).(net.Conn)
	if !attended {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.waiting, c)
}

// counts are the connections that took too long, and those that broke off or
// sent what cannot be read.
func (u *unread) counts() (late, broken int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.late, u.broken
}
