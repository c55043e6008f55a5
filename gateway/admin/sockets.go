package admin

import (
	"net"
	"net/http"
	"sync/atomic"
)

// Sockets counts and bounds the connections of operators.
type Sockets struct {
	Most int // that may be open at once

	open atomic.Int64
}

// State is the ConnState of the listener's server. One connection too many is
// closed at once.
func (s *Sockets) State(c net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		if s.open.Add(1) > int64(s.Most) {
			_ = c.Close() // the server finds out by reading
		}
	case http.StateClosed, http.StateHijacked:
		s.open.Add(-1)
	}
}
