package dev

import (
	"fmt"
	"io"
	"strings"
	"time"

	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/live"
)

const (
	dataShown = 160 // bytes of a message
	nameShown = 60  // bytes of a name, a reason and the like
	mostLines = 30  // of PHP's error text
)

// Printer prints events and the log on a terminal, a line each. All text of clients, scripts
// and servers is escaped. It is safe for concurrent use, if its writer is; each line is one
// Write.
type Printer struct {
	to    io.Writer
	color bool
	now   func() time.Time
}

// NewPrinter returns a printer.
func NewPrinter(to io.Writer, color bool) *Printer {
	return &Printer{to: to, color: color, now: time.Now}
}

// The colours of a terminal (ECMA-48, SGR).
const (
	plain  = "0"
	faint  = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint adds a colour to escaped text.
func (p *Printer) paint(color, text string) string {
	if !p.color || text == "" || color == plain {
		return text
	}
	return "\x1b[" + color + "m" + text + "\x1b[0m"
}

// line writes one line: the time, a word in the second column, and escaped text.
func (p *Printer) line(color, word, text string, more ...string) {
	var b strings.Builder
	b.WriteString(p.paint(faint, p.now().Format(time.TimeOnly)) + "  " + p.paint(color, fmt.Sprintf("%-10s", word)) + "  " + text + "\n")
	for _, line := range more {
		b.WriteString(strings.Repeat(" ", 22) + p.paint(color, line) + "\n")
	}
	_, _ = io.WriteString(p.to, b.String()) // a terminal that is gone
}

// Say prints a line of wsfpm's own, with its strings escaped: a folder may have any name.
func (p *Printer) Say(format string, args ...any) {
	for i, arg := range args {
		if s, ok := arg.(string); ok {
			args[i] = terminal.Escape(s)
		}
	}
	_, _ = fmt.Fprintf(p.to, format+"\n", args...) // a terminal that is gone
}

// FPM prints a line that PHP-FPM itself has written.
func (p *Printer) FPM(text string) {
	p.line(yellow, "php-fpm", terminal.Excerpt(text, maxLine))
}

// Event prints an event that is over. It is for [gateway.Gateway.Observe]. A refused handshake
// is left to the log, and so is why an event failed.
func (p *Printer) Event(e *gateway.Event) {
	if e.Kind == "handshake" {
		return
	}
	r := live.NewRecord(e, dataShown)
	r.Error, r.PHP, r.Route, r.Address = "", "", "", ""
	p.Record(&r)
}

// Record prints an event, as far as the record has it.
func (p *Printer) Record(r *live.Record) {
	if r.Dropped > 0 {
		p.line(yellow, "dropped", fmt.Sprintf("%d events: more happens than can be shown", r.Dropped))
		return
	}
	color := cyan
	switch {
	case r.Outcome == "refused": // by the script, or by a limit
		color = yellow
	case r.Outcome != "ok":
		color = red
	case r.Kind == "message":
		color = green
	}
	parts := []string{p.paint(faint, fmt.Sprintf("%-6s", lastPart(r.Connection))), fmt.Sprintf("%4.0f ms", r.Run*1000)}
	if r.Wait >= 0.001 {
		parts = append(parts, fmt.Sprintf("waited %.0f ms", r.Wait*1000))
	}
	if r.Kind != "connect" && r.User != "" {
		parts = append(parts, "user:"+terminal.Excerpt(r.User, nameShown))
	}
	parts = append(parts, origin(r)...)
	if r.Body != nil {
		parts = append(parts, body(r.Body, dataShown))
	}
	if r.Kind == "disconnect" {
		parts = append(parts, closing(r.Code, r.Reason), "after "+seconds(r.Lasted).Round(time.Second/10).String())
	}
	switch {
	case r.Outcome != "ok":
		parts = append(parts, p.paint(color, failure(r)))
	case r.Stream:
		parts = append(parts, "→ a stream")
	case r.Cached:
		parts = append(parts, p.paint(faint, "from the cache"))
	}
	for i := range r.Effects {
		parts = append(parts, effects(&r.Effects[i], dataShown)...)
	}
	var more []string
	if r.PHP != "" {
		more = terminal.Lines(strings.ReplaceAll(r.PHP, "PHP message: ", ""), mostLines)
	}
	p.line(color, r.Kind, strings.Join(parts, "  "), more...)
}

// origin describes where a client has come from, and where to.
func origin(r *live.Record) (parts []string) {
	if r.Kind != "connect" && r.Kind != "handshake" {
		return nil
	}
	if r.Route != "" {
		parts = append(parts, terminal.Excerpt(r.Route, nameShown))
	}
	if r.Address != "" {
		parts = append(parts, "from "+terminal.Escape(r.Address))
	}
	return parts
}

// failure describes why an event failed.
func failure(r *live.Record) string {
	text := r.Outcome
	if r.Outcome != "refused" {
		text = "failed: " + r.Outcome
	} else if r.Code != 0 {
		text += fmt.Sprintf(" with %d", r.Code)
	}
	if r.Error != "" {
		text += ": " + terminal.Excerpt(r.Error, dataShown)
	}
	return text
}

// Effects describes what an answer does, escaped, with at most most bytes of each message.
func Effects(a *answer.Reply, most int) (parts []string) {
	list := live.NewEffects(a, most)
	for i := range list {
		parts = append(parts, effects(&list[i], most)...)
	}
	return parts
}

// effects describes what a command does.
func effects(e *live.Effect, most int) (parts []string) {
	add := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	to := "→ "
	if len(e.To) > 0 {
		to += names(e.To)
		if len(e.Except) > 0 {
			to += " except " + names(e.Except)
		}
		to += " "
	}
	if len(e.Purge) > 0 {
		add("purges %s", names(e.Purge))
	}
	if e.User != nil {
		add("is user:%s", terminal.Excerpt(*e.User, nameShown))
	}
	if len(e.Join) > 0 {
		add("joins %s", names(e.Join))
	}
	if len(e.Leave) > 0 {
		add("leaves %s", names(e.Leave))
	}
	if e.State != nil {
		add("keeps %d bytes of state", *e.State)
	}
	if e.Expires != "" {
		add("expires %s", e.Expires)
	}
	switch {
	case e.Relay == nil:
	case *e.Relay == "":
		add("%sends the relay", strings.TrimPrefix(to, "→ "))
	default:
		add("relays to %s", terminal.Excerpt(*e.Relay, nameShown))
	}
	if e.Body != nil {
		add("%s%s", to, body(e.Body, most))
	}
	if e.Close != nil {
		add("%scloses with %s", strings.TrimPrefix(to, "→ "), closing(e.Close.Code, e.Close.Reason))
	}
	return parts
}

func names(list []string) string {
	var parts []string
	for _, name := range list {
		parts = append(parts, terminal.Excerpt(name, nameShown))
	}
	return strings.Join(parts, ", ")
}

// Data describes the content of a message, escaped, with at most most bytes of it.
func Data(b []byte, binary bool, most int) string {
	if binary {
		return fmt.Sprintf("%d bytes of binary", len(b))
	}
	return `"` + terminal.Excerpt(string(b), most) + `"`
}

// body describes a message, of which the content may not be there.
func body(b *live.Body, most int) string {
	switch {
	case b.Binary:
		return fmt.Sprintf("%d bytes of binary", b.Bytes)
	case b.Text == "" && b.Bytes > 0:
		return fmt.Sprintf("%d bytes", b.Bytes)
	}
	return `"` + terminal.Excerpt(b.Text, most) + `"`
}

func closing(code int, reason string) string {
	if reason == "" {
		return fmt.Sprint(code)
	}
	return fmt.Sprintf(`%d "%s"`, code, terminal.Excerpt(reason, nameShown))
}

func seconds(s float64) time.Duration { return time.Duration(s * float64(time.Second)) }

// lastPart returns the end of a connection's id, enough to tell a few apart.
func lastPart(id string) string {
	const most = 6
	return terminal.Escape(id[max(0, len(id)-most):])
}
