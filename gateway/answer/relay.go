package answer

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// The bounds of the spans in WS-Relay.
const (
	leastLatest, mostLatest = 10 * time.Millisecond, time.Minute
	leastCopy, mostCopy     = time.Second, time.Hour
)

// Relay returns the last relay in the answer, or nil.
func (a *Reply) Relay() (last *session.Relay) {
	for c := range a.own {
		if c.Relay != nil {
			last = c.Relay
		}
	}
	return last
}

// relay parses WS-Relay: nothing, which ends the relay; "php"; or an address and, after
// semicolons, which frames go there and how.
func (h *Head) relay(value string) error {
	r, err := parseRelay(value)
	if err != nil {
		return fmt.Errorf("WS-Relay: %w", err)
	}
	h.Own.Relay = &r
	return nil
}

func parseRelay(value string) (r session.Relay, err error) {
	switch value {
	case "":
		return session.Relay{Ended: true}, nil
	case session.RelayOff:
		return r, nil
	}
	address, parameters, _ := strings.Cut(value, ";")
	if r.To, err = session.ParseAddress(trim(address)); err != nil {
		return r, err
	}
	if r.To.Kind == session.KindAll {
		return r, errors.New(`a client's frames cannot go to "all": name a channel, a user or a connection`)
	}
	seen := make(map[string]bool)
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, argument, given := strings.Cut(trim(parameter), "=")
		if name == "" && !given {
			continue
		}
		if seen[name] {
			return r, fmt.Errorf("%s stands twice", excerpt.Of(name))
		}
		seen[name] = true
		if err := relayParameter(&r, name, argument, given); err != nil {
			return r, err
		}
	}
	switch {
	case !r.Binary && r.Prefix == "":
		return r, errors.New("no frames are named: want binary, prefix=…, or both")
	case r.Raw && r.Prefix == "":
		return r, errors.New("raw without prefix=…: binary frames are never changed")
	}
	return r, nil
}

// relayParameter reads one parameter into r.
func relayParameter(r *session.Relay, name, argument string, given bool) (err error) {
	flag, isFlag := map[string]*bool{"binary": &r.Binary, "raw": &r.Raw, "echo": &r.Echo}[name]
	switch {
	case isFlag && given:
		return fmt.Errorf("%s has no value", name)
	case isFlag:
		*flag = true
		return nil
	case name == "durable":
		return errors.New("durable: relayed frames are not stored, they would flood the log; copy=5s lets the script keep them")
	case name == "prefix":
		r.Prefix, err = relayPrefix(argument)
	case name == "rate":
		r.Rate, err = relayRate(argument)
	case name == "latest":
		r.Latest, err = relaySpan(argument, leastLatest, mostLatest)
	case name == "copy":
		r.Copy, err = relaySpan(argument, leastCopy, mostCopy)
	default:
		return fmt.Errorf("%q after the address: want binary, prefix=…, raw, echo, rate=…, latest=… or copy=…", excerpt.Of(name))
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func relayPrefix(text string) (string, error) {
	switch {
	case text == "" || len(text) > session.MaxRelayPrefix:
		return "", fmt.Errorf("has %d bytes, want 1 to %d", len(text), session.MaxRelayPrefix)
	case !utf8.ValidString(text):
		return "", errors.New("is not UTF-8")
	}
	return text, nil
}

func relayRate(text string) (float64, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil || n == 0 {
		return 0, fmt.Errorf("%q: want frames a second, at least 1", excerpt.Of(text))
	}
	return float64(n), nil
}

// relaySpan reads a span of time, such as 50ms, in whole milliseconds.
func relaySpan(text string, least, most time.Duration) (milliseconds int, err error) {
	d, err := time.ParseDuration(text)
	if err != nil || d < least || d > most {
		return 0, fmt.Errorf("%q: want a time from %v to %v, such as %v", excerpt.Of(text), least, most, 5*least)
	}
	return int(d / time.Millisecond), nil
}
