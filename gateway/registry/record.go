package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wsfpm/session"
)

// Record is what Redis keeps of a connection: enough for another node to run its
// disconnect event. It holds no headers and no cookies.
type Record struct {
	// Version counts the records of a connection, from 1. The scripts ignore a record
	// that is not newer than the stored one.
	Version uint64
	// Counted are the names in whose presence the connection is counted. They are stored
	// because the node that removes the record may be configured for others.
	Counted []session.Address
	// Info is the rest, which the scripts do not read.
	Info
}

// Info describes a connection. Channels must not be modified.
type Info struct {
	Route     string    `json:"route"` // the path of the route, as configured
	Host      string    `json:"host"`  // the Host header
	Script    string    `json:"script"`
	URI       string    `json:"uri"` // the request target
	Address   string    `json:"addr"`
	Port      string    `json:"port,omitempty"`
	HTTPS     bool      `json:"https,omitempty"`
	Protocol  string    `json:"proto,omitempty"` // the subprotocol
	User      string    `json:"user,omitempty"`
	Channels  []string  `json:"channels,omitempty"`
	State     string    `json:"state,omitempty"`
	Connected time.Time `json:"at"`
}

// MaxRecord is the longest record that [Decode] reads, in bytes. The names of a
// connection's channels have 60 KiB at most and stand in it three times.
const MaxRecord = 1 << 20

// member is the member that a connection is counted as in the presence of channels.
func member(id, user string) session.Address {
	if user != "" {
		return session.User(user)
	}
	return session.Conn(id)
}

// head returns the first part of a stored record: its version, the member and the counted
// names, each on a line. Names hold no control characters.
func (r *Record) head(id string) string {
	var b strings.Builder
	b.WriteString(strconv.FormatUint(r.Version, 10))
	b.WriteByte('\n')
	b.WriteString(member(id, r.User).String())
	for _, a := range r.Counted {
		b.WriteByte('\n')
		b.WriteString(a.String())
	}
	return b.String()
}

// storedInfo is an Info as JSON, with the bytes of what is not UTF-8, which a text of JSON cannot
// hold. Older versions read the text only.
type storedInfo struct {
	Info
	State64 []byte `json:"state64,omitempty"`
	URI64   []byte `json:"uri64,omitempty"`
}

// tail returns the last part of a stored record.
func (r *Record) tail() string {
	s := storedInfo{Info: r.Info}
	if !utf8.ValidString(r.State) {
		s.State64 = []byte(r.State)
	}
	if !utf8.ValidString(r.URI) {
		s.URI64 = []byte(r.URI)
	}
	text, err := json.Marshal(&s)
	if err != nil {
		return "{}" // only a time after the year 9999 has no JSON
	}
	return string(text)
}

// Errors of [Decode].
var (
	errTooLong = errors.New("longer than 1 MiB")
	errParts   = errors.New("not of three parts")
)

// Decode parses a stored record. Its second part, between empty lines, are the transitions
// of its last change, see [Transition].
func Decode(text string) (r Record, err error) {
	if len(text) > MaxRecord {
		return Record{}, fmt.Errorf("record: %w", errTooLong)
	}
	head, rest, found := strings.Cut(text, "\n\n")
	_, tail, found2 := strings.Cut(rest, "\n\n")
	if !found || !found2 {
		return Record{}, fmt.Errorf("record: %w", errParts)
	}
	lines := strings.Split(head, "\n")
	if len(lines) < 2 {
		return Record{}, fmt.Errorf("record: %d lines before the first empty one, want a version and a member", len(lines))
	}
	if r.Version, err = strconv.ParseUint(lines[0], 10, 53); err != nil {
		return Record{}, fmt.Errorf("record: version: %w", err)
	}
	for _, line := range lines[2:] {
		a, err := session.ParseAddress(line)
		if err != nil {
			return Record{}, fmt.Errorf("record: %w", err)
		}
		r.Counted = append(r.Counted, a)
	}
	if r.Info, err = readTail(tail); err == nil {
		err = r.checkNames()
	}
	if err != nil {
		return Record{}, fmt.Errorf("record: %w", err)
	}
	return r, nil
}

// readTail reads the last part of a stored record.
func readTail(tail string) (Info, error) {
	var s storedInfo
	err := json.Unmarshal([]byte(tail), &s)
	if s.State64 != nil {
		s.State = string(s.State64)
	}
	if s.URI64 != nil {
		s.URI = string(s.URI64)
	}
	return s.Info, err
}

// checkNames checks the names of the user and the channels as [session.CheckName] does:
// they become lines of a record and of transitions again.
func (i *Info) checkNames() error {
	if i.User != "" {
		if err := session.CheckName(i.User); err != nil {
			return fmt.Errorf("user: %w", err)
		}
	}
	for _, name := range i.Channels {
		if err := session.CheckName(name); err != nil {
			return fmt.Errorf("channels: %w", err)
		}
	}
	return nil
}

// Transition is a change of presence over all nodes.
type Transition struct {
	Name   session.Address // user: or channel:
	Member session.Address // who came into the name or left it
	Joined bool            // else left
	// Edge is set when the name had no other member before (Joined), or has none after.
	Edge bool
	// Spoilt is set when there is no change: another program has made the name's key
	// something that does not count.
	Spoilt bool
}

// The first byte of a transition's line.
const (
	markJoined = '+'
	markFirst  = '*' // joined, and the name had no member
	markLeft   = '-'
	markLast   = '_' // left, and the name has no member
	markSpoilt = '!'
)

// transitions parses the text that the scripts return: a line each, the mark, the name, a
// tab and the member. Lines that it does not know are skipped.
func transitions(text string) (list []Transition) {
	for line := range strings.SplitSeq(text, "\n") {
		if line == "" {
			continue
		}
		mark := line[0]
		name, who, _ := strings.Cut(line[1:], "\t")
		t := Transition{Joined: mark == markJoined || mark == markFirst, Edge: mark == markFirst || mark == markLast, Spoilt: mark == markSpoilt}
		var err, err2 error
		t.Name, err = session.ParseAddress(name)
		t.Member, err2 = session.ParseAddress(who)
		if err == nil && err2 == nil && strings.IndexByte("+*-_!", mark) >= 0 {
			list = append(list, t)
		}
	}
	return list
}

// leftUser reports whether the transitions say that the user has no connection any more.
func leftUser(list []Transition) bool {
	return slices.ContainsFunc(list, func(t Transition) bool {
		return t.Name.Kind == session.KindUser && !t.Joined && t.Edge
	})
}
