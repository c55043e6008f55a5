package bus

import (
	"errors"
	"strings"

	"wsfpm/session"
)

// Relay forwards an application's existing Redis messages to clients: a text published
// on a channel that matches Pattern is sent to the address To.
type Relay struct {
	// Pattern matches Redis channels, with exactly one "*" for the variable part. It
	// may not match a name under our first prefix, with which we publish; names under a
	// further one are not relayed.
	Pattern string
	// To is an address. "{name}" in it is replaced by the part that "*" matched.
	To string
	// Laravel says that the texts are those of Laravel's redis broadcaster: clients get
	// event, channel and data, except for the connection in socket.
	Laravel bool
}

// address returns the address for a Redis channel that matched the pattern, and the part
// that "*" matched.
func (r Relay) address(channel string) (to session.Address, name string, err error) {
	before, after, _ := strings.Cut(r.Pattern, "*")
	rest, ok := strings.CutPrefix(channel, before)
	name, ok2 := strings.CutSuffix(rest, after)
	if !ok || !ok2 {
		return to, "", errors.New("the channel does not match the pattern")
	}
	to, err = session.ParseAddress(strings.ReplaceAll(r.To, "{name}", name))
	return to, name, err
}
