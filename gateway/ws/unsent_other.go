//go:build !linux

package ws

// canLook says that [Conn.unsent] works here.
const canLook = false

// unsent is how many bytes the system holds for the client; here it is not
// known.
func (c *Conn) unsent() (n int64, known bool) { return 0, false }
