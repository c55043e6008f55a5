package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/dev"
	"wsfpm/gateway/config"
)

const (
	devListen  = "127.0.0.1:8080" // unless it is taken
	devWorkers = 8                // of PHP-FPM
	devEvents  = 6                // of these, for events; the others run pages
	devLook    = time.Second      // between two looks at the project's configuration
)

// devCmd is wsfpm dev.
type devCmd struct {
	Folder string            `arg:"" optional:"" default:"." help:"The project."`
	Init   bool              `help:"Write a first ws.php with a page and a push script, then run it. No file is ever replaced."`
	Script string            `placeholder:"FILE" help:"PHP script that answers every path, instead of ws.php in FOLDER."`
	Config string            `short:"c" placeholder:"FILE" help:"Configuration file, instead of wsfpm.dev.toml in FOLDER, if there is one."`
	Listen *string           `placeholder:"ADDRESS" help:"listen: 127.0.0.1:8080 or, if that is taken, any free port. 0.0.0.0:8080 lets other machines in."`
	Hosts  []string          `name:"host" placeholder:"NAME" help:"Answer browsers under this host name too, besides localhost and addresses; may be repeated."`
	Redis  *string           `placeholder:"URL" help:"redis.url, instead of a server in this process."`
	PHPFPM string            `name:"php-fpm" placeholder:"FILE" help:"The program php-fpm, instead of the newest one on this machine."`
	Set    map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Any key with a single value, such as limits.burst=50; may be repeated."`
}

// Help is shown by wsfpm dev --help.
func (devCmd) Help() string {
	return `From a folder with a ws.php to a working socket: a PHP-FPM of its own, an
embedded Redis, the gateway, and the project's pages, all on a loopback port.
Events and PHP's errors are shown as they happen. Ctrl-C ends all of it.

Pages are served from public or web in FOLDER, if there is one, else from FOLDER:
then only PHP files and page assets. wsfpm.dev.toml may have any key of the
configuration; script and root in it may be relative to FOLDER. A change of it, and
of every PHP file, takes effect at once.`
}

// Run runs the project until a signal, or until the gateway or PHP-FPM fails.
func (c *devCmd) Run() (err error) {
	account, err := dev.SudoAccount(os.Getenv)
	if err != nil {
		return err
	}
	site, err := c.open(account)
	if err != nil {
		return err
	}
	program, err := dev.FindFPM(c.PHPFPM)
	if err != nil {
		return err
	}
	signal.Ignore(unix.SIGPIPE) // the reader of stdout may end first
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	dir, err := dev.TempDir(account)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err != nil {
		return err
	}
	lines := newLineWriter(os.Stdout, logBuffer, func(missing int64) []byte {
		return fmt.Appendf(nil, "… %d lines were dropped: the terminal is too slow\n", missing)
	})
	defer lines.Close(logFlush)
	fpm := dev.FPMOptions{Program: program, Dir: dir, Workers: devWorkers, Account: account}
	w := &workshop{site: site, signals: signals, fpm: fpm}
	w.print = dev.NewPrinter(lines, hasColor(os.Stdout))
	w.fpm.Print = w.print.FPM
	w.load = func() (config.Source, error) { return c.source(site, &fpm) }
	from, err := w.load()
	if err != nil {
		return err
	}
	return w.run(from)
}

// open finds the project, or makes it.
func (c *devCmd) open(account *dev.Account) (dev.Site, error) {
	if c.Init {
		written, err := dev.Init(c.Folder, account)
		for _, name := range written {
			fmt.Println("wrote " + name)
		}
		if err != nil {
			return dev.Site{}, err
		}
	}
	return dev.Open(c.Folder, c.Script)
}

// source returns the configuration's source. The script is used when the file has no route.
func (c *devCmd) source(site dev.Site, fpm *dev.FPMOptions) (config.Source, error) {
	from := config.Source{
		File: site.Config, Environ: os.Environ(), Flags: map[string]string{}, Web: site.Pages, WebHosts: c.Hosts,
		Defaults: map[string]string{
			"listen": devListen, "admin": "unix:" + filepath.Join(fpm.Dir, "admin.sock"), "control": "unix:" + filepath.Join(fpm.Dir, "control.sock"),
			"drain": "1s", "disconnect_retry": "2s", "limits.connections": "1000",
			"redis.url": "embedded", "redis.listen": "127.0.0.1:0",
			"fpm.default.max_connections": strconv.Itoa(devEvents), "fpm.default.max_idle": strconv.Itoa(devEvents),
		},
	}
	if fpm.Account != nil { // PHP may use the admin socket
		from.Defaults["listen_group"] = strconv.Itoa(fpm.Account.GID)
	}
	if c.Config != "" {
		from.File = c.Config
	}
	if from.File != "" {
		file, err := filepath.Abs(from.File)
		if err != nil {
			return from, err
		}
		from.Base = filepath.Dir(file)
	}
	maps.Copy(from.Flags, c.Set)
	set(from, "listen", c.Listen)
	set(from, "redis.url", c.Redis)
	from.Flags["fpm.default.address"] = fpm.Address()
	look := from
	look.NoRoutes = true
	cfg, err := config.Load(look)
	if err != nil {
		return from, err
	}
	if len(cfg.Routes) == 0 || c.Script != "" {
		if err := site.CheckScript(); err != nil {
			return from, err
		}
		from.Script = site.Script
	}
	return from, nil
}

// workshop is a project that runs.
type workshop struct {
	site    dev.Site
	load    func() (config.Source, error) // reads the project's configuration again
	fpm     dev.FPMOptions
	print   *dev.Printer
	signals chan os.Signal
	server  *server
	cfg     *config.Config // at the start
}

// run starts the gateway and PHP-FPM, waits, and ends both: PHP-FPM after the last events.
func (w *workshop) run(from config.Source) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	if err := w.start(from); err != nil {
		return err
	}
	if redis := w.server.bus.EmbeddedAddr(); redis != "" {
		w.fpm.Env = map[string]string{"WSFPM_REDIS_URL": "redis://" + redis}
	}
	fpm, err := dev.StartFPM(ctx, w.fpm)
	if err == nil {
		defer fpm.Stop()
		w.greet()
		err = w.wait(fpm)
	}
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // a signal during the start
	}
	return errors.Join(err, w.server.drain(w.signals))
}

// start starts the gateway, on another port if the usual one is taken.
func (w *workshop) start(from config.Source) error {
	for {
		cfg, err := config.Load(from)
		if err != nil {
			return err
		}
		w.server = &server{source: from, log: w.print.Log(), level: zap.NewAtomicLevel(), observe: w.print.Event, failed: make(chan error, 1)}
		w.cfg = cfg
		err = w.server.start(cfg)
		_, chosen := from.Flags["listen"]
		if !errors.Is(err, unix.EADDRINUSE) || chosen || !slices.Equal(cfg.Listen, []string{devListen}) {
			return err
		}
		from.Flags["listen"] = "127.0.0.1:0"
	}
}

// greet prints the addresses and what can be done there.
func (w *workshop) greet() {
	address := w.server.clients[0].Addr().String()
	if host, port, err := net.SplitHostPort(address); err == nil && net.ParseIP(host).IsUnspecified() {
		address = "localhost:" + port
	}
	cfg := w.cfg
	w.print.Say("\nThe page:      http://%s/    from %s", address, w.site.Pages)
	for _, route := range cfg.Routes {
		path := route.Path
		if path == config.AnyPath {
			path = "/"
		}
		w.print.Say("The socket:    ws://%s%s    runs %s", address, path, cmp.Or(route.Script, route.Root))
	}
	if redis := w.server.bus.EmbeddedAddr(); redis != "" {
		w.print.Say("Redis:         redis://%s    PUBLISH %sall 'Tea is ready'", redis, cfg.Redis.Prefix[0])
	}
	if cfg.Admin != "" {
		w.print.Say("From a shell:  %s push --admin %s all 'Tea is ready'", os.Args[0], cfg.Admin)
	}
	if cfg.Control != "" {
		w.print.Say("To look on:    %s tail --control %s --bodies", os.Args[0], cfg.Control)
	}
	w.print.Say("PHP-FPM:       %s %s", w.fpm.Program, dev.Version(w.fpm.Program))
	if a := w.fpm.Account; a != nil {
		w.print.Say("PHP runs as %s, who has called sudo.", a.Name)
	} else if os.Geteuid() == 0 {
		w.print.Say("Warning: PHP runs as root. Outside of a container, start wsfpm dev as yourself.")
	}
	w.print.Say("Changed PHP files take effect at once. Ctrl-C ends all of it.\n")
}

// wait returns nil after a signal, and an error if the gateway or PHP-FPM ends. It reloads
// the project's configuration when its file has changed.
func (w *workshop) wait(fpm *dev.FPM) error {
	look := time.NewTicker(devLook)
	defer look.Stop()
	file := w.server.source.File
	seen := stamp(file)
	for {
		select {
		case err := <-w.server.failed:
			return err
		case <-fpm.Done():
			return fpm.Err()
		case <-w.signals:
			return nil
		case <-look.C:
			if now := stamp(file); now != seen {
				seen = now
				w.reload()
			}
		}
	}
}

// reload applies the project's configuration again, with the address in use.
func (w *workshop) reload() {
	from, err := w.load()
	if err != nil {
		w.server.log.Error("reload failed; keeping previous configuration", zap.Error(err))
		return
	}
	if listen, moved := w.server.source.Flags["listen"]; moved {
		from.Flags["listen"] = listen
	}
	w.server.source = from
	w.server.reload()
}

// stamp is different after a change of a file. A missing file has one too.
func stamp(file string) string {
	if file == "" {
		return ""
	}
	info, err := os.Stat(file)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(info.ModTime().UnixNano(), " ", info.Size())
}
