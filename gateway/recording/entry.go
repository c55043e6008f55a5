// Package recording is an event as JSON: what PHP was told, and what the gateway did with the
// answer. `wsfpm call --json` prints one, `wsfpm record` writes one a line, and `wsfpm replay`
// runs them again and compares.
//
//	entry := recording.Of(event)     // everything; entry.Redact() removes what is secret
//
// Reading order: entry.go, redact.go (what is left out), choice.go (which events are recorded),
// file.go (a recording), compare.go.
package recording

import (
	"encoding/json"
	"maps"
	"time"
	"unicode/utf8"

	"wsfpm/gateway"
	"wsfpm/gateway/answer"
	"wsfpm/session"
)

// Entry is one event. Its JSON form is described in docs/contract.md, section 5.
type Entry struct {
	Time       time.Time         `json:"time"` // of the end
	Event      string            `json:"event"`
	Connection string            `json:"connection"`
	User       string            `json:"user,omitempty"` // after the event
	Route      string            `json:"route"`
	Params     map[string]string `json:"params,omitempty"`     // what PHP was told, of those that are UTF-8
	RawParams  map[string][]byte `json:"raw_params,omitempty"` // the others, in base64
	Data       *Data             `json:"message,omitempty"`
	Took       float64           `json:"took_ms"`
	Outcome    string            `json:"outcome"`
	Streamed   bool              `json:"streamed,omitempty"`
	Cached     bool              `json:"cached,omitempty"` // the answer was another message's, PHP has not run
	Answer     *Answer           `json:"answer,omitempty"`
	Failure    *Failure          `json:"failure,omitempty"`
}

// Data is the content of a message: text, or bytes in base64, or neither where it is left
// out.
type Data struct {
	Text   *string `json:"data,omitempty"`
	Base64 []byte  `json:"base64,omitempty"`
	Binary bool    `json:"binary,omitempty"`
	Bytes  int     `json:"bytes"`
}

// Answer is an answer that counts.
type Answer struct {
	Status   int       `json:"status"`
	Commands []Command `json:"commands"`
	Protocol string    `json:"protocol,omitempty"`
	Accepted bool      `json:"accepted,omitempty"` // WS-Accept: 1
	Cookies  []string  `json:"cookies,omitempty"`  // lines of Set-Cookie
	Resume   string    `json:"resume,omitempty"`   // WS-Resume
	Live     []string  `json:"live,omitempty"`     // channels joined with ";live"
	Oddity   string    `json:"oddity,omitempty"`
}

// Command is what the answer has done, in the vocabulary of docs/contract.md, section 4.
// Without addresses it is about the client itself.
type Command struct {
	To      []string `json:"to,omitempty"`
	Except  []string `json:"except,omitempty"`
	Purge   []string `json:"purge,omitempty"`
	User    *string  `json:"user,omitempty"`
	State   *string  `json:"state,omitempty"`
	Expires *string  `json:"expires,omitempty"`
	Join    []string `json:"join,omitempty"`
	Leave   []string `json:"leave,omitempty"`
	Relay   *string  `json:"relay,omitempty"` // the value of WS-Relay
	Message *Data    `json:"message,omitempty"`
	Close   *Close   `json:"close,omitempty"`
	Durable *bool    `json:"durable,omitempty"`
}

// Close is a close code with its reason.
type Close struct {
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// Failure is why there is no answer that counts.
type Failure struct {
	Reason string `json:"reason"`           // as it is logged
	PHP    string `json:"php,omitempty"`    // PHP's output, such as its error
	Status int    `json:"status,omitempty"` // of the refused handshake
	Body   *Data  `json:"body,omitempty"`   // of the refused handshake
	Text   string `json:"text,omitempty"`   // what the client is sent instead of an answer
	Close  *Close `json:"close,omitempty"`  // how the client is closed
}

// Of returns an event as it ended, with copies of all that it refers to.
func Of(e *gateway.Event) *Entry {
	entry := &Entry{
		Time: time.Now().UTC(), Event: e.Kind, Connection: e.Connection, User: e.User, Route: e.Route,
		Took: float64(e.Took.Microseconds()) / 1000, Outcome: e.Outcome, Streamed: e.Streamed, Cached: e.Cached,
	}
	entry.SetParams(e.Params())
	if e.Kind == "message" {
		entry.Data = dataOf(e.Data, e.Binary)
	}
	if e.Reply != nil {
		entry.Answer = answerOf(e.Reply)
	}
	if f := e.Failure; f != nil {
		entry.Failure = &Failure{Reason: f.Reason, PHP: f.PHP, Status: f.Status, Text: f.Text, Close: closeOf(f.Close)}
		if f.Status != 0 {
			entry.Failure.Body = dataOf(f.Body, !utf8.Valid(f.Body))
		}
	}
	return entry
}

// SetParams sets both maps of parameters.
func (e *Entry) SetParams(params map[string]string) {
	e.Params, e.RawParams = make(map[string]string), nil
	for name, value := range params {
		if utf8.ValidString(value) {
			e.Params[name] = value
			continue
		}
		if e.RawParams == nil {
			e.RawParams = make(map[string][]byte)
		}
		e.RawParams[name] = []byte(value)
	}
}

// AllParams returns a new map with the parameters of both maps.
func (e *Entry) AllParams() map[string]string {
	all := make(map[string]string)
	maps.Copy(all, e.Params)
	for name, value := range e.RawParams {
		all[name] = string(value)
	}
	return all
}

// Content returns the bytes of the message, and false if they were left out.
func (d *Data) Content() (data []byte, known bool) {
	switch {
	case d == nil || d.Bytes == 0:
		return nil, true
	case d.Text != nil:
		return []byte(*d.Text), true
	}
	return d.Base64, d.Base64 != nil
}

func dataOf(b []byte, binary bool) *Data {
	d := &Data{Binary: binary, Bytes: len(b)}
	if binary {
		d.Base64 = append([]byte{}, b...)
		return d
	}
	text := string(b)
	d.Text = &text
	return d
}

func answerOf(a *answer.Reply) *Answer {
	out := &Answer{
		Status: a.Head.Status, Protocol: a.Head.Protocol, Accepted: a.Head.Accepted, Cookies: a.Head.Cookies,
		Live: a.Head.Live, Oddity: a.Oddity, Commands: []Command{},
	}
	switch from := a.Head.Resume; {
	case from.Never:
		out.Resume = "no"
	case from.Named:
		out.Resume = from.After.String()
	}
	for c := range a.Effects {
		out.Commands = append(out.Commands, commandOf(c))
	}
	return out
}

func commandOf(c *session.Command) Command {
	out := Command{Purge: c.Purge, User: c.User, State: c.State, Join: c.Join, Leave: c.Leave, Close: closeOf(c.Close), Durable: c.Durable}
	for _, a := range c.To {
		out.To = append(out.To, a.String())
	}
	for _, a := range c.Except {
		out.Except = append(out.Except, a.String())
	}
	if c.Expires != nil {
		at := session.ExpiresText(*c.Expires)
		out.Expires = &at
	}
	if c.Relay != nil {
		relay := c.Relay.String()
		out.Relay = &relay
	}
	if c.Message != nil {
		out.Message = dataOf(c.Message.Data(), c.Message.Binary())
	}
	return out
}

func closeOf(c *session.Close) *Close {
	if c == nil {
		return nil
	}
	return &Close{c.Code, c.Reason}
}

// Line returns the entry as JSON, on one line.
func (e *Entry) Line() ([]byte, error) { return json.Marshal(e) }
