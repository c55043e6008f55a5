package gateway

import (
	"strconv"
	"strings"
	"time"

	"wsfpm/fcgi"
	"wsfpm/session"
)

// kind is the kind of an event.
type kind uint8

const (
	kindConnect kind = iota
	kindMessage
	kindDisconnect
	kinds // the number of kinds
)

// String returns the value of WS_EVENT.
func (k kind) String() string {
	return [...]string{"connect", "message", "disconnect"}[k]
}

// event is one event of a connection: what it adds to the parameters of the handshake.
type event struct {
	kind   kind
	route  *route // in the settings when the event begins
	seq    uint64 // of messages: 1, 2, 3 …
	binary bool
	body   []byte
	frames int           // number of relayed frames in body, see copyEvent; 0: it is a message of the client
	missed int           // with frames: frames that are not in it
	id     string        // of a message that runs once
	second bool          // with id: it may have run before
	waited time.Duration // of a message: for the run of another client's
	close  cause         // of disconnect
	end    *disconnect   // whose event it is; nil for other kinds
	single bool          // there is no client, see Single
	whole  bool          // the connection's env has the event's own parameters too
	// membership is that of the key, of a message whose answer may be cached; nil: that of
	// the moment.
	membership *session.Membership
}

// cause is the end of a connection, as the disconnect event reports it.
type cause struct {
	code   int
	reason string
	took   time.Duration // duration of the connection
}

// vars appends this event's own parameters. Those of the whole connection are in its env,
// see environ.go.
func (e *event) vars(v []fcgi.Var, c *connection, id string, membership *session.Membership) []fcgi.Var {
	if e.whole {
		return v
	}
	method := "POST"
	if e.kind == kindConnect {
		method = "GET"
	}
	v = append(v,
		fcgi.Var{Name: "REQUEST_METHOD", Value: method},
		fcgi.Var{Name: "WS_EVENT", Value: e.kind.String()},
		fcgi.Var{Name: "WS_REQUEST_ID", Value: id + ":" + e.number(c)},
		fcgi.Var{Name: "WS_USER", Value: membership.User},
		fcgi.Var{Name: "WS_CHANNELS", Value: joinNames(membership.Channels)},
		fcgi.Var{Name: "WS_STATE", Value: membership.State},
		fcgi.Var{Name: "WS_PROTOCOL", Value: c.protocol},
	)
	switch e.kind {
	case kindConnect:
		v = append(v,
			fcgi.Var{Name: "WS_PROTOCOLS", Value: joinNames(c.arriving.offered)},
			fcgi.Var{Name: "WS_RESUME", Value: string(c.arriving.told)},
			fcgi.Var{Name: "WS_LAST", Value: c.arriving.last.String()},
			fcgi.Var{Name: "WS_POSITION", Value: c.arriving.began.String()},
		)
	case kindMessage:
		v = e.messageVars(v, c)
	case kindDisconnect:
		v = append(v,
			fcgi.Var{Name: "WS_CLOSE_CODE", Value: strconv.Itoa(e.close.code)},
			fcgi.Var{Name: "WS_CLOSE_REASON", Value: e.close.reason},
			fcgi.Var{Name: "WS_DURATION", Value: strconv.FormatInt(int64(e.close.took/time.Second), 10)},
		)
	}
	return v
}

// membershipOf returns the membership that PHP is told.
func (e *event) membershipOf(c *connection) session.Membership {
	if e.membership != nil {
		return *e.membership
	}
	return c.session.Membership()
}

// number is that of the event in its connection. The node that runs the last event of a dead
// one does not know it.
func (e *event) number(c *connection) string {
	switch {
	case e.end == nil: // connect is 0, and a message has its own number
		return strconv.FormatUint(c.seq, 10)
	case e.end.lost != nil:
		return "lost"
	}
	return strconv.FormatUint(c.seq+1, 10)
}

func (e *event) messageVars(v []fcgi.Var, c *connection) []fcgi.Var {
	opcode, contentType := "text", e.route.ContentType
	if e.binary {
		opcode, contentType = "binary", "application/octet-stream"
	}
	if e.frames > 0 {
		contentType = "application/json"
		v = append(v,
			fcgi.Var{Name: "WS_RELAYED", Value: strconv.Itoa(e.frames)},
			fcgi.Var{Name: "WS_RELAY_MISSED", Value: strconv.Itoa(e.missed)},
		)
	}
	v = append(v,
		fcgi.Var{Name: "CONTENT_TYPE", Value: contentType},
		fcgi.Var{Name: "WS_OPCODE", Value: opcode},
		fcgi.Var{Name: "WS_SEQ", Value: strconv.FormatUint(e.seq, 10)},
	)
	if e.id == "" {
		return v
	}
	attempt := "1"
	if e.second {
		attempt = "2"
	}
	return append(v, fcgi.Var{Name: "WS_MESSAGE_ID", Value: e.id}, fcgi.Var{Name: "WS_ATTEMPT", Value: attempt})
}

// lane returns the queue in which the event waits for a worker.
func (e *event) lane() fcgi.Lane {
	switch e.kind {
	case kindConnect:
		return fcgi.LaneNormal
	case kindMessage:
		return fcgi.LaneHigh
	}
	return fcgi.LaneLow
}

// ownerOf returns the client to count a connection's events for, so that one client cannot
// occupy the whole pool: the user, else the address, "" if unknown.
func ownerOf(membership *session.Membership, from *client) string {
	if membership.User != "" || !from.known {
		return membership.User
	}
	return from.addr.String()
}

// joinNames joins names for PHP's explode(',', …).
func joinNames(names []string) string { return strings.Join(names, ",") }
