package dev

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"wsfpm/cmd/wsfpm/terminal"
)

// shownInfo are the entries below a warning that a developer wants to see.
var shownInfo = map[string]bool{"handshake refused": true, "reloaded configuration": true}

// core is a [zapcore.Core] that prints a log for a developer.
type core struct {
	p      *Printer
	fields []zapcore.Field
}

// Log returns a logger that prints warnings, errors and refused handshakes, with PHP's error
// text on lines of its own.
func (p *Printer) Log() *zap.Logger { return zap.New(&core{p: p}) }

// Enabled reports whether entries of a level may be printed.
func (c *core) Enabled(level zapcore.Level) bool { return level >= zapcore.InfoLevel }

// With returns a core that adds fields to each entry.
func (c *core) With(fields []zapcore.Field) zapcore.Core {
	return &core{c.p, slices.Concat(c.fields, fields)}
}

// Check decides about an entry.
func (c *core) Check(e zapcore.Entry, to *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if e.Level >= zapcore.WarnLevel || c.Enabled(e.Level) && shownInfo[e.Message] {
		return to.AddCore(e, c)
	}
	return to
}

// Write prints an entry.
func (c *core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	values := zapcore.NewMapObjectEncoder()
	for _, field := range slices.Concat(c.fields, fields) {
		field.AddTo(values)
	}
	text := take(values.Fields, "php")
	causes := []string{"error", "reason", "warning"}
	if values.Fields["connection"] == nil { // it is a pool's
		causes = append(causes, "event")
	}
	for _, name := range causes { // the cause follows the message
		if v := take(values.Fields, name); v != "" && (text == "" || !strings.HasPrefix(v, "PHP reported")) {
			e.Message += ": " + v
		}
	}
	if id := take(values.Fields, "connection"); id != "" {
		values.Fields["connection"] = lastPart(id)
	}
	for _, name := range []string{"event", "outcome"} { // stand in the line of the event
		delete(values.Fields, name)
	}
	if text != "" {
		delete(values.Fields, "script") // PHP names it
	}
	parts := []string{terminal.Excerpt(e.Message, 10*dataShown)}
	for _, name := range slices.Sorted(maps.Keys(values.Fields)) {
		if v := take(values.Fields, name); v != "" {
			parts = append(parts, c.p.paint(faint, terminal.Escape(name)+"="+terminal.Excerpt(v, dataShown)))
		}
	}
	word, color := "error", red
	switch {
	case e.Level == zapcore.WarnLevel:
		word, color = "warning", yellow
	case e.Level < zapcore.WarnLevel:
		word, color = "", plain
	}
	var more []string
	if text != "" {
		more = terminal.Lines(strings.ReplaceAll(text, "PHP message: ", ""), mostLines)
	}
	c.p.line(color, word, strings.Join(parts, "  "), more...)
	return nil
}

// Sync does nothing: lines are written at once.
func (c *core) Sync() error { return nil }

// take removes a field, and returns it as text.
func take(fields map[string]any, name string) string {
	v, ok := fields[name]
	if !ok {
		return ""
	}
	delete(fields, name)
	if b, ok := v.([]byte); ok {
		return string(b)
	}
	return fmt.Sprint(v)
}
