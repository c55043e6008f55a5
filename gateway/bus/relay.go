package bus

import (
	"errors"
	"fmt"
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

// relay is a checked Relay.
type relay struct {
	before, after string // the parts of the pattern around "*"
	to            string
	laravel       bool
}

// newRelays checks relays and returns them by pattern.
func newRelays(list []Relay, prefix string) (map[string]relay, error) {
	relays := make(map[string]relay, len(list))
	for _, l := range list {
		if _, twice := relays[l.Pattern]; twice {
			return nil, fmt.Errorf("relay %q: the pattern stands twice", l.Pattern)
		}
		r, err := newRelay(l, prefix)
		if err != nil {
			return nil, fmt.Errorf("relay %q: %w", l.Pattern, err)
		}
		relays[l.Pattern] = r
	}
	return relays, nil
}

// newRelay checks one relay.
func newRelay(l Relay, prefix string) (relay, error) {
	before, after, found := strings.Cut(l.Pattern, "*")
	switch {
	case !found || strings.Contains(after, "*"):
		return relay{}, errors.New(`the pattern needs exactly one "*"`)
	case strings.ContainsAny(l.Pattern, `?[]\`):
		// Redis gives these a meaning, which would make {name} ambiguous.
		return relay{}, errors.New(`the pattern may not have "?", "[", "]" or "\"`)
	case strings.HasPrefix(before, prefix) || strings.HasPrefix(prefix, before): // "*" matches anything
		return relay{}, fmt.Errorf("the pattern matches names under our own prefix %q", prefix)
	}
	example := strings.ReplaceAll(l.To, "{name}", "x")
	if strings.ContainsAny(example, "{}") {
		return relay{}, fmt.Errorf(`to %q: "{name}" is all that braces may hold`, l.To)
	}
	if _, err := session.ParseAddress(example); err != nil {
		return relay{}, fmt.Errorf("to: %w", err)
	}
	return relay{before, after, l.To, l.Laravel}, nil
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
