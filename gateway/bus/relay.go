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

// relay is a Relay in its parts.
type relay struct {
	before, after string // the parts of the pattern around "*"
	to            string
	laravel       bool
}

// newRelays returns relays by pattern.
func newRelays(list []Relay) map[string]relay {
	relays := make(map[string]relay, len(list))
	for _, l := range list {
		before, after, _ := strings.Cut(l.Pattern, "*")
		relays[l.Pattern] = relay{before, after, l.To, l.Laravel}
	}
	return relays
}

// address returns the address for a Redis channel that matched the pattern, and the part
// that "*" matched.
func (r relay) address(channel string) (to session.Address, name string, err error) {
	rest, ok := strings.CutPrefix(channel, r.before)
	name, ok2 := strings.CutSuffix(rest, r.after)
	if !ok || !ok2 {
		return to, "", errors.New("the channel does not match the pattern")
	}
	to, err = session.ParseAddress(strings.ReplaceAll(r.to, "{name}", name))
	return to, name, err
}
