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
	// may not match a name under one of our own prefixes.
	Pattern string
	// To is an address. "{name}" in it is replaced by the part that "*" matched.
	To string
}

// relay is a checked Relay.
type relay struct {
	before, after string // the parts of the pattern around "*"
	to            string
}

// newRelays checks relays and returns them by pattern.
func newRelays(list []Relay, prefixes []string) (map[string]relay, error) {
	relays := make(map[string]relay, len(list))
	for _, l := range list {
		if _, twice := relays[l.Pattern]; twice {
			return nil, fmt.Errorf("relay %q: the pattern stands twice", l.Pattern)
		}
		r, err := newRelay(l, prefixes)
		if err != nil {
			return nil, fmt.Errorf("relay %q: %w", l.Pattern, err)
		}
		relays[l.Pattern] = r
	}
	return relays, nil
}

// newRelay checks one relay.
func newRelay(l Relay, prefixes []string) (relay, error) {
	before, after, found := strings.Cut(l.Pattern, "*")
	switch {
	case !found || strings.Contains(after, "*"):
		return relay{}, errors.New(`the pattern needs exactly one "*"`)
	case strings.ContainsAny(l.Pattern, `?[]\`):
		// Redis gives these a meaning, which would make {name} ambiguous.
		return relay{}, errors.New(`the pattern may not have "?", "[", "]" or "\"`)
	}
	for _, p := range prefixes {
		// "*" matches anything, so the parts before it decide.
		if strings.HasPrefix(before, p) || strings.HasPrefix(p, before) {
			return relay{}, fmt.Errorf("the pattern matches names under our own prefix %q", p)
		}
	}
	example := strings.ReplaceAll(l.To, "{name}", "x")
	if strings.ContainsAny(example, "{}") {
		return relay{}, fmt.Errorf(`to %q: "{name}" is all that braces may hold`, l.To)
	}
	if _, err := session.ParseAddress(example); err != nil {
		return relay{}, fmt.Errorf("to: %w", err)
	}
	return relay{before, after, l.To}, nil
}

// address returns the address for a Redis channel that matched the pattern.
func (r relay) address(channel string) (session.Address, error) {
	rest, ok := strings.CutPrefix(channel, r.before)
	name, ok2 := strings.CutSuffix(rest, r.after)
	if !ok || !ok2 {
		return session.Address{}, errors.New("the channel does not match the pattern")
	}
	return session.ParseAddress(strings.ReplaceAll(r.to, "{name}", name))
}
