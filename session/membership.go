package session

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrChannels is returned for a change after which a client would have too many channels.
var ErrChannels = errors.New("too many channels")

// Membership is a client's user, its channels in the order of joining, and the state that
// its scripts keep. It is a value; Channels must not be modified.
type Membership struct {
	User     string
	Channels []string
	State    string
}

// With returns the membership after a command, which first leaves, then joins channels.
// It returns ErrChannels if there would be more than maxChannels (0: no limit), or names
// of more than [MaxChannelNames] bytes. It copies the command's texts: they may be parts of a
// longer one, such as all headers of an answer, and a membership lasts as long as its client.
func (m Membership) With(c Command, maxChannels int) (Membership, error) {
	if c.User != nil {
		m.User = strings.Clone(*c.User)
	}
	if c.State != nil {
		m.State = strings.Clone(*c.State)
	}
	if len(c.Join) == 0 && len(c.Leave) == 0 {
		return m, nil
	}
	channels := append(make([]string, 0, len(m.Channels)+len(c.Join)), m.Channels...)
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
		if channels = append(channels, strings.Clone(name)); maxChannels > 0 && len(channels) > maxChannels {
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

// Addresses returns the addresses of the user and the channels.
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

// Equal reports whether both are equal, with channels in the same order.
func (m Membership) Equal(other Membership) bool {
	return m.User == other.User && m.State == other.State && slices.Equal(m.Channels, other.Channels)
}

// Diff returns the addresses that a change from m to next adds and removes.
func (m Membership) Diff(next Membership) (joined, left []Address) {
	was, is := m.Addresses(), next.Addresses()
	for _, a := range is {
		if !slices.Contains(was, a) {
			joined = append(joined, a)
		}
	}
	for _, a := range was {
		if !slices.Contains(is, a) {
			left = append(left, a)
		}
	}
	return joined, left
}
