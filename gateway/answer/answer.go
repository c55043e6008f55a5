// Package answer parses the answer of a PHP script to an event into commands
// (docs/contract.md, 2 to 4).
//
//	h, err := answer.ParseHead(response.Status, response.Header)
//	reply, err := answer.Parse(h, body) // reply.Own for the client itself, reply.Others for others
//
// It depends on neither sockets nor routes, and does not handle errors of PHP.
package answer

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"wsfpm/fcgi"
	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// The media types with a special meaning.
const (
	typeCommands = "application/vnd.wsfpm+json"
	typeStream   = "application/x-ndjson"
)

// Reply is a complete and valid answer.
type Reply struct {
	Own    session.Command   // for the connection itself, from the headers and the body
	More   []session.Command // for the connection itself, after Own
	Others []session.Command // for any clients, or purges, in order
	Head   Head
	Oddity string // a harmless mistake, for the log: a leading BOM, blank output
}

// own calls yield for the commands for the connection itself, in order.
func (a *Reply) own(yield func(*session.Command) bool) {
	if !yield(&a.Own) {
		return
	}
	for i := range a.More {
		if !yield(&a.More[i]) {
			return
		}
	}
}

// Effects calls yield for the commands that do anything: those for the connection itself, then
// those for others.
func (a *Reply) Effects(yield func(*session.Command) bool) {
	for c := range a.own {
		if !c.IsEmpty() && !yield(c) {
			return
		}
	}
	for i := range a.Others {
		if c := &a.Others[i]; !c.IsEmpty() && !yield(c) {
			return
		}
	}
}

// Messages appends the messages for the connection itself, in order.
func (a *Reply) Messages(list []*session.Message) []*session.Message {
	for c := range a.own {
		if c.Message != nil {
			list = append(list, c.Message)
		}
	}
	return list
}

// IsChange reports whether the answer changes the connection's user, state, channels or relay.
func (a *Reply) IsChange() bool {
	for c := range a.own {
		if c.User != nil || c.State != nil || c.Relay != nil || len(c.Join)+len(c.Leave) > 0 {
			return true
		}
	}
	return false
}

// Membership returns the connection's membership after the answer, or
// [session.ErrChannels], see [session.Membership.With].
func (a *Reply) Membership(from session.Membership, maxChannels int) (after session.Membership, err error) {
	for c := range a.own {
		if from, err = from.With(*c, maxChannels); err != nil {
			return from, err
		}
	}
	return from, nil
}

// The next ones, and Relay, read the same loop each with its own field: a function that is given the
// field would move each answer from the stack to the heap.

// Expires returns the end that the answer gives the connection's session, or nil if it does
// not change it.
func (a *Reply) Expires() (last *int64) {
	for c := range a.own {
		if c.Expires != nil {
			last = c.Expires
		}
	}
	return last
}

// NewState returns the state that the answer leaves the connection with, or nil if it does not
// change it.
func (a *Reply) NewState() (last *string) {
	for c := range a.own {
		if c.State != nil {
			last = c.State
		}
	}
	return last
}

// Closing returns the last close in the answer, or nil.
func (a *Reply) Closing() (last *session.Close) {
	for c := range a.own {
		if c.Close != nil {
			last = c.Close
		}
	}
	return last
}

// Head is the parsed header block of an answer.
type Head struct {
	Status   int
	Fields   fcgi.Header
	Own      session.Command
	Protocol string   // WS-Protocol, "" none
	Accepted bool     // WS-Accept: 1
	Died     bool     // WS-Failed, set by PHP-FPM itself: see deploy/php-fpm
	Cookies  []string // Set-Cookie
	Live     []string // channels of Own.Join of which the client gets no missed messages
	Resume   Resume

	mediaType string // lower case, without parameters
	publish   publish
}

// IsStream reports whether the body is a stream of lines, each a message.
func (h *Head) IsStream() bool { return h.mediaType == typeStream }

// ParseHead parses the header block of an answer. It returns an error for anything that
// the contract does not allow. [Head.IsStream] is valid in any case.
func ParseHead(status int, fields fcgi.Header) (Head, error) {
	h := Head{Status: status, Fields: fields}
	seen := make(map[string]bool)
	mediaType, _, _ := strings.Cut(fields.Get("Content-Type"), ";")
	h.mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	for _, f := range fields {
		var err error
		switch {
		case strings.EqualFold(f.Name, "Content-Encoding"):
			if v := strings.TrimSpace(f.Value); v != "" && !strings.EqualFold(v, "identity") {
				err = fmt.Errorf("Content-Encoding %q: switch zlib.output_compression off for this script", excerpt.Of(v))
			}
		case strings.EqualFold(f.Name, "Set-Cookie"):
			h.Cookies = append(h.Cookies, f.Value)
		case len(f.Name) > 3 && strings.EqualFold(f.Name[:3], "WS-"):
			err = h.extra(strings.ToLower(f.Name), trim(f.Value), seen)
		}
		if err != nil {
			return h, err
		}
	}
	if n := len(h.Own.Join) + len(h.Own.Leave); n > session.MaxAddresses {
		return h, fmt.Errorf("WS-Join and WS-Leave name %d channels, at most %d are allowed", n, session.MaxAddresses)
	}
	if h.publish.named && (h.mediaType == typeCommands || h.mediaType == typeStream) {
		return h, fmt.Errorf("WS-Publish with %s: put the addresses into the commands", h.mediaType)
	}
	return h, nil
}

// trim cuts the white space around a value, which is no part of it: spaces and tabs (RFC 9110, 5.6.3). To cut
// any other, such as a no-break space, would make one user's name another's.
func trim(value string) string { return strings.Trim(value, " \t") }

// extra parses one WS-* header. Only lists may be repeated.
func (h *Head) extra(name, value string, seen map[string]bool) error {
	isList := name == "ws-join" || name == "ws-leave" || name == "ws-publish"
	if seen[name] && !isList {
		return fmt.Errorf("%s stands twice", name)
	}
	seen[name] = true
	switch name {
	case "ws-user":
		return h.user(value)
	case "ws-state":
		return h.state(value)
	case "ws-close":
		return h.close(value)
	case "ws-expires":
		return h.expires(value)
	case "ws-protocol":
		h.Protocol = value
		return nil
	case "ws-accept":
		h.Accepted = value == "1"
		if !h.Accepted {
			return fmt.Errorf("WS-Accept: got %q, want 1 or no such header: a connect is refused by its status", excerpt.Of(value))
		}
		return nil
	case "ws-failed":
		h.Died = true
		return nil
	case "ws-join":
		return h.join(name, value)
	case "ws-resume":
		return h.resume(value)
	case "ws-relay":
		return h.relay(value)
	case "ws-leave":
		return appendNames(&h.Own.Leave, name, value, true)
	case "ws-publish":
		return h.publish.parse(value)
	}
	return fmt.Errorf("unknown header %s: want WS-User, WS-Join, WS-Leave, WS-State, WS-Close, WS-Expires, WS-Publish, WS-Relay, WS-Protocol, WS-Resume or WS-Accept", excerpt.Of(name))
}

func (h *Head) user(value string) error {
	if value != "" {
		if err := session.CheckName(value); err != nil {
			return fmt.Errorf("WS-User: %w", err)
		}
	}
	h.Own.User = &value
	return nil
}

func (h *Head) state(value string) error {
	if len(value) > session.MaxState {
		return fmt.Errorf("WS-State has %d bytes, at most %d are allowed", len(value), session.MaxState)
	}
	h.Own.State = &value
	return nil
}

func (h *Head) close(value string) error {
	digits, reason, _ := strings.Cut(value, " ")
	code, err := strconv.ParseUint(digits, 10, 16) // without a sign
	if err != nil {
		return fmt.Errorf("WS-Close %q: want a code and, after a space, a reason", excerpt.Of(value))
	}
	closing, err := session.NewClose(int(code), trim(reason))
	if err != nil {
		return fmt.Errorf("WS-Close: %w", err)
	}
	h.Own.Close = &closing
	return nil
}

func (h *Head) expires(value string) error {
	at, err := session.ParseExpires(value)
	if err != nil {
		return fmt.Errorf("WS-Expires: %w", err)
	}
	h.Own.Expires = &at
	return nil
}

// Accepts reports whether an answer with this status is an ordinary one: 2xx, or one of
// statuses, in the form of the key answer_statuses: "422" or "4xx".
func Accepts(statuses []string, status int) bool {
	if status >= 200 && status <= 299 {
		return true
	}
	class := strconv.Itoa(status/100) + "xx"
	return slices.ContainsFunc(statuses, func(s string) bool {
		return strings.EqualFold(s, class) || s == strconv.Itoa(status)
	})
}

// Parse converts a complete answer with an accepted status to commands. It returns an
// error for anything that the contract does not allow.
func Parse(h Head, body []byte) (Reply, error) {
	a := Reply{Head: h, Own: h.Own}
	if h.Status == 204 {
		return a, nil
	}
	switch h.mediaType {
	case typeCommands:
		return a.commands(body)
	case typeStream:
		return a.lines(body)
	}
	message, oddity, err := parseMessage(h.mediaType, body)
	if err != nil {
		return a, err
	}
	a.Oddity = oddity
	switch {
	case !h.publish.named:
		a.Own.Message = message
	case message != nil && len(h.publish.to) > 0:
		a.Others = []session.Command{{To: h.publish.to, Except: h.publish.except, Message: message, Durable: h.publish.durable}}
	}
	return a, nil
}

// commands parses the body as commands (docs/contract.md, 4).
func (a Reply) commands(body []byte) (Reply, error) {
	body = trimBOM(body)
	if len(bytes.TrimSpace(body)) == 0 {
		return a, nil
	}
	list, _, err := session.Decode(body, session.FromAnswer)
	if err != nil {
		return a, err
	}
	for _, c := range list {
		if len(c.To)+len(c.Purge) == 0 {
			a.More = append(a.More, c)
		} else {
			a.Others = append(a.Others, c)
		}
	}
	return a, nil
}

// lines parses the body of a complete stream, as on connect: each line is a message.
func (a Reply) lines(body []byte) (Reply, error) {
	for line := range bytes.Lines(body) {
		message, err := ParseLine(line)
		if err != nil {
			return a, err
		}
		if message != nil {
			a.More = append(a.More, session.Command{Message: message})
		}
	}
	return a, nil
}

// ParseLine converts one line of a stream to a message; nil for an empty line.
func ParseLine(line []byte) (*session.Message, error) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, nil
	}
	if !utf8.Valid(line) {
		return nil, errors.New("a line of the stream is not UTF-8")
	}
	return session.NewMessage(false, line), nil
}

// parseMessage converts a body to one message, binary or text by its media type; nil if
// there is nothing to send.
func parseMessage(mediaType string, body []byte) (m *session.Message, oddity string, err error) {
	if isBinary(mediaType) {
		if len(body) == 0 {
			return nil, "", nil
		}
		return session.NewMessage(true, body), "", nil
	}
	text := trimBOM(body)
	if len(text) != len(body) {
		oddity = "the output begins with a byte order mark: save the script without it"
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if len(text) > 0 {
			oddity = "the output is blank, nothing was sent: look for text outside <?php ?>"
		}
		return nil, oddity, nil
	}
	if !utf8.Valid(text) {
		return nil, "", errors.New("the answer is text but not UTF-8: send Content-Type: application/octet-stream for binary data")
	}
	return session.NewMessage(false, text), oddity, nil
}

// isBinary reports whether a body of this media type becomes a binary message.
func isBinary(mediaType string) bool {
	switch mediaType {
	case "application/octet-stream", "application/x-msgpack":
		return true
	}
	major, _, _ := strings.Cut(mediaType, "/")
	return major == "image" || major == "audio" || major == "video"
}

func trimBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }
