package main

import (
	"context"
	"errors"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/doctor"
	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
)

// doctorCmd is wsfpm doctor.
type doctorCmd struct {
	URL     string            `arg:"" help:"The socket's URL as the page has it: wss://example.com/ws/chat."`
	Config  string            `short:"c" placeholder:"FILE" env:"WSFPM_CONFIG" help:"The gateway's configuration, on its machine: for the self-test and a look at the inside."`
	CA      string            `name:"ca" placeholder:"FILE" help:"Certificates of a private CA, in PEM form."`
	Connect map[string]string `mapsep:"none" placeholder:"PORT=HOST:PORT" help:"Dial this address for a port of the site, such as 443=10.0.0.5:443; may be repeated."`
	Proxy   string            `enum:",nginx,apache,haproxy,caddy" default:"" placeholder:"NAME" help:"Print the lines of this proxy: nginx, apache, haproxy or caddy."`
	Silence time.Duration     `placeholder:"TIME" help:"How long a silent socket must stay open. Default: three seconds more than ping_interval."`
	FPMPool []string          `name:"fpm-pool" sep:"none" placeholder:"FILE,..." help:"Compare with PHP-FPM's own configuration, as wsfpm check does: /etc/php/8.2/fpm."`
	Probe   string            `placeholder:"FILE" help:"The script that reports PHP's settings, as PHP-FPM sees it. Default: probe.php in /usr/share/wsfpm or /usr/local/share/wsfpm."`
	JSON    bool              `name:"json" help:"Print one JSON object."`
}

// Help is shown by wsfpm doctor --help.
func (doctorCmd) Help() string {
	return `Looks at a gateway through its proxies, as a browser does, and prints one line for
each check, with what to change. No script of the site runs for it.

With --config, as root on the gateway's machine, the gateway answers a socket itself, which
shows what PHP would be told.

Exit status: 0 all is well, 1 warnings, 2 faults, or a URL or file that is of no use.`
}

// Run prints the results.
func (c *doctorCmd) Run() error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	o := doctor.Options{URL: c.URL, CA: c.CA, Connect: c.Connect, Proxy: c.Proxy, Silence: c.Silence, Probe: c.Probe}
	if c.Config != "" {
		cfg, err := config.Load(config.Source{File: c.Config, Environ: os.Environ()})
		o.Config, o.Looks = cfg, c.looks(cfg, err)
		o.Ask = func(ctx context.Context, method, path string) (*http.Response, error) {
			return operator{address: cfg.Control}.ask(ctx, method, path, nil)
		}
	}
	results, err := doctor.Run(ctx, o)
	if err != nil {
		return exit{exitUsage, err}
	}
	show := doctor.Print
	if c.JSON {
		show = doctor.PrintJSON
	}
	if err := show(os.Stdout, results); err != nil {
		return err
	}
	if status := doctor.Exit(results); status > 0 {
		return exit{status, errors.New("")} // it is printed
	}
	return nil
}

// looks are the checks of wsfpm check.
func (c *doctorCmd) looks(cfg *config.Config, err error) []doctor.Look {
	if err != nil {
		return []doctor.Look{{Check: "configuration", Run: func(context.Context) (problems, warnings []string, cannot string) {
			return []string{err.Error()}, nil, ""
		}}}
	}
	return []doctor.Look{
		{Check: "configuration", Run: func(context.Context) (problems, warnings []string, cannot string) {
			return nil, slices.Concat(cfg.Warnings(), missingFiles(cfg)), ""
		}},
		{Check: "pool files", Run: func(context.Context) (problems, warnings []string, cannot string) {
			if len(c.FPMPool) == 0 {
				return nil, nil, "it needs PHP-FPM's own files: --fpm-pool /etc/php/8.2/fpm"
			}
			problems, warnings = comparePools(cfg, c.FPMPool, nil)
			return problems, warnings, ""
		}},
		{Check: "php-fpm", Run: func(context.Context) (problems, warnings []string, cannot string) {
			problems, warnings = dialPools(cfg)
			return problems, warnings, ""
		}},
		{Check: "redis", Run: func(context.Context) (problems, warnings []string, cannot string) {
			if url := cfg.Redis.URL; url == "" || url == redisurl.Embedded {
				return nil, nil, "there is no Redis of its own"
			}
			return slices.Concat(dialRedis(cfg.Redis), tryOnce(cfg), tryRegistry(cfg)), lookAtLog(cfg), ""
		}},
	}
}
