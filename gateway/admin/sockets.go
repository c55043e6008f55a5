package admin

import (
	"net"
	"net/http"
	"sync/atomic"
)

// Sockets counts and bounds the connections to the listener.
type Sockets struct {
	Most int // limit of open connections

	open atomic.Int64
}

// State is the server's ConnState hook. A connection beyond the limit is closed at once.
func (s *Sockets) State(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.open.Add(1) > int64(s.Most) {
			_ = c.Close() // the server's next read fails
		}
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}
