//go:build !linux

package admin

import (
	"errors"
	"net"
)

// peerUID refuses every peer.
func peerUID(net.Conn) (int, error) {
	return -1, errors.New("the control socket needs Linux")
}
