package session

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// Source says where commands come from, and so what they may hold.
type Source uint8

// The sources of commands.
const (
	FromAnswer Source = iota // a script's answer: To may be missing, fields must be known
	FromPush                 // POST /push and wsfpm push: fields must be known
	FromBus                  // Redis: unknown fields are told, not refused, so that mixed versions work
)

// wireCommand is a Command as JSON.
type wireCommand struct {
	To     names           `json:"to,omitempty"`
	Except names           `json:"except,omitempty"`
	Data   json.RawMessage `json:"data,omitempty"`
	Base64 *string         `json:"base64,omitempty"`
	Join   names           `json:"join,omitempty"`
	Leave  names           `json:"leave,omitempty"`
	Close  *wireClose      `json:"close,omitempty"`
	User   *string         `json:"user,omitempty"`
	State  *string         `json:"state,omitempty"`
}

type wireClose struct {
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// names is a list of names; a single string stands for a list of one.
type names []string

// UnmarshalJSON accepts "a" and ["a", "b"].
func (n *names) UnmarshalJSON(b []byte) error {
	var one string
	if err := json.Unmarshal(b, &one); err == nil && b[0] == '"' {
		*n = names{one}
		return nil
	}
	var many []string
	if err := json.Unmarshal(b, &many); err != nil {
		return errors.New("want a string or a list of strings")
	}
	*n = many
	return nil
}

// Decode reads one JSON command or a list of at most [MaxCommands]. All of
// them are valid, or none is returned. Unknown is the name of a field that was
// passed over, which happens with [FromBus] only.
func Decode(body []byte, from Source) (commands []Command, unknown string, err error) {
	if !utf8.Valid(body) {
		return nil, "", errors.New("commands are not UTF-8")
	}
	wire, err := decodeWire(body, true)
	if field, isUnknown := unknownField(err); isUnknown && from == FromBus {
		unknown = field
		wire, err = decodeWire(body, false)
	}
	if err != nil {
		return nil, unknown, fmt.Errorf("commands: %w", err)
	}
	if len(wire) > MaxCommands {
		return nil, unknown, fmt.Errorf("commands: %d in one list, at most %d are allowed", len(wire), MaxCommands)
	}
	commands = make([]Command, len(wire))
	for i, w := range wire {
		if commands[i], err = w.command(from); err != nil {
			return nil, unknown, fmt.Errorf("command %d: %w", i+1, err)
		}
	}
	return commands, unknown, nil
}

// decodeWire reads a command or a list of them, and nothing behind it.
func decodeWire(body []byte, strict bool) ([]wireCommand, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	if strict {
		d.DisallowUnknownFields()
	}
	var list []wireCommand
	var err error
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		err = d.Decode(&list)
	} else {
		list = make([]wireCommand, 1)
		err = d.Decode(&list[0])
	}
	if errors.Is(err, io.EOF) {
		return nil, errors.New("the body is empty")
	}
	if err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("there is text behind the JSON value")
	}
	return list, nil
}

// unknownField recognises the decoder's complaint about a field that it does
// not know; encoding/json has no typed error for it.
func unknownField(err error) (string, bool) {
	if err == nil {
		return "", false
	}
	return strings.CutPrefix(err.Error(), "json: unknown field ")
}

// command checks a decoded command and gives it its final form.
func (w *wireCommand) command(from Source) (Command, error) {
	var c Command
	var err error
	if len(w.To)+len(w.Except) > MaxAddresses {
		return c, fmt.Errorf("%d addresses, at most %d are allowed", len(w.To)+len(w.Except), MaxAddresses)
	}
	if c.To, err = parseAddresses(w.To); err != nil {
		return c, fmt.Errorf("to: %w", err)
	}
	if c.Except, err = parseExcept(w.Except, from); err != nil {
		return c, fmt.Errorf("except: %w", err)
	}
	if err = w.checkTarget(from); err != nil {
		return c, err
	}
	if c.Message, err = w.message(); err != nil {
		return c, err
	}
	if c.Join, c.Leave, err = w.channels(); err != nil {
		return c, err
	}
	if w.Close != nil {
		closing, err := NewClose(w.Close.Code, w.Close.Reason)
		if err != nil {
			return c, err
		}
		c.Close = &closing
	}
	c.User, c.State = w.User, w.State
	return c, nil
}

// checkTarget checks what depends on whether the command is for the
// connection itself or for others.
func (w *wireCommand) checkTarget(from Source) error {
	own := len(w.To) == 0
	switch {
	case own && from != FromAnswer:
		return errors.New(`"to" is missing: name the clients, for instance "user:42"`)
	case own && len(w.Except) > 0:
		return errors.New(`"except" without "to"`)
	case !own && (w.User != nil || w.State != nil):
		return errors.New(`"user" and "state" are for the connection itself: they cannot stand beside "to"`)
	case w.User != nil && *w.User != "":
		if err := CheckName(*w.User); err != nil {
			return fmt.Errorf("user: %w", err)
		}
	}
	if w.State != nil && len(*w.State) > MaxState {
		return fmt.Errorf("state has %d bytes, at most %d are allowed", len(*w.State), MaxState)
	}
	if w.State != nil && strings.ContainsRune(*w.State, 0) {
		return errors.New("state has a NUL byte")
	}
	return nil
}

// message is the payload: a string as it is, any other JSON value as its
// compact text, or bytes from base64.
func (w *wireCommand) message() (*Message, error) {
	switch {
	case w.Data != nil && w.Base64 != nil:
		return nil, errors.New(`both "data" and "base64": want one of them`)
	case w.Base64 != nil:
		data, err := base64.StdEncoding.DecodeString(*w.Base64)
		if err != nil {
			return nil, fmt.Errorf("base64: %w", err)
		}
		return NewMessage(true, data), nil
	case w.Data == nil:
		return nil, nil
	case w.Data[0] == '"':
		var text string
		if err := json.Unmarshal(w.Data, &text); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		return NewMessage(false, []byte(text)), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, w.Data); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return NewMessage(false, compact.Bytes()), nil
}

// channels checks the names to join and leave.
func (w *wireCommand) channels() (join, leave []string, err error) {
	if n := len(w.Join) + len(w.Leave); n > MaxAddresses {
		return nil, nil, fmt.Errorf("%d channels, at most %d are allowed", n, MaxAddresses)
	}
	for _, name := range w.Join {
		if err := CheckName(name); err != nil {
			return nil, nil, fmt.Errorf("join: %w", err)
		}
	}
	for _, name := range w.Leave {
		if name == "*" {
			continue
		}
		if err := CheckName(name); err != nil {
			return nil, nil, fmt.Errorf("leave: %w", err)
		}
	}
	return w.Join, w.Leave, nil
}

// parseAddresses reads a list of addresses.
func parseAddresses(list []string) ([]Address, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := make([]Address, len(list))
	for i, s := range list {
		a, err := ParseAddress(s)
		if err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// parseExcept reads addresses among which an answer may say "self".
func parseExcept(list []string, from Source) ([]Address, error) {
	rest := slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "self" })
	out, err := parseAddresses(rest)
	if err != nil || len(rest) == len(list) {
		return out, err
	}
	if from != FromAnswer {
		return nil, errors.New(`"self" has a meaning in a script's answer only: name the connection, "conn:<id>"`)
	}
	return append(out, Self), nil
}
