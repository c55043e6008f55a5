package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"wsfpm/cmd/wsfpm/dev"
	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway"
	"wsfpm/gateway/recording"
	"wsfpm/session"
)

// mostShown is how much of a message call prints, in bytes; --json prints all.
const mostShown = 4 << 10

// callCmd is wsfpm call.
type callCmd struct {
	Script string `arg:"" help:"The script, such as ws.php."`
	Event  string `arg:"" enum:"connect,message,disconnect" help:"connect, message or disconnect."`

	Data   *string `placeholder:"TEXT" help:"The message; - reads standard input."`
	File   string  `placeholder:"FILE" help:"A file as the message."`
	Binary bool    `help:"The message is binary, not text."`

	User  string   `placeholder:"NAME" help:"The client's user, WS_USER."`
	Join  []string `placeholder:"CHANNEL,…" help:"The client's channels, WS_CHANNELS."`
	State string   `placeholder:"TEXT" help:"The client's state, WS_STATE."`

	Path     string   `placeholder:"PATH" help:"Path of the handshake, such as /ws/chat; the route's by default."`
	Cookie   string   `placeholder:"NAME=VALUE" help:"The handshake's Cookie header."`
	Query    string   `placeholder:"NAME=VALUE" help:"The handshake's query, raw."`
	Header   []string `sep:"none" placeholder:"'NAME: VALUE'" help:"A header of the handshake; may be repeated."`
	Protocol []string `placeholder:"NAME,…" help:"connect: the subprotocols that the client offers; else the agreed one."`

	Code   int           `default:"1000" placeholder:"CODE" help:"disconnect: the close code."`
	Reason string        `placeholder:"TEXT" help:"disconnect: the close reason."`
	After  time.Duration `placeholder:"TIME" help:"disconnect: how long the connection lasted, such as 5m."`

	trialSettings
	Verbose bool `short:"v" help:"Print what PHP is told first."`
	JSON    bool `name:"json" help:"Print the event as JSON, see docs/contract.md."`
}

// Help is shown by wsfpm call --help.
func (callCmd) Help() string {
	return `PHP really runs; only the gateway's effects are held back: no message is sent, no
channel joined, nothing stored. What the script itself writes, sends or pays for
happens.

Without --fpm and --config a PHP-FPM is started for the call, as wsfpm dev does.
Exit code: 0 answered; 1 the script failed, as it would be logged; 2 it did not run;
3 it refused the client (connect); 130 Ctrl-C.`
}

// Run runs the event and prints what the gateway would do with its answer.
func (c *callCmd) Run() error {
	ctx, stop := untilSignal()
	defer stop()
	e, err := c.run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return exit{exitNotRun, err}
	}
	return verdict(e)
}

// run runs and prints the event. The error is why it did not run.
func (c *callCmd) run(ctx context.Context) (e *gateway.Event, err error) {
	single, err := c.single(os.Stdin)
	if err != nil {
		return nil, err
	}
	script, err := filepath.Abs(c.Script)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(script); err != nil && c.FPM == nil && c.Config == "" {
		return nil, fmt.Errorf("there is no script %s", script)
	}
	t, err := c.open(ctx, script)
	defer func() { err = errors.Join(err, t.close()) }()
	if err != nil {
		return nil, err
	}
	if single.Handshake, err = t.handshake(script, c.Path, c.Query); err != nil {
		return nil, err
	}
	if err := c.headers(single.Handshake); err != nil {
		return nil, err
	}
	single.Allow = func(found string) error {
		if same(found, script) {
			return nil
		}
		return fmt.Errorf("the path %s leads to %s, not to %s", terminal.Escape(single.Handshake.URL.Path), terminal.Escape(found), terminal.Escape(script))
	}
	if e, err = t.Run(ctx, single); err != nil || ctx.Err() != nil {
		return nil, err
	}
	if c.JSON {
		return e, printJSON(os.Stdout, recording.Of(e))
	}
	if c.Verbose {
		printTold(os.Stdout, e)
	}
	printEffects(os.Stdout, e)
	return e, nil
}

// verdict returns the exit code for an event.
func verdict(e *gateway.Event) error {
	switch {
	case e.Failure == nil:
		return nil
	case e.Failure.Meant && e.Failure.Status < http.StatusInternalServerError:
		return exit{exitRefused, errors.New("")}
	case e.Outcome == "unavailable" || e.Outcome == "overloaded": // PHP-FPM has not taken it
		return exit{exitNotRun, errors.New("")}
	}
	return exit{exitFailed, errors.New("")}
}

// single returns the event without its handshake.
func (c *callCmd) single(stdin io.Reader) (*gateway.Single, error) {
	for _, name := range c.Join {
		if err := session.CheckName(name); err != nil {
			return nil, fmt.Errorf("--join: %w", err)
		}
	}
	if c.User != "" {
		if err := session.CheckName(c.User); err != nil {
			return nil, fmt.Errorf("--user: %w", err)
		}
	}
	if len(c.State) > session.MaxState {
		return nil, fmt.Errorf("--state has %d bytes, at most %d are allowed", len(c.State), session.MaxState)
	}
	if c.Code < 1000 || c.Code > 4999 {
		return nil, fmt.Errorf("--code %d: a close code has 1000 to 4999", c.Code)
	}
	data, err := c.message(stdin)
	if err != nil {
		return nil, err
	}
	s := &gateway.Single{
		Kind: c.Event, Data: data, Binary: c.Binary, Code: c.Code, Reason: c.Reason, Lasted: c.After,
		Membership: session.Membership{User: c.User, Channels: c.Join, State: c.State},
	}
	if c.Event != "connect" && len(c.Protocol) > 0 {
		s.Protocol = c.Protocol[0]
	}
	return s, nil
}

// message returns the content of the message.
func (c *callCmd) message(stdin io.Reader) (data []byte, err error) {
	given := c.Data != nil || c.File != ""
	switch {
	case c.Event != "message" && (given || c.Binary):
		return nil, fmt.Errorf("--data, --file and --binary belong to a message, and a %s has none", c.Event)
	case c.Event != "message":
		return nil, nil
	case !given:
		return nil, errors.New("a message needs --data TEXT or --file FILE")
	case c.Data != nil && c.File != "":
		return nil, errors.New("--data and --file: want one of them")
	case c.File != "":
		if data, err = os.ReadFile(c.File); err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
	case *c.Data == "-":
		if data, err = readAll(stdin); err != nil {
			return nil, err
		}
	default:
		data = []byte(*c.Data)
	}
	if !c.Binary && !utf8.Valid(data) {
		return nil, errors.New("the message is not UTF-8, which a text message must be: give --binary")
	}
	return data, nil
}

// headers adds the headers of the handshake.
func (c *callCmd) headers(r *http.Request) error {
	to := r.Header
	for _, line := range c.Header {
		name, value, found := strings.Cut(line, ":")
		if !found || name == "" {
			return fmt.Errorf(`--header %q: want "Name: value"`, terminal.Excerpt(line, 60))
		}
		if value = strings.TrimSpace(value); strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		to.Add(name, value)
	}
	if c.Cookie != "" {
		to.Set("Cookie", c.Cookie)
	}
	if c.Event == "connect" && len(c.Protocol) > 0 {
		to.Set("Sec-WebSocket-Protocol", strings.Join(c.Protocol, ", "))
	}
	return nil
}

// printJSON prints a value on one line.
func printJSON(to io.Writer, v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	_, err = to.Write(append(terminal.JSON(line), '\n'))
	return err
}

// printTold prints what PHP is told.
func printTold(to io.Writer, e *gateway.Event) {
	params := e.Params()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		fmt.Fprintf(to, "%s=%s\n", terminal.Escape(name), terminal.Escape(params[name]))
	}
	if e.Kind == "message" {
		fmt.Fprintf(to, "php://input: %s\n", dev.Data(e.Data, e.Binary, mostShown))
	}
	fmt.Fprintln(to)
}

// printEffects prints what the gateway would do, a line each.
func printEffects(to io.Writer, e *gateway.Event) {
	line := func(format string, args ...any) { fmt.Fprintf(to, format+"\n", args...) }
	took := e.Took.Round(time.Millisecond / 10)
	if f := e.Failure; f != nil {
		if f.Meant {
			line("%s: refused with %d, in %v", e.Kind, f.Status, took)
		} else {
			line("%s: failed (%s), in %v", e.Kind, e.Outcome, took)
		}
		printFailure(line, e)
		return
	}
	line("%s: answered with %d, in %v", e.Kind, e.Reply.Head.Status, took)
	effects := dev.Effects(e.Reply, mostShown)
	if p := e.Reply.Head.Protocol; p != "" {
		effects = append(effects, "agrees on the subprotocol "+terminal.Excerpt(p, mostShown))
	}
	if n := len(e.Reply.Head.Cookies); n > 0 {
		effects = append(effects, fmt.Sprintf("keeps %d cookie%s for the next events", n, plural(int64(n), "s")))
	}
	if e.Reply.Oddity != "" {
		effects = append(effects, "odd: "+terminal.Escape(e.Reply.Oddity))
	}
	if len(effects) == 0 {
		effects = append(effects, "does nothing more")
	}
	for _, effect := range effects {
		line("  %s", effect)
	}
}

// printFailure prints what follows from a failure for the client.
func printFailure(line func(string, ...any), e *gateway.Event) {
	f := e.Failure
	switch {
	case f.Status != 0:
		line("  the handshake is answered with %d and %s", f.Status, dev.Data(f.Body, !utf8.Valid(f.Body), mostShown))
		return
	case e.Kind == "disconnect":
		return
	case f.Text != "":
		line("  the client is sent %s", dev.Data([]byte(f.Text), false, mostShown))
	default:
		line("  the client is sent nothing")
	}
	if f.Close != nil {
		line("  and is closed with %d", f.Close.Code)
	}
}
