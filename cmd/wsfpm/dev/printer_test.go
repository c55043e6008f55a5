package dev

import (
	"errors"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway"
	"wsfpm/gateway/answer"
)

// printed returns what a printer writes.
func printed(color bool, use func(*Printer)) string {
	var b strings.Builder
	p := NewPrinter(&b, color)
	p.now = func() time.Time { return time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC) }
	use(p)
	return b.String()
}

// reply is the answer of a script.
func reply(t *testing.T, body string, headers ...string) *answer.Reply {
	t.Helper()
	var fields fcgi.Header
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		fields = append(fields, fcgi.Field{Name: name, Value: value})
	}
	h, err := answer.ParseHead(200, fields)
	if err != nil {
		t.Fatal(err)
	}
	a, err := answer.Parse(h, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &a
}

func TestEventsArePrintedALineEach(t *testing.T) {
	const id = "host-abc123-0123456789abcdefghijklmnop"
	for _, c := range []struct {
		e    gateway.Event
		want string
	}{
		{gateway.Event{Kind: "connect", Outcome: "ok", Took: 12 * time.Millisecond, Reply: reply(t, "welcome", "WS-User: 42", "WS-Join: a, b", "WS-State: xyz")},
			"connect     klmnop    12 ms  is user:42  joins a, b  keeps 3 bytes of state  → \"welcome\""},
		{gateway.Event{Kind: "message", Outcome: "ok", User: "42", Data: []byte("hi"), Reply: reply(t, "x", "WS-Publish: channel:a; except=self", "WS-Leave: b", "WS-Close: 4001 out")},
			"message     klmnop     0 ms  user:42  \"hi\"  leaves b  closes with 4001 \"out\"  → channel:a except self \"x\""},
		{gateway.Event{Kind: "message", Outcome: "ok", Data: []byte("hi"), Reply: reply(t, "", "WS-Expires: 4102444800")},
			"message     klmnop     0 ms  \"hi\"  expires 4102444800"},
		{gateway.Event{Kind: "message", Outcome: "ok", Binary: true, Data: []byte{1, 2}, Streamed: true},
			"message     klmnop     0 ms  2 bytes of binary  → a stream"},
		{gateway.Event{Kind: "message", Outcome: "timeout", Data: []byte("slow")},
			"message     klmnop     0 ms  \"slow\"  failed: timeout"},
		{gateway.Event{Kind: "connect", Outcome: "refused"},
			"connect     klmnop     0 ms  refused"},
		{gateway.Event{Kind: "disconnect", Outcome: "ok", User: "\x1b[2J", Code: 1000, Reason: "\u202ebye\n", Lasted: 1234 * time.Millisecond, Reply: reply(t, "")},
			`disconnect  klmnop     0 ms  user:\x1b[2J  1000 "\u202ebye\n"  after 1.2s`},
	} {
		c.e.Connection = id
		if got := printed(false, func(p *Printer) { p.Event(&c.e) }); got != "03:04:05  "+c.want+"\n" {
			t.Errorf("got  %q,\nwant %q", got, "03:04:05  "+c.want+"\n")
		}
	}
}

func TestLongDataIsCut(t *testing.T) {
	e := gateway.Event{Kind: "message", Outcome: "ok", Data: []byte(strings.Repeat("é", 1<<16)), User: strings.Repeat("u", 1000)}
	if got := printed(false, func(p *Printer) { p.Event(&e) }); len(got) > 2*dataShown+2*nameShown || strings.ContainsRune(got, '\uFFFD') {
		t.Errorf("got %d bytes: %q", len(got), got)
	}
}

func TestColoursComeFromUsAlone(t *testing.T) {
	e := gateway.Event{Kind: "message", Outcome: "answer", Data: []byte("\x1b[31m")}
	got := printed(true, func(p *Printer) {
		p.Event(&e)
		p.FPM("\x1b]0;x\a")
		p.Say("from %s", "/tmp/\x1b[31m")
		p.Log().Error("event failed", zap.String("php", "one\x1b[1m\ntwo"))
	})
	if n := strings.Count(got, "\x1b"); n%2 != 0 || n != 2*strings.Count(got, "\x1b[0m") || strings.Contains(got, "\a") {
		t.Errorf("an escape sequence of other parties is in %q", got)
	}
}

func TestTheLogIsPrintedForDevelopers(t *testing.T) {
	for _, c := range []struct {
		log  func(*zap.Logger)
		want string
	}{
		{func(l *zap.Logger) {
			l.With(zap.String("connection", "a-b-cdefghij"), zap.String("script", "/x.php")).Error("event failed", zap.String("event", "message"),
				zap.Error(errors.New("PHP reported \"x\"")), zap.String("php", "PHP message: PHP Fatal error:  x in /x.php:3\nStack trace:\n"))
		}, "03:04:05  error       event failed  connection=efghij\n" +
			"                      PHP Fatal error:  x in /x.php:3\n                      Stack trace:\n"},
		{func(l *zap.Logger) {
			l.Warn("push was lost", zap.Int("commands", 2), zap.Error(errors.New("no\x1bway")))
		},
			"03:04:05  warning     push was lost: no\\x1bway  commands=2\n"},
		{func(l *zap.Logger) {
			l.Warn("pool event", zap.String("fpm", "default"), zap.String("event", "cannot be reached"))
		},
			"03:04:05  warning     pool event: cannot be reached  fpm=default\n"},
		{func(l *zap.Logger) { l.Info("handshake refused", zap.Int("status", 401), zap.String("reason", "no")) },
			"03:04:05              handshake refused: no  status=401\n"},
		{func(l *zap.Logger) { l.Info("started"); l.Debug("handshake refused") }, ""},
	} {
		if got := printed(false, func(p *Printer) { c.log(p.Log()) }); got != c.want {
			t.Errorf("got  %q,\nwant %q", got, c.want)
		}
	}
}
