package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway"
	"wsfpm/gateway/recording"
	"wsfpm/session"
)

// replayCmd is wsfpm replay.
type replayCmd struct {
	File   string `arg:"" help:"A recording of wsfpm record; - reads standard input."`
	Script string `placeholder:"FILE" help:"The script to run, whatever the recording names; without it only scripts of the routes in --config run."`

	Cookie *string           `placeholder:"NAME=VALUE" help:"The Cookie header, which is not in the recording."`
	Query  *string           `placeholder:"NAME=VALUE" help:"The query, of which the recording has the names only."`
	State  string            `placeholder:"TEXT" help:"The state of each client at its first event, WS_STATE; later ones follow from the answers."`
	Param  map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"What PHP is told, such as HTTP_AUTHORIZATION=…; may be repeated."`

	trialSettings
	JSON bool `name:"json" help:"Print each event as JSON: verdict, differences, and how it ended now."`
}

// Help is shown by wsfpm replay --help.
func (replayCmd) Help() string {
	return `Runs the events of a recording again, one after the other, and shows what differs.
PHP really runs: what the script writes, sends or pays for happens again. So --fpm is
required: an address, or "new" for a PHP-FPM that is started for the replay. A recording
may name any file: what runs is --script, or a script of a route in --config. It
sees WS_REPLAY=1. The gateway's own effects are held back, as with wsfpm call.

Exit code: 0 all is as recorded, or mended; 1 an event fails or differs; 2 none has run;
130 Ctrl-C.`
}

// Run runs the recording.
func (c *replayCmd) Run() error {
	ctx, stop := untilSignal()
	defer stop()
	verdicts, err := c.run(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		return exit{exitNotRun, err}
	}
	if verdicts[recording.Fails]+verdicts[recording.Differs] > 0 {
		return exit{exitFailed, errors.New("")}
	}
	return nil
}

// run runs the recording and counts the verdicts. The error is why not all of it ran.
func (c *replayCmd) run(ctx context.Context) (verdicts map[recording.Verdict]int, err error) {
	if c.FPM == nil {
		return nil, errors.New(`--fpm is missing: the script runs again, with all that it does; name the PHP-FPM for that, or --fpm new starts one`)
	}
	file := os.Stdin
	if c.File != "-" {
		if file, err = os.Open(c.File); err != nil {
			return nil, err
		}
		defer file.Close()
	}
	events, err := recording.NewReader(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	first, err := events.Next()
	if err == io.EOF {
		return nil, fmt.Errorf("%s has no event", c.File)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.File, err)
	}
	if c.Script == "" && c.Config == "" {
		return nil, errors.New("which script may run? A recording may name any file: give --script FILE, or --config FILE for the scripts of its routes")
	}
	if c.Script != "" {
		if c.Script, err = filepath.Abs(c.Script); err != nil {
			return nil, err
		}
	}
	t, err := c.open(ctx, c.Script)
	defer func() { err = errors.Join(err, t.close()) }()
	if err != nil {
		return nil, err
	}
	p := &player{replayCmd: c, trial: t, events: events, verdicts: map[recording.Verdict]int{}, states: map[string]string{}, missing: map[string]bool{}}
	return p.verdicts, p.play(ctx, first)
}

// player runs the events of a recording.
type player struct {
	*replayCmd
	*trial
	events   *recording.Reader
	verdicts map[recording.Verdict]int
	left     int               // events without the content of their message
	untold   int               // events that ended before PHP was called
	states   map[string]string // of the connections, after their last event
	missing  map[string]bool   // parameters that were redacted and not given
}

// play runs all events.
func (p *player) play(ctx context.Context, first *recording.Entry) error {
	var err error
	for was := first; err == nil; was, err = p.events.Next() {
		if err := p.one(ctx, was); err != nil {
			return err
		}
	}
	if err != io.EOF {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(p.missing)) {
		fmt.Fprintf(os.Stderr, "not in the recording, and not given: %s\n", terminal.Escape(name))
	}
	if p.events.Dropped > 0 {
		fmt.Fprintf(os.Stderr, "%d events are missing in the recording\n", p.events.Dropped)
	}
	if p.left > 0 {
		fmt.Fprintf(os.Stderr, "%d messages were not run: their content was not recorded, which --bodies does\n", p.left)
	}
	if p.untold > 0 {
		fmt.Fprintf(os.Stderr, "not run, because they ended before PHP was called: %d\n", p.untold)
	}
	ran := 0
	for _, n := range p.verdicts {
		ran += n
	}
	if ran == 0 {
		return errors.New("no event has run")
	}
	if !p.JSON {
		v := p.verdicts
		fmt.Printf("%d events: %d same, %d mended, %d differ, %d fail\n", ran, v[recording.Same], v[recording.Mended], v[recording.Differs], v[recording.Fails])
	}
	return nil
}

// one runs one event and prints how it ended.
func (p *player) one(ctx context.Context, was *recording.Entry) error {
	data, known := was.Data.Content()
	switch {
	case len(was.Params) == 0:
		p.untold++
		return nil
	case !known:
		p.left++
		return nil
	}
	single, err := p.single(was)
	if err != nil {
		return err
	}
	single.Data, single.Binary = data, was.Data != nil && was.Data.Binary
	event, err := p.trial.Run(ctx, single)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if a := event.Reply; a != nil {
		if s := a.NewState(); s != nil {
			p.states[was.Connection] = *s
		}
	}
	is := recording.Of(event)
	is.Redact()
	if !p.events.Bodies {
		is.RemoveBodies()
	}
	verdict, differences := recording.Compare(was, is)
	p.verdicts[verdict]++
	return p.show(was, is, verdict, differences)
}

// single returns the event as PHP is told it now.
func (p *player) single(was *recording.Entry) (*gateway.Single, error) {
	params := p.params(was)
	if err := p.allow(params["SCRIPT_FILENAME"]); err != nil {
		return nil, err
	}
	target := &url.URL{Path: "/"}
	if named, err := url.ParseRequestURI(params["REQUEST_URI"]); err == nil {
		target = named
	}
	r := &http.Request{Method: http.MethodGet, URL: target, RequestURI: params["REQUEST_URI"], Host: params["HTTP_HOST"], Header: http.Header{}, RemoteAddr: "127.0.0.1:0"}
	s := &gateway.Single{
		Kind: was.Event, Handshake: r, Params: params, Protocol: params["WS_PROTOCOL"],
		Membership: session.Membership{User: params["WS_USER"], State: params["WS_STATE"]},
	}
	if names := params["WS_CHANNELS"]; names != "" {
		s.Membership.Channels = strings.Split(names, ",")
	}
	return s, nil
}

// allow returns an error for a script that the command line does not name, itself or by the
// routes of a configuration.
func (p *player) allow(script string) error {
	_, named := p.Param["SCRIPT_FILENAME"]
	if named || p.Script != "" || routeOf(p.cfg, script) != nil {
		return nil
	}
	return fmt.Errorf("the recording names %q, which is no script of a route in %s: it was not run; --script FILE runs that one for all events", terminal.Excerpt(script, mostDifference), p.Config)
}

// params returns what PHP is told: as recorded, with what was given in place of what was
// redacted.
func (p *player) params(was *recording.Entry) map[string]string {
	params := was.AllParams()
	for name, value := range params {
		if !strings.Contains(value, recording.Redacted) {
			continue
		}
		switch given := p.given(name, was.Connection); {
		case given != nil:
			params[name] = *given
		case name == "REQUEST_URI" && p.Query != nil:
			path, _, _ := strings.Cut(value, "?")
			params[name] = path + "?" + *p.Query
		case name == "REQUEST_URI":
		case name == "QUERY_STRING":
			p.missing["QUERY_STRING (--query)"] = true
		default:
			delete(params, name)
			p.miss(name)
		}
	}
	if p.Script != "" {
		params["SCRIPT_FILENAME"] = p.Script
	}
	maps.Copy(params, p.Param)
	params["WS_REPLAY"] = "1"
	return params
}

// given returns the value that was given for a redacted parameter, or nil.
func (p *player) given(name, connection string) *string {
	switch name {
	case "HTTP_COOKIE":
		return p.Cookie
	case "QUERY_STRING":
		return p.Query
	case "WS_STATE":
		state, known := p.states[connection]
		if !known {
			state = p.State
		}
		if state != "" {
			return &state
		}
	}
	return nil
}

// miss notes a parameter that PHP is not told.
func (p *player) miss(name string) {
	if _, named := p.Param[name]; named {
		return
	}
	for _, r := range p.cfg.Routes {
		if _, configured := r.Params[name]; configured {
			return
		}
	}
	flag := map[string]string{"HTTP_COOKIE": "--cookie", "WS_STATE": "--state"}[name]
	p.missing[name+" ("+cmp.Or(flag, "--param")+")"] = true
}

// mostDifference is how much of a value is printed, in bytes.
const mostDifference = 300

// show prints how an event ended.
func (p *player) show(was, is *recording.Entry, verdict recording.Verdict, differences []recording.Difference) error {
	if p.JSON {
		return printJSON(os.Stdout, struct {
			Verdict     recording.Verdict      `json:"verdict"`
			Differences []recording.Difference `json:"differences,omitempty"`
			Recorded    time.Time              `json:"recorded"` // when
			*recording.Entry
		}{verdict, differences, was.Time, is})
	}
	fmt.Printf("%s  %-10s  %-7s  %s\n", was.Time.Local().Format("15:04:05"), was.Event, verdict, terminal.Excerpt(was.User, mostDifference))
	switch verdict {
	case recording.Fails:
		fmt.Printf("  %s\n", terminal.Excerpt(is.Failure.Reason, mostDifference))
		return nil
	case recording.Mended:
		fmt.Printf("  recorded: %s\n", terminal.Excerpt(was.Failure.Reason, mostDifference))
		return nil
	}
	value := func(text string) string { return cmp.Or(terminal.Excerpt(text, mostDifference), "nothing") }
	for _, d := range differences {
		fmt.Printf("  %s: %s, recorded %s\n", terminal.Escape(d.What), value(d.Is), value(d.Was))
	}
	return nil
}
