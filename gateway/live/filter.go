package live

import (
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"wsfpm/gateway"
	"wsfpm/session"
)

// Filter selects events. What is empty selects all.
type Filter struct {
	User       string // events of this user
	Channel    string // of members of this channel, and what is published to it
	Connection string // the end of a connection's id, or all of it
	Route      string // path of the route
	Address    string // of the client
	Kind       string
	Failed     bool // only those that failed or were refused
}

// Kinds are the kinds of events.
var Kinds = []string{"connect", "message", "disconnect", "handshake"}

// ParseFilter reads a query: user, channel, conn, route, address and kind, once each, and
// failed, which has the value 1.
func ParseFilter(query url.Values) (Filter, error) {
	var f Filter
	fields := f.fields()
	for name, values := range query {
		field := fields[name]
		switch {
		case field == nil && name != "failed":
			return f, fmt.Errorf("%.40q is no filter: want user, channel, conn, route, address, kind or failed", name)
		case len(values) > 1:
			return f, fmt.Errorf("%s is there %d times: a filter has one value", name, len(values))
		case name == "failed" && values[0] != "1":
			return f, fmt.Errorf("failed is %.40q: want 1, or leave it out", values[0])
		case name == "failed":
			f.Failed = true
		case values[0] == "":
			return f, fmt.Errorf("%s is empty: give it a value, or leave it out", name)
		default:
			*field = values[0]
		}
	}
	if f.Kind != "" && !slices.Contains(Kinds, f.Kind) {
		return f, fmt.Errorf("kind is %.40q: want one of %s", f.Kind, strings.Join(Kinds, ", "))
	}
	if f.Address != "" {
		address, err := netip.ParseAddr(f.Address)
		if err != nil {
			return f, fmt.Errorf("address is %.60q: want an IP address, such as 192.0.2.7", f.Address)
		}
		f.Address = address.Unmap().WithZone("").String() // as events have it
	}
	return f, nil
}

// fields returns the places of the filters with a text, by name.
func (f *Filter) fields() map[string]*string {
	return map[string]*string{
		"user": &f.User, "channel": &f.Channel, "conn": &f.Connection, "route": &f.Route, "address": &f.Address, "kind": &f.Kind,
	}
}

// Query is the inverse of [ParseFilter].
func (f Filter) Query() url.Values {
	query := make(url.Values)
	for name, value := range f.fields() {
		if *value != "" {
			query.Set(name, *value)
		}
	}
	if f.Failed {
		query.Set("failed", "1")
	}
	return query
}

// Matches reports whether the filter selects an event.
func (f *Filter) Matches(e *gateway.Event) bool {
	return (!f.Failed || e.Outcome != "ok") &&
		(f.Kind == "" || f.Kind == e.Kind) &&
		(f.User == "" || f.User == e.User) &&
		(f.Route == "" || f.Route == e.Route) &&
		(f.Connection == "" || strings.HasSuffix(e.Connection, f.Connection)) &&
		(f.Address == "" || f.Address == e.Address.String()) &&
		(f.Channel == "" || f.inChannel(e))
}

// inChannel reports whether an event is that of a member, or publishes to the channel.
func (f *Filter) inChannel(e *gateway.Event) bool {
	if slices.Contains(e.Channels, f.Channel) {
		return true
	}
	if e.Reply == nil {
		return false
	}
	to := session.Channel(f.Channel)
	return slices.ContainsFunc(e.Reply.Others, func(c session.Command) bool { return slices.Contains(c.To, to) })
}
