package session

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Relay says which of a client's frames go to others without a script, and where. A script's
// answer sets it; what the client sends never changes it. It is immutable.
//
// The zero value relays nothing. With Ended, the frames that were relayed before are dropped.
type Relay struct {
	To     Address // a channel that the client is in, a user or a connection
	Binary bool    // all binary frames
	Prefix string  // texts that begin so, at most MaxRelayPrefix bytes; "": no text
	Raw    bool    // texts as they are; else with their sender around them
	Echo   bool    // the client gets its own frames too
	Rate   float64 // frames a second, if that is less than the configured limit; 0: that
	Latest int     // milliseconds: of the frames of such a span only the newest is sent; 0: all are
	Copy   int     // milliseconds: the script gets what was sent, at most once in such a time; 0: never
	Ended  bool
}

// MaxRelayPrefix is the longest [Relay.Prefix], in bytes.
const MaxRelayPrefix = 64

// RelayOff is the text of the Relay that gives frames to the script again.
const RelayOff = "php"

// Takes reports whether a frame is the relay's: it is sent, or dropped after the relay's end,
// and no script gets it as a message. A nil relay takes none.
func (r *Relay) Takes(binary bool, data []byte) bool {
	if r == nil {
		return false
	}
	if binary {
		return r.Binary
	}
	return r.Prefix != "" && len(data) >= len(r.Prefix) && string(data[:len(r.Prefix)]) == r.Prefix
}

// String returns the value of WS-Relay: "" after the end.
func (r *Relay) String() string {
	switch {
	case r.Ended:
		return ""
	case *r == Relay{}:
		return RelayOff
	}
	list := []string{r.To.String()}
	add := func(set bool, text string) {
		if set {
			list = append(list, text)
		}
	}
	add(r.Binary, "binary")
	add(r.Prefix != "", "prefix="+r.Prefix)
	add(r.Raw, "raw")
	add(r.Echo, "echo")
	add(r.Rate > 0, "rate="+strconv.FormatFloat(r.Rate, 'f', -1, 64))
	add(r.Latest > 0, "latest="+strconv.Itoa(r.Latest)+"ms")
	add(r.Copy > 0, "copy="+strconv.Itoa(r.Copy)+"ms")
	return strings.Join(list, "; ")
}

// end returns the relay after its end.
func (r *Relay) end() *Relay {
	if r == nil || r.Ended {
		return r
	}
	ended := *r
	ended.Ended = true
	return &ended
}

// follow returns the relay after a change of membership: another user, or a channel that the
// client has left, end it.
func (r *Relay) follow(from, to Membership) *Relay {
	if r == nil || from.User == to.User && r.Allows(to) {
		return r
	}
	return r.end()
}

// Allows reports whether a client with this membership may relay so: it may relay to a channel
// only while it is in it.
func (r *Relay) Allows(m Membership) bool {
	return r.Ended || r.To.Kind != KindChannel || slices.Contains(m.Channels, r.To.Name)
}

// then returns the relay after a command that sets it to next.
func (r *Relay) then(next Relay, m Membership) *Relay {
	switch {
	case next.Ended:
		return r.end()
	case next == Relay{}:
		return nil
	case r != nil && *r == next: // frames may wait for it
		return r
	case !next.Allows(m): // it has left meanwhile
		return next.end()
	}
	return &next
}

// endRelay reads the end of a relay. Only WS-Relay of a script's answer begins one.
func (f *fields) endRelay() (*Relay, error) {
	switch {
	case f.relay == nil:
		return nil, nil
	case string(f.relay) != `""`:
		return nil, fmt.Errorf(`relay: got %s, want "", which ends it: the header WS-Relay of an answer begins one`, shown(f.relay))
	}
	return &Relay{Ended: true}, nil
}

// relaying is a session's part in relays. It is guarded by Session.mu.
type relaying struct {
	relay  *Relay // nil: none
	ends   uint32 // how many commands of others have ended it, or would have
	hears  bool   // it was sent relayed frames of others
	behind bool   // relayed frames were lost that it should have sent or got
	lost   bool   // of these one of its relay: those who should have got it are behind, too
}

// Relay returns the client's relay, nil without one. It is known by its address: as long as that
// stays, it has not been set or ended. From is what the client's frames are from: its
// user, or else its connection.
func (s *Session) Relay() (r *Relay, from Address) {
	s.mu.Lock()
	defer s.mu.Unlock()
	from = Conn(s.id)
	if s.membership.User != "" {
		from = User(s.membership.User)
	}
	return s.relaying.relay, from
}

// RelayEnds returns a number for [Session.SetRelay], when an event begins.
func (s *Session) RelayEnds() uint32 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relaying.ends
}

// SetRelay changes the relay as the answer to an event says. One that a command has ended
// since the event began, when [Session.RelayEnds] was ends, stays ended: the script may have
// decided before.
func (s *Session) SetRelay(next Relay, ends uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.relaying
	before := p.relay
	if p.relay = p.relay.then(next, s.membership); p.ends != ends {
		p.relay = p.relay.end()
	}
	p.lost = p.lost && p.relay == before
}

// Behind reports whether relayed frames of the client or for it were lost, see [Hub.Behind].
func (s *Session) Behind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.relaying.behind
}

// Behind records that a relayed frame of s to the address of its relay was lost: s and the
// clients that the address matches have to synchronise again. It reports whether that is new.
func (h *Hub) Behind(s *Session, to Address) (news bool) {
	if !s.lose() {
		return false
	}
	for _, each := range h.Find([]Address{to}) {
		each.setBehind(true)
	}
	return true
}

// lose marks a session of which a frame was lost, and reports whether it is the first.
func (s *Session) lose() (first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	first = !s.relaying.lost
	s.relaying.behind, s.relaying.lost = true, true
	return first
}

// AllBehind records that any relayed frame may have been lost.
func (h *Hub) AllBehind() {
	for _, m := range h.all {
		for s := range m.each {
			s.setBehind(false)
		}
	}
}

// setBehind marks a session: always, or only if it has a part in a relay.
func (s *Session) setBehind(always bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &s.relaying
	p.behind = p.behind || always || p.relay != nil || p.hears
}

// TakeBehind returns the clients that [Hub.Behind] and [Hub.AllBehind] have marked, and
// unmarks them.
func (h *Hub) TakeBehind() (list []*Session) {
	for _, m := range h.all {
		for s := range m.each {
			if s.takeBehind() {
				list = append(list, s)
			}
		}
	}
	return list
}

func (s *Session) takeBehind() (was bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was = s.relaying.behind
	s.relaying.behind, s.relaying.lost = false, false
	return was
}
