package session

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"
)

// MaxCommands is the longest list of commands in one answer or push.
const MaxCommands = 1000

// MaxAddresses is the largest number of addresses that one command may name,
// To and Except together, and of channels, Join and Leave together.
const MaxAddresses = 1000

// MaxChannelNames is the size of the names of all channels of a connection, in
// bytes, with a comma each. A script gets them as one parameter, WS_CHANNELS, and
// no parameter of FastCGI may fill a record of 64 KiB.
const MaxChannelNames = 60 << 10

// MaxState is the longest state of a connection, in bytes.
const MaxState = 8 << 10

// MaxPurge is the longest path in [Command.Purge], in bytes.
const MaxPurge = 1000

// Command is an operation on some clients. Replies of scripts, Redis publishers and
// POST /push use the same form. The order within a command is: purge, join and leave,
// message, close.
type Command struct {
	// To addresses the clients. Empty means the connection itself, in a script's answer
	// only.
	To []Address
	// Except addresses clients to be excluded. It may hold [Self] until the command
	// leaves its connection, see [Command.Resolve].
	Except []Address
	// Message is sent to the clients; nil sends nothing.
	Message *Message
	// Join and Leave are names of channels; Leave may hold "*", all of them.
	Join, Leave []string
	// Close ends the connections; nil does not.
	Close *Close
	// User binds the connection itself to a user, "" unbinds it; nil leaves
	// the binding. Only without To.
	User *string
	// State replaces the state of the connection itself, "" clears it; nil
	// leaves it. Only without To.
	State *string
	// Expires ends the connection itself at a Unix time in seconds, [Never] does not; nil
	// leaves the time. Only without To.
	Expires *int64
	// Relay sets the relay of the connection itself; nil leaves it. Beside To it ends the
	// clients' relays: see [Relay].
	Relay *Relay
	// Missed says that commands may have been missed before this one. Only package bus sets
	// it, and it is not part of [Command.Encode].
	Missed bool
	// Before excludes the clients that connected later, by [Session.CameIn]; 0 excludes
	// none. Only processes of wsfpm set it, for each other.
	Before int64
	// Purge drops stored answers of routes, before anything else of the command: paths of
	// routes, or [PurgeAll]. Such a command may have no To; it is then nothing else.
	Purge []string
	// Durable stores the command in the log, or does not; nil: the sender decides. It
	// stands beside To only, and is not part of [Command.Encode].
	Durable *bool
	// At is the position of the entry of the log that the command was read from; zero for
	// all others. Such a command has no Join, Leave, User, State or Before.
	At Position
}

// PurgeAll is the value of [Command.Purge] for all routes.
const PurgeAll = "*"

// Close is a close code with its reason (RFC 6455, 7.4). The reason is at
// most [MaxCloseReason] bytes.
type Close struct {
	Code   int
	Reason string
}

// MaxCloseReason is the longest reason that fits a Close frame, in bytes.
const MaxCloseReason = 123

// NewClose checks a close of a script or a push: codes 1000, 1001,
// 1008, 1011 to 1013 and 3000 to 4999. It cuts the reason to
// [MaxCloseReason] bytes at a character.
func NewClose(code int, reason string) (Close, error) {
	switch {
	case code == 1000, code == 1001, code == 1008, code >= 1011 && code <= 1013:
	case code >= 3000 && code <= 4999:
	default:
		return Close{}, fmt.Errorf("close code %d: want 1000, 1001, 1008, 1011 to 1013, or 3000 to 4999", code)
	}
	if !utf8.ValidString(reason) {
		return Close{}, fmt.Errorf("close reason is not UTF-8")
	}
	return Close{Code: code, Reason: CutReason(reason)}, nil
}

// CutReason cuts a reason to [MaxCloseReason] bytes at a character.
func CutReason(s string) string {
	if len(s) <= MaxCloseReason {
		return s
	}
	cut := MaxCloseReason
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}

// IsEmpty reports whether the command does nothing.
func (c *Command) IsEmpty() bool {
	return len(c.Purge)+len(c.Join)+len(c.Leave) == 0 && c.User == nil && c.State == nil && c.Expires == nil && c.Relay == nil && c.Message == nil && c.Close == nil
}

// NameBytes is the length of all names in the command, in bytes: of its addresses and of the
// channels to join and leave. It is a part of the memory that a command takes.
func (c *Command) NameBytes() (n int) {
	for _, list := range [...][]Address{c.To, c.Except} {
		for _, a := range list {
			n += len(a.Name)
		}
	}
	for _, list := range [...][]string{c.Join, c.Leave} {
		for _, name := range list {
			n += len(name)
		}
	}
	return n
}

// Resolve replaces [Self] in Except by the address of the connection with
// this id, so that the command can travel to other nodes.
func (c Command) Resolve(id string) Command {
	if !slices.Contains(c.Except, Self) {
		return c
	}
	c.Except = slices.Clone(c.Except)
	for i, a := range c.Except {
		if a == Self {
			c.Except[i] = Conn(id)
		}
	}
	return c
}

// wireCommand is a Command as JSON, in the form in which it is written.
type wireCommand struct {
	To      []string        `json:"to,omitempty"`
	Except  []string        `json:"except,omitempty"`
	Data    json.RawMessage `json:"data,omitempty"`
	Base64  *string         `json:"base64,omitempty"`
	Join    []string        `json:"join,omitempty"`
	Leave   []string        `json:"leave,omitempty"`
	Close   *wireClose      `json:"close,omitempty"`
	User    *string         `json:"user,omitempty"`
	State   *string         `json:"state,omitempty"`
	Expires *string         `json:"expires,omitempty"`
	Relay   *string         `json:"relay,omitempty"`
	Purge   []string        `json:"purge,omitempty"`
	Before  int64           `json:"before,omitempty"`
}

type wireClose struct {
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// Encode returns the JSON text of a command, for [Decode].
func (c Command) Encode() ([]byte, error) {
	w := wireCommand{To: texts(c.To), Except: texts(c.Except), Join: c.Join, Leave: c.Leave, User: c.User, State: c.State, Purge: c.Purge, Before: c.Before}
	if c.Expires != nil {
		text := ExpiresText(*c.Expires)
		w.Expires = &text
	}
	if c.Close != nil {
		w.Close = &wireClose{Code: c.Close.Code, Reason: c.Close.Reason}
	}
	if c.Relay != nil {
		value := c.Relay.String()
		w.Relay = &value
	}
	switch {
	case c.Message == nil:
	case c.Message.Binary():
		data := base64.StdEncoding.EncodeToString(c.Message.Data())
		w.Base64 = &data
	default:
		data, err := json.Marshal(string(c.Message.Data()))
		if err != nil {
			return nil, fmt.Errorf("encode command: %w", err)
		}
		w.Data = data
	}
	return json.Marshal(w)
}

// texts writes addresses as users do.
func texts(list []Address) []string {
	var out []string
	for _, a := range list {
		out = append(out, a.String())
	}
	return out
}
