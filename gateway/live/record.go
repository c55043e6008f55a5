package live

import (
	"math"
	"time"

	"wsfpm/gateway"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// The bounds of a record.
const (
	maxText    = 300  // bytes of a name, a reason or an error
	MaxBody    = 4096 // bytes of a message that a reader of events gets
	maxList    = 5    // addresses or channels of one effect
	maxEffects = 20
)

// Record is one event that is over, as a line of JSON. Durations are in seconds. Texts of
// clients and scripts are cut, and are not made safe for a terminal or a page.
type Record struct {
	Time       time.Time `json:"time"`
	Kind       string    `json:"kind"` // connect, message, disconnect; handshake: refused before PHP was called
	Connection string    `json:"connection,omitempty"`
	Route      string    `json:"route,omitempty"`
	Script     string    `json:"script,omitempty"`
	User       string    `json:"user,omitempty"` // after the event
	Address    string    `json:"address,omitempty"`
	Trace      string    `json:"trace,omitempty"` // the trace-id (W3C Trace Context)
	Wait       float64   `json:"wait"`            // for a worker
	Run        float64   `json:"run"`             // until the end of the answer
	Outcome    string    `json:"outcome"`
	Error      string    `json:"error,omitempty"`  // without PHP's own text, unless the content of messages was asked for
	PHP        string    `json:"php,omitempty"`    // output of PHP, such as its error, if the content of messages was asked for
	Body       *Body     `json:"body,omitempty"`   // of a message
	Code       int       `json:"code,omitempty"`   // of a disconnect: the close code; of a handshake: the status
	Reason     string    `json:"reason,omitempty"` // of a disconnect
	Lasted     float64   `json:"lasted,omitempty"` // of a disconnect
	Stream     bool      `json:"stream,omitempty"` // the answer was sent line by line
	Cached     bool      `json:"cached,omitempty"` // the answer was another message's, PHP has not run
	Effects    []Effect  `json:"effects,omitempty"`

	// Dropped is the number of events that the reader missed before this line, which has
	// nothing else.
	Dropped int64 `json:"dropped,omitempty"`
}

// Body is a message.
type Body struct {
	Bytes  int    `json:"bytes"`
	Binary bool   `json:"binary,omitempty"`
	Text   string `json:"text,omitempty"` // its beginning, if asked for; not of a binary message
}

// Effect is a command of the answer, for the client itself unless To names others.
type Effect struct {
	To      []string `json:"to,omitempty"` // five at most; then "…"
	Except  []string `json:"except,omitempty"`
	Purge   []string `json:"purge,omitempty"`
	User    *string  `json:"user,omitempty"`
	Join    []string `json:"join,omitempty"`
	Leave   []string `json:"leave,omitempty"`
	State   *int     `json:"state,omitempty"` // bytes
	Expires string   `json:"expires,omitempty"`
	Relay   *string  `json:"relay,omitempty"` // "" ends it
	Body    *Body    `json:"body,omitempty"`
	Close   *Close   `json:"close,omitempty"`
}

// Close is a close code with its reason.
type Close struct {
	Code   int    `json:"code"`
	Reason string `json:"reason,omitempty"`
}

// NewRecord describes an event, with at most text bytes of each text message.
func NewRecord(e *gateway.Event, text int) Record {
	r := Record{
		Time: time.Now(), Kind: e.Kind, Connection: e.Connection, Route: cut(e.Route, maxText), Script: cut(e.Script, maxText), User: cut(e.User, maxText),
		Trace: e.Trace, Wait: seconds(e.Wait), Run: seconds(e.Took - e.Wait), Outcome: e.Outcome,
		Code: e.Code, Reason: cut(e.Reason, maxText), Lasted: seconds(e.Lasted), Stream: e.Streamed, Cached: e.Cached,
	}
	if e.Address.IsValid() {
		r.Address = e.Address.String()
	}
	if e.Err != nil {
		r.Error = cut(e.Err.Error(), maxText)
	}
	switch f := e.Failure; {
	case f == nil:
	case text > 0:
		r.PHP = cut(f.PHP, MaxBody)
	default:
		r.Error = cut(f.Brief, maxText)
	}
	if e.Kind == "message" {
		r.Body = newBody(e.Data, e.Binary, text)
	}
	if e.Reply != nil {
		r.Effects = NewEffects(e.Reply, text)
		r.Effects = r.Effects[:min(len(r.Effects), maxEffects)]
	}
	return r
}

// NewEffects describes what an answer does, with at most text bytes of each text message.
func NewEffects(a *answer.Reply, text int) (effects []Effect) {
	for c := range a.Effects {
		effects = append(effects, newEffect(c, text))
	}
	return effects
}

// newEffect describes a command.
func newEffect(c *session.Command, text int) Effect {
	e := Effect{To: texts(c.To), Except: texts(c.Except), Purge: names(c.Purge), Join: names(c.Join), Leave: names(c.Leave)}
	if c.User != nil {
		user := cut(*c.User, maxText)
		e.User = &user
	}
	if c.State != nil {
		bytes := len(*c.State)
		e.State = &bytes
	}
	if c.Expires != nil {
		e.Expires = session.ExpiresText(*c.Expires)
	}
	if c.Relay != nil {
		relay := cut(c.Relay.String(), maxText)
		e.Relay = &relay
	}
	if c.Message != nil {
		e.Body = newBody(c.Message.Data(), c.Message.Binary(), text)
	}
	if c.Close != nil {
		e.Close = &Close{c.Close.Code, c.Close.Reason}
	}
	return e
}

func newBody(data []byte, binary bool, text int) *Body {
	b := Body{Bytes: len(data), Binary: binary}
	if text > 0 && !binary {
		b.Text = cut(string(data[:min(len(data), text+1)]), text)
	}
	return &b
}

func texts(list []session.Address) []string {
	var out []string
	for _, a := range list[:min(len(list), maxList+1)] {
		out = append(out, a.String())
	}
	return names(out)
}

// names bounds a list and its texts.
func names(list []string) (out []string) {
	for i, name := range list {
		if i == maxList {
			return append(out, "…")
		}
		out = append(out, cut(name, maxText))
	}
	return out
}

// cut returns the first n bytes of s, cut at a character, and an ellipsis when there are more.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return excerpt.Cut(s, n) + "…"
}

// seconds rounds to microseconds.
func seconds(d time.Duration) float64 { return math.Round(float64(d)/1e3) / 1e6 }
