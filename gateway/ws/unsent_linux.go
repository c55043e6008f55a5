package ws

import "golang.org/x/sys/unix"

// canLook says that [Conn.unsent] works here.
const canLook = true

// unsent is how many bytes the system holds for the client: those that were
// written and are not acknowledged by the client's system, over a unix socket
// those that the peer has not read, with what they cost. It reports false when
// that cannot be known.
func (c *Conn) unsent() (n int64, known bool) {
	if c.raw == nil {
		return 0, false
	}
	var held int
	var failed error
	err := c.raw.Control(func(fd uintptr) { held, failed = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return int64(held), err == nil && failed == nil
}
