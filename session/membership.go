package session

import (
	"errors"
	"fmt"
	"slices"
)

// ErrChannels is returned for a change after which a client would be in too many
// channels.
var ErrChannels = errors.New("too many channels")

// Membership is what a client is known by: the user it is bound to, the
// channels it joined, in that order, and the state that its scripts keep.
// It is a value; Channels must not be changed.
type Membership struct {
	User     string
	Channels []string
	State    string
}

// Standing is the former name of [Membership].
type Standing = Membership

// With is the membership after a command: channels are left, then joined, so
// that a command with both moves from the ones to the others. It fails when
// more than maxChannels (0: no limit) would be joined, or more of them than
// [MaxChannelNames] bytes.
func (m Membership) With(c Command, maxChannels int) (Membership, error) {
	if c.User != nil {
		m.User = *c.User
	}
	if c.State != nil {
		m.State = *c.State
	}
	if len(c.Join) == 0 && len(c.Leave) == 0 {
		return m, nil
	}
	channels := slices.Clone(m.Channels)
	for _, name := range c.Leave {
		if name == "*" {
			channels = nil
			continue
		}
		channels = slices.DeleteFunc(channels, func(s string) bool { return s == name })
	}
	for _, name := range c.Join {
		if slices.Contains(channels, name) {
			continue
		}
		if channels = append(channels, name); maxChannels > 0 && len(channels) > maxChannels {
			return m, fmt.Errorf("%w: more than %d would be joined", ErrChannels, maxChannels)
		}
	}
	bytes := 0
	for _, name := range channels {
		bytes += len(name) + 1 // a comma
	}
	if bytes > MaxChannelNames {
		return m, fmt.Errorf("%w: the names of %d would have more than %d bytes, which is what WS_CHANNELS can carry", ErrChannels, len(channels), MaxChannelNames)
	}
	m.Channels = channels
	return m, nil
}

// Addresses are those under which others reach this membership: its user and
// its channels.
func (m Membership) Addresses() []Address {
	list := make([]Address, 0, 1+len(m.Channels))
	if m.User != "" {
		list = append(list, User(m.User))
	}
	for _, name := range m.Channels {
		list = append(list, Channel(name))
	}
	return list
}

// Equal reports whether both are the same, channels in the same order.
func (m Membership) Equal(other Membership) bool {
	return m.User == other.User && m.State == other.State && slices.Equal(m.Channels, other.Channels)
}

// Diff returns the addresses that a change from m to next adds, and those that it
// gives up.
func (m Membership) Diff(next Membership) (joined, left []Address) {
	if m.User != next.User {
		if next.User != "" {
			joined = append(joined, User(next.User))
		}
		if m.User != "" {
			left = append(left, User(m.User))
		}
	}
	for _, name := range next.Channels {
		if !slices.Contains(m.Channels, name) {
			joined = append(joined, Channel(name))
		}
	}
	for _, name := range m.Channels {
		if !slices.Contains(next.Channels, name) {
			left = append(left, Channel(name))
		}
	}
	return joined, left
}
