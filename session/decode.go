package session

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Source is the origin of commands, which determines the allowed fields.
type Source uint8

// The sources of commands.
const (
	FromAnswer Source = iota // a script's answer: To may be missing, fields must be known
	FromPush                 // POST /push and wsfpm push: fields must be known
	FromBus                  // Redis: unknown fields are reported, not refused, so that mixed versions work
)

// fields are the values of a command that stand in its JSON; nil does not.
type fields struct{ to, except, data, base64, join, leave, closing, user, state, expires, relay, purge, before, durable []byte }

// named is the field of this name, or nil.
func (f *fields) named(name string) *[]byte {
	switch name {
	case "to":
		return &f.to
	case "except":
		return &f.except
	case "data":
		return &f.data
	case "base64":
		return &f.base64
	case "join":
		return &f.join
	case "leave":
		return &f.leave
	case "close":
		return &f.closing
	case "user":
		return &f.user
	case "state":
		return &f.state
	case "expires":
		return &f.expires
	case "relay":
		return &f.relay
	case "purge":
		return &f.purge
	case "before":
		return &f.before
	case "durable":
		return &f.durable
	}
	return nil
}

// decoder reads the commands of one answer or push.
type decoder struct {
	from    Source
	unknown string // the first field that was passed over, in quotes
}

// Decode parses one JSON command or a list of at most [MaxCommands]. If one is invalid it
// returns an error and none. Unknown is the name of an ignored field, with [FromBus]
// only.
func Decode(body []byte, from Source) (commands []Command, unknown string, err error) {
	if err := checkJSON(body); err != nil {
		return nil, "", fmt.Errorf("commands: %w", err)
	}
	d := decoder{from: from}
	body = bytes.TrimSpace(body)
	if body[0] != '[' {
		c, err := d.command(1, body)
		if err != nil {
			return nil, d.unknown, err
		}
		return []Command{c}, d.unknown, nil
	}
	for rest := inside(body); len(rest) > 0; {
		var object []byte
		object, rest = cut(rest)
		n := len(commands) + 1
		if n > MaxCommands {
			return nil, d.unknown, fmt.Errorf("commands: %d or more in one list, at most %d are allowed", n, MaxCommands)
		}
		c, err := d.command(n, object)
		if err != nil {
			return nil, d.unknown, err
		}
		commands = append(commands, c)
	}
	return commands, d.unknown, nil
}

// command reads command number n.
func (d *decoder) command(n int, value []byte) (c Command, err error) {
	if value[0] != '{' {
		return c, fmt.Errorf("command %d: got %s, want an object", n, shown(value))
	}
	var f fields
	if err = readObject(value, f.named, d.passOver); err == nil {
		c, err = d.build(&f)
	}
	if err != nil {
		return c, fmt.Errorf("command %d: %w", n, err)
	}
	return c, nil
}

// passOver records an unknown field of a command or its close, or refuses it.
func (d *decoder) passOver(name string) error {
	if d.from != FromBus {
		return fmt.Errorf("unknown field %q: want to, except, data, base64, join, leave, close, relay, purge, durable, user, state or expires, and in close code and reason", shorten(name))
	}
	if d.unknown == "" {
		d.unknown = strconv.Quote(name)
	}
	return nil
}

// build converts fields to a command.
func (d *decoder) build(f *fields) (c Command, err error) {
	if err := d.target(&c, f); err != nil {
		return c, err
	}
	if c.Message, err = f.message(); err != nil {
		return c, err
	}
	if c.Join, err = readList(f.join, "the name of a channel", joinable); err != nil {
		return c, fmt.Errorf("join: %w", err)
	}
	if c.Leave, err = readList(f.leave, "the name of a channel", leavable); err != nil {
		return c, fmt.Errorf("leave: %w", err)
	}
	if n := len(c.Join) + len(c.Leave); n > MaxAddresses {
		return c, fmt.Errorf("%d channels, at most %d are allowed", n, MaxAddresses)
	}
	if c.Close, err = d.closing(f.closing); err != nil {
		return c, err
	}
	if c.User, err = readOptional(f.user, `the name of a user, or ""`, checkUser); err != nil {
		return c, fmt.Errorf("user: %w", err)
	}
	if c.State, err = readOptional(f.state, "a string", checkState); err != nil {
		return c, fmt.Errorf("state: %w", err)
	}
	if c.Expires, err = readExpires(f.expires); err != nil {
		return c, fmt.Errorf("expires: %w", err)
	}
	if c.Relay, err = f.endRelay(); err != nil {
		return c, err
	}
	if c.Purge, err = f.paths(); err != nil {
		return c, fmt.Errorf("purge: %w", err)
	}
	if f.before != nil {
		if c.Before, err = d.before(f.before); err != nil {
			return c, err
		}
	}
	if f.durable != nil {
		err = d.durable(&c, f.durable)
	}
	return c, err
}

// durable parses whether a command is stored in the log. From Redis it is not known: the
// log has a door of its own there.
func (d *decoder) durable(c *Command, value []byte) error {
	if d.from == FromBus {
		return d.passOver("durable")
	}
	durable := string(value) == "true"
	switch {
	case !durable && string(value) != "false":
		return fmt.Errorf("durable: got %s, want true or false", shown(value))
	case len(c.To) == 0:
		return errors.New(`"durable" without "to": the reply to the connection itself is never stored`)
	case durable && len(c.Join)+len(c.Leave) > 0:
		return errors.New(`"durable" beside "join" or "leave": the log does not change channels`)
	case durable && c.Relay != nil:
		return errors.New(`"durable" beside "relay": the log does not end relays`)
	case durable && len(c.Purge) > 0:
		return errors.New(`"durable" beside "purge": the log does not purge; send {"purge": …} as a command of its own, before this one`)
	}
	c.Durable = &durable
	return nil
}

// before parses the field that only processes of wsfpm set.
func (d *decoder) before(value []byte) (int64, error) {
	if d.from != FromBus {
		return 0, d.passOver("before")
	}
	n, err := strconv.ParseInt(string(value), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("before: got %s, want a time in nanoseconds", shown(value))
	}
	return n, nil
}

// target parses the addresses. If the field is missing, in an answer only, the command is
// for the connection itself.
func (d *decoder) target(c *Command, f *fields) (err error) {
	switch {
	case f.to == nil && f.purge != nil:
		return f.onlyPurge()
	case f.to == nil && d.from != FromAnswer:
		return errors.New(`"to" is missing: name the clients, for instance "user:42"`)
	case f.to == nil && f.except != nil:
		return errors.New(`"except" without "to"`)
	case f.to != nil && (f.user != nil || f.state != nil || f.expires != nil):
		return errors.New(`"user", "state" and "expires" are for the connection itself: they cannot stand beside "to"`)
	}
	if c.To, err = readList(f.to, `an address, such as "user:42"`, ParseAddress); err != nil {
		return fmt.Errorf("to: %w", err)
	}
	if f.to != nil && len(c.To) == 0 {
		return errors.New(`"to" is an empty list: name the clients, for instance "user:42"`)
	}
	if c.Except, err = readList(f.except, `an address, such as "user:42"`, d.exception); err != nil {
		return fmt.Errorf("except: %w", err)
	}
	if n := len(c.To) + len(c.Except); n > MaxAddresses {
		return fmt.Errorf("%d addresses, at most %d are allowed", n, MaxAddresses)
	}
	return nil
}

// onlyPurge reports whether a command without addresses purges, and does nothing else.
func (f *fields) onlyPurge() error {
	for _, other := range [][]byte{f.except, f.data, f.base64, f.join, f.leave, f.closing, f.user, f.state, f.expires, f.relay, f.before, f.durable} {
		if other != nil {
			return errors.New(`"purge" without "to" stands alone: put it into a command of its own, before this one`)
		}
	}
	return nil
}

// exception reads an address of except, where an answer may say "self".
func (d *decoder) exception(s string) (Address, error) {
	switch {
	case s != "self":
		return ParseAddress(s)
	case d.from != FromAnswer:
		return Address{}, errors.New(`"self" has a meaning in a script's answer only: name the connection, "conn:<id>"`)
	}
	return Self, nil
}

// message is the payload: a string as it is, any other JSON value as its
// compact text, or bytes from base64.
func (f *fields) message() (*Message, error) {
	switch {
	case f.data != nil && f.base64 != nil:
		return nil, errors.New(`both "data" and "base64": want one of them`)
	case f.base64 != nil:
		return binaryMessage(f.base64)
	case f.data == nil:
		return nil, nil
	case f.data[0] == '"':
		text, err := unquote(f.data)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		return NewMessage(false, []byte(text)), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, f.data); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return NewMessage(false, compact.Bytes()), nil
}

// binaryMessage reads the message of a base64 field.
func binaryMessage(value []byte) (*Message, error) {
	if value[0] != '"' {
		return nil, fmt.Errorf("base64: got %s, want a string", shown(value))
	}
	text, err := unquote(value)
	if err != nil {
		return nil, fmt.Errorf("base64: %w", err)
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("base64: %w", err)
	}
	return NewMessage(true, data), nil
}

// closing reads a close, {"code": 4001, "reason": "signed out"}.
func (d *decoder) closing(value []byte) (*Close, error) {
	if value == nil {
		return nil, nil
	}
	if value[0] != '{' {
		return nil, fmt.Errorf(`close: got %s, want an object, such as {"code": 4001, "reason": "signed out"}`, shown(value))
	}
	var code, reason []byte
	err := readObject(value, func(name string) *[]byte {
		switch name {
		case "code":
			return &code
		case "reason":
			return &reason
		}
		return nil
	}, d.passOver)
	if err != nil {
		return nil, fmt.Errorf("close: %w", err)
	}
	return newClose(code, reason)
}

// newClose checks what a close says.
func newClose(code, reason []byte) (*Close, error) {
	if code == nil {
		return nil, errors.New("close.code is missing")
	}
	n, err := strconv.Atoi(string(code))
	if err != nil {
		return nil, fmt.Errorf("close.code: got %s, want an integer, such as 4001", shown(code))
	}
	why, err := readOptional(reason, "a string", func(string) error { return nil })
	if err != nil {
		return nil, fmt.Errorf("close.reason: %w", err)
	}
	if why == nil {
		why = new(string)
	}
	c, err := NewClose(n, *why)
	return &c, err
}

// joinable is the name of a channel.
func joinable(name string) (string, error) { return name, CheckName(name) }

// leavable is the name of a channel, or "*" for all of them.
func leavable(name string) (string, error) {
	if name == "*" {
		return name, nil
	}
	return joinable(name)
}

// paths are those of the routes to purge.
func (f *fields) paths() ([]string, error) {
	list, err := readList(f.purge, `the path of a route, such as "/ws/prices", or "*"`, purgeable)
	switch {
	case err != nil:
		return nil, err
	case f.purge != nil && len(list) == 0:
		return nil, errors.New(`an empty list: name the path of a route, such as "/ws/prices"`)
	case len(list) > MaxAddresses:
		return nil, fmt.Errorf("%d paths, at most %d are allowed", len(list), MaxAddresses)
	}
	return list, nil
}

// purgeable is the path of a route, or "*" for all of them.
func purgeable(path string) (string, error) {
	switch {
	case path == PurgeAll:
	case !strings.HasPrefix(path, "/"):
		return path, fmt.Errorf(`%q: want the path of a route, such as "/ws/prices", or "*"`, shorten(path))
	case len(path) > MaxPurge:
		return path, fmt.Errorf("a path has %d bytes, at most %d are allowed", len(path), MaxPurge)
	case strings.ContainsRune(path, 0):
		return path, errors.New("has a NUL byte")
	}
	return path, nil
}

// checkUser checks the name of a user; an empty one unbinds.
func checkUser(name string) error {
	if name == "" {
		return nil
	}
	return CheckName(name)
}

// checkState checks a state.
func checkState(state string) error {
	switch {
	case len(state) > MaxState:
		return fmt.Errorf("has %d bytes, at most %d are allowed", len(state), MaxState)
	case strings.ContainsRune(state, 0):
		return errors.New("has a NUL byte")
	}
	return nil
}
