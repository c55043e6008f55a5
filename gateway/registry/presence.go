package registry

import (
	"slices"
	"strings"

	"wsfpm/session"
)

// Presence says whose presence is counted. It is immutable.
type Presence struct {
	// Users counts the connections of each user.
	Users bool
	// Channels are patterns of the channels whose members are counted: a name, in which
	// "*" stands for any text.
	Channels []string
}

// Names returns the names in whose presence a connection with this membership is counted,
// sorted.
func (p *Presence) Names(m session.Membership) (names []session.Address) {
	if p.Users && m.User != "" {
		names = append(names, session.User(m.User))
	}
	for _, name := range m.Channels {
		if p.counts(name) {
			names = append(names, session.Channel(name))
		}
	}
	slices.SortFunc(names, func(a, b session.Address) int { return strings.Compare(a.String(), b.String()) })
	return names
}

func (p *Presence) counts(channel string) bool {
	return slices.ContainsFunc(p.Channels, func(pattern string) bool { return matches(pattern, channel) })
}

// matches reports whether a name matches a pattern in which only "*" is special.
func matches(pattern, name string) bool {
	head, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, head)
	for ok && wild {
		head, rest, wild = strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(name, head)
		}
		at := strings.Index(name, head)
		ok = at >= 0
		if ok {
			name = name[at+len(head):]
		}
	}
	return false
}

// On reports whether anything is counted.
func (p *Presence) On() bool { return p.Users || len(p.Channels) > 0 }
