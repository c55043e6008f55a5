package ws

import (
	"net"
	"testing"
)

// disguised is a connection inside of another type.
type disguised struct{ net.Conn }

func (d disguised) PlainConn() net.Conn { return d.Conn }

func TestADisguisedSocketIsUsedByItself(t *testing.T) {
	server, _ := sockets(t, "tcp")
	c := upgraded(t, disguised{server}, Limits{})
	if c.out.Socket.Conn != server || c.out.Socket.Raw == nil {
		t.Errorf("got %T, which is read without its descriptor", c.out.Socket.Conn)
	}
}
