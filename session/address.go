package session

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// MaxName is the longest name of a user or channel, in bytes.
const MaxName = 200

// Kind is the kind of an [Address].
type Kind uint8

// The kinds of address.
const (
	KindAll     Kind = iota + 1 // every client
	KindConn                    // one connection, by its id
	KindUser                    // all connections of one user
	KindChannel                 // all connections that joined a channel
	KindSelf                    // the connection whose script answers; never leaves the process
)

// Address names clients: conn:<id>, user:<name>, channel:<name> or all.
// Everything after the first colon is the name. It is comparable and serves
// as a map key.
type Address struct {
	Kind Kind
	Name string
}

// All addresses every client.
var All = Address{Kind: KindAll}

// Self addresses the connection that a reply belongs to.
var Self = Address{Kind: KindSelf}

// Conn addresses the connection with this id.
func Conn(id string) Address { return Address{KindConn, id} }

// User addresses all connections of one user.
func User(name string) Address { return Address{KindUser, name} }

// Channel addresses all connections that joined a channel.
func Channel(name string) Address { return Address{KindChannel, name} }

// ParseAddress parses an address, such as "user:42". It checks the name with
// [CheckName]; "self" is not an address here, see [Command.Except].
func ParseAddress(s string) (Address, error) {
	if s == "all" {
		return All, nil
	}
	kind, name, found := strings.Cut(s, ":")
	if !found {
		return Address{}, fmt.Errorf("address %q: want conn:<id>, user:<name>, channel:<name> or all", shorten(s))
	}
	if err := CheckName(name); err != nil {
		return Address{}, fmt.Errorf("address %q: %w", shorten(s), err)
	}
	switch kind {
	case "conn":
		return Conn(name), nil
	case "user":
		return User(name), nil
	case "channel":
		return Channel(name), nil
	}
	return Address{}, fmt.Errorf("address %q: want conn:, user: or channel: before the name", shorten(s))
}

// ParseAddresses parses addresses between commas, at most [MaxAddresses]. Spaces and tabs around
// one are no part of it (RFC 9110, 5.6.1); any other white space is, and makes another name.
func ParseAddresses(list string) (out []Address, err error) {
	for text := range strings.SplitSeq(list, ",") {
		a, err := ParseAddress(strings.Trim(text, " \t"))
		if err != nil {
			return nil, err
		}
		if out = append(out, a); len(out) > MaxAddresses {
			return nil, fmt.Errorf("more than %d addresses", MaxAddresses)
		}
	}
	return out, nil
}

// String returns the address in the form of ParseAddress.
func (a Address) String() string {
	switch a.Kind {
	case KindAll:
		return "all"
	case KindConn:
		return "conn:" + a.Name
	case KindUser:
		return "user:" + a.Name
	case KindChannel:
		return "channel:" + a.Name
	case KindSelf:
		return "self"
	}
	return ""
}

// CheckName returns an error if s is not a valid name of a user or channel: 1 to
// [MaxName] bytes of UTF-8 without control characters, comma, semicolon, asterisk, or
// space at its ends.
func CheckName(s string) error {
	switch {
	case s == "":
		return errors.New("name is empty")
	case len(s) > MaxName:
		return fmt.Errorf("name has %d bytes, at most %d are allowed", len(s), MaxName)
	case !utf8.ValidString(s):
		return errors.New("name is not UTF-8")
	case s[0] == ' ' || s[len(s)-1] == ' ':
		return errors.New("name begins or ends with a space")
	}
	for _, r := range s {
		switch {
		case r < 0x20 || r >= 0x7f && r < 0xa0:
			return errors.New("name has a control character")
		case r == ',' || r == ';' || r == '*':
			return fmt.Errorf("name has %q in it", r)
		}
	}
	return nil
}

// shorten limits a peer's text in an error or a log line.
func shorten(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
