package recording

import (
	"errors"
	"fmt"
	"net/url"
	"time"

	"wsfpm/gateway"
	"wsfpm/session"
)

// The bounds of a recording.
const (
	MostBytes = 100 << 20
	usualTime = 10 * time.Minute
	mostTime  = 24 * time.Hour
)

// Choice is which events are recorded, for how long, and whether with the content of messages.
type Choice struct {
	Connection string // the whole id
	User       string
	Route      string // its path
	For        time.Duration
	Bodies     bool
}

// ParseChoice reads a query: one of conn, user and route, for (10m by default, 24h at most),
// and bodies, which has the value 1.
func ParseChoice(query url.Values) (c Choice, err error) {
	c.For = usualTime
	for name, values := range query {
		if len(values) != 1 || values[0] == "" {
			return c, fmt.Errorf("%.40q has %d values: want one", name, len(values))
		}
		switch value := values[0]; name {
		case "conn":
			c.Connection = value
		case "user":
			c.User = value
		case "route":
			c.Route = value
		case "for":
			if c.For, err = time.ParseDuration(value); err != nil || c.For <= 0 || c.For > mostTime {
				return c, fmt.Errorf(`for is %.40q: want a time such as "10m", at most %v`, value, mostTime)
			}
		case "bodies":
			if c.Bodies = value == "1"; !c.Bodies {
				return c, fmt.Errorf("bodies is %.40q: want 1, or leave it out", value)
			}
		default:
			return c, fmt.Errorf("%.40q is unknown: want conn, user or route, for, bodies", name)
		}
	}
	chosen := 0
	for _, s := range []string{c.Connection, c.User, c.Route} {
		if s != "" {
			chosen++
		}
	}
	if chosen != 1 {
		return c, errors.New("want one of a connection, a user and a route")
	}
	return c, nil
}

// Query is the inverse of [ParseChoice].
func (c *Choice) Query() url.Values {
	query := url.Values{"for": {c.For.String()}}
	for name, value := range map[string]string{"conn": c.Connection, "user": c.User, "route": c.Route} {
		if value != "" {
			query.Set(name, value)
		}
	}
	if c.Bodies {
		query.Set("bodies", "1")
	}
	return query
}

// String returns who is recorded: conn:…, user:… or the path of a route.
func (c *Choice) String() string {
	switch {
	case c.Connection != "":
		return session.Conn(c.Connection).String()
	case c.User != "":
		return session.User(c.User).String()
	}
	return c.Route
}

// Matches reports whether an event is recorded: one for which PHP was called.
func (c *Choice) Matches(e *gateway.Event) bool {
	switch {
	case e.Kind == "handshake":
		return false
	case c.Connection != "":
		return e.Connection == c.Connection
	case c.User != "":
		return e.User == c.User || e.Param("WS_USER") == c.User
	}
	return e.Record && e.Route == c.Route
}

// Line returns an event as a line of the recording.
func (c *Choice) Line(e *gateway.Event) ([]byte, error) {
	entry := Of(e)
	entry.Redact()
	if !c.Bodies {
		entry.RemoveBodies()
	}
	return entry.Line()
}
