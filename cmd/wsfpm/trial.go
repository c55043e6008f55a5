package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/dev"
	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
)

// Exit codes of call and replay, besides 0 and those of a wrong command line.
const (
	exitNotRun  = 2   // no event has run
	exitRefused = 3   // the connect script refused the client
	exitSignal  = 128 // and the number of the signal that ended the command
)

// exit is an error with an exit code of its own. The text may be empty: all has been said.
type exit struct {
	code int
	error
}

// untilSignal returns a context that a signal ends. Its cause is then an [exit] without text,
// with the exit code that shells have for a program which a signal ended: 130 for Ctrl-C.
func untilSignal() (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	go func() { // ends with ctx
		select {
		case s := <-signals:
			cancel(exit{exitSignal + int(s.(unix.Signal)), errors.New("")})
		case <-ctx.Done():
		}
	}()
	return ctx, func() { signal.Stop(signals); cancel(nil) }
}

// trialSettings are the flags that say which PHP-FPM runs events, and by which route.
type trialSettings struct {
	Config string            `short:"c" placeholder:"FILE" env:"WSFPM_CONFIG" help:"Configuration file: its route, with its parameters, limits and PHP-FPM."`
	FPM    *string           `name:"fpm" placeholder:"ADDRESS" help:"PHP-FPM, such as unix:/run/php/php8.2-fpm.sock or tcp:127.0.0.1:9000; new starts one."`
	PHPFPM string            `name:"php-fpm" placeholder:"FILE" help:"The program php-fpm to start, instead of the newest one on this machine."`
	Set    map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Any key with a single value, such as fpm.default.queue_wait=1s; may be repeated."`
}

// trial runs single events.
type trial struct {
	*gateway.Gateway
	cfg   *config.Config
	print *dev.Printer
	ends  []func() error
}

// open starts a gateway without clients and, unless there is one, a PHP-FPM. The caller
// closes it, also after an error.
func (s *trialSettings) open(ctx context.Context, script string) (*trial, error) {
	t := &trial{print: dev.NewPrinter(os.Stderr, hasColor(os.Stderr))}
	from := config.Source{File: s.Config, Environ: os.Environ(), Flags: map[string]string{}}
	maps.Copy(from.Flags, s.Set)
	if s.Config == "" {
		from.Script = script
	} else if file, err := filepath.Abs(s.Config); err == nil {
		from.Base = filepath.Dir(file) // wsfpm.dev.toml may have relative paths
	}
	own := s.FPM != nil || s.Config == "" // not the configuration's
	switch {
	case s.FPM != nil && *s.FPM != "new":
		from.Flags["fpm.default.address"] = *s.FPM
	case own:
		address, err := t.startFPM(ctx, s.PHPFPM)
		if err != nil {
			return t, err
		}
		from.Flags["fpm.default.address"] = address
	}
	var err error
	if t.cfg, err = config.Load(from); err != nil {
		return t, err
	}
	for _, r := range t.cfg.Routes {
		if own {
			r.FPM, r.Spares = config.DefaultPool, nil
		}
	}
	t.cfg.Presence, t.cfg.Node = config.Presence{}, "call"
	return t, t.start(ctx)
}

// startFPM starts a PHP-FPM of its own, as wsfpm dev does.
func (t *trial) startFPM(ctx context.Context, named string) (address string, err error) {
	account, err := dev.SudoAccount(os.Getenv)
	if err != nil {
		return "", err
	}
	program, err := dev.FindFPM(named)
	if err != nil {
		return "", err
	}
	dir, err := dev.TempDir(account)
	t.ends = append(t.ends, func() error { return os.RemoveAll(dir) })
	if err != nil {
		return "", err
	}
	o := dev.FPMOptions{Program: program, Dir: dir, Workers: 2, Account: account, Print: t.print.FPM}
	fpm, err := dev.StartFPM(ctx, o)
	if err != nil {
		return "", err
	}
	t.ends = append(t.ends, func() error { fpm.Stop(); return nil })
	return o.Address(), nil
}

// start starts the gateway. Its end waits for a script that runs, unless ctx has ended.
func (t *trial) start(ctx context.Context) error {
	b, err := bus.New(bus.Config{})
	if err != nil {
		return err
	}
	t.ends = append(t.ends, b.Close)
	g, err := gateway.New(gateway.Options{Config: t.cfg, Bus: b, Logger: t.print.Log()})
	if err != nil {
		return err
	}
	t.Gateway = g
	t.ends = append(t.ends, func() error { return g.Close(ctx) })
	return nil
}

// close ends what open has started, in reverse order.
func (t *trial) close() (err error) {
	for i := len(t.ends) - 1; i >= 0; i-- {
		err = errors.Join(err, t.ends[i]())
	}
	return err
}

// handshake returns the request of a client for a script. Without a path it is that of the
// first route that leads to the script.
func (t *trial) handshake(script, urlPath, query string) (*http.Request, error) {
	host := "localhost"
	if urlPath != "" && (urlPath[0] != '/' || strings.Contains(urlPath, "?")) {
		return nil, fmt.Errorf("--path %s: want a path such as /ws/chat; --query has the query", terminal.Escape(urlPath))
	}
	if urlPath == "" {
		route := routeOf(t.cfg, script)
		if route == nil {
			return nil, fmt.Errorf("no route of the configuration leads to %s: name a script of a route, or give --path", script)
		}
		urlPath = pathOf(route, script)
		if len(route.Host) > 0 {
			host = route.Host[0]
		}
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+host+(&url.URL{Path: urlPath}).EscapedPath(), nil)
	if err != nil {
		return nil, fmt.Errorf("--path: %w", err)
	}
	r.URL.RawQuery = query
	r.RequestURI = r.URL.RequestURI()
	r.RemoteAddr = "127.0.0.1:0"
	return r, nil
}

// routeOf returns the route that leads to a script, nil if there is none.
func routeOf(cfg *config.Config, script string) *config.Route {
	for _, r := range cfg.Routes {
		if r.Script != "" && same(r.Script, script) || r.Root != "" && filepath.Ext(script) == ".php" && same(r.Root, filepath.Dir(script)) {
			return r
		}
	}
	return nil
}

// pathOf returns the path by which a route leads to a script.
func pathOf(r *config.Route, script string) string {
	if r.Path == config.AnyPath {
		return "/"
	}
	return strings.Replace(r.Path, config.ScriptVar, strings.TrimSuffix(filepath.Base(script), ".php"), 1)
}

// same reports whether two paths are the same file, or would be if there was one.
func same(a, b string) bool {
	if path.Clean(a) == path.Clean(b) {
		return true
	}
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}
