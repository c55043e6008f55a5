package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"wsfpm/gateway"
	"wsfpm/gateway/admin"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
)

// closeTime bounds closing the parts of a drained gateway.
const closeTime = 5 * time.Second

// serveCmd is wsfpm serve.
type serveCmd struct{ gatewaySettings }

// Help is shown by wsfpm serve --help.
func (serveCmd) Help() string {
	return `Without a file: wsfpm serve --listen 127.0.0.1:8080
--fpm unix:/run/php/php8.2-fpm.sock --script /srv/app/ws.php. The script then
answers handshakes on every path; with --web other requests are served from that
folder.

SIGTERM drains and exits 0, or 1 if connections had to be dropped; a second one
exits immediately. SIGHUP reloads the configuration.`
}

// Run starts the gateway, handles signals, and drains it.
func (c *serveCmd) Run() error {
	source := c.source()
	cfg, err := config.Load(source)
	if err != nil {
		return err
	}
	// By default Go exits on a write to a broken pipe on stdout or stderr. The
	// gateway must survive the reader of the log.
	signal.Ignore(unix.SIGPIPE)
	journal, err := openJournal(cfg.Log, os.Stderr)
	if err != nil {
		return err
	}
	defer journal.Close()
	defer zap.RedirectStdLog(journal.log)() // for libraries that use package log
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	s := &server{source: source, log: journal.log, level: journal.level, dropped: journal.lines.Dropped, failed: make(chan error, 1)}
	if err := s.start(cfg); err != nil {
		return err
	}
	stop := s.watchdog()
	defer stop()
	why := s.wait(signals)
	return errors.Join(why, s.drain(signals))
}

// server is a gateway with its listeners and bus.
type server struct {
	source  config.Source
	log     *zap.Logger
	level   zap.AtomicLevel
	files   files        // at the start
	dropped func() int64 // dropped log lines; may be nil

	bus     *bus.Bus
	gateway *gateway.Gateway
	clients []net.Listener // the listeners for clients
	public  *http.Server
	admin   *http.Server   // nil if off
	failed  chan error     // why a listener failed
	refused atomic.Bool    // the last reload failed
	serving sync.WaitGroup // the accepting goroutines
}

// start opens everything, the listeners for clients last: a process that fails to
// start must not replace the socket of a running one.
func (s *server) start(cfg *config.Config) error {
	s.files = countFiles()
	s.warn(cfg)
	ctx := context.Background()
	operators, err := openAdmin(ctx, cfg, s.log)
	if err != nil {
		return err
	}
	if err := s.assemble(ctx, cfg); err != nil {
		closeListeners(operators)
		return err
	}
	if s.clients, err = openListeners(ctx, cfg, s.log); err != nil {
		closeListeners(operators)
		return errors.Join(err, s.gateway.Close(ctx), s.bus.Close())
	}
	s.public = publicServer(cfg, s.gateway, s.log)
	if len(operators) > 0 {
		s.admin = adminServer(cfg, s)
		s.accept(s.admin, operators[0])
	}
	for _, l := range s.clients {
		s.accept(s.public, s.gateway.Listener(l))
	}
	s.log.Info("started", zap.String("node", s.gateway.Node()), zap.Strings("listen", addresses(s.clients)),
		zap.String("admin", cfg.Admin), zap.String("embedded_redis", s.bus.EmbeddedAddr()), zap.String("version", readVersion().version), zap.Int("pid", os.Getpid()))
	notify(ready)
	return nil
}

// openAdmin opens the admin listener, if one is configured.
func openAdmin(ctx context.Context, cfg *config.Config, log *zap.Logger) ([]net.Listener, error) {
	if cfg.Admin == "" {
		return nil, nil
	}
	open, err := openAddress(ctx, cfg.Admin, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("admin: listen on %s: %w", cfg.Admin, err)
	}
	return open, nil
}

// assemble creates the bus and the gateway.
func (s *server) assemble(ctx context.Context, cfg *config.Config) error {
	var err error
	if s.bus, err = bus.New(busConfig(cfg.Redis, s.log)); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	s.gateway, err = gateway.New(gateway.Options{Config: cfg, Bus: s.bus, Logger: s.log, Files: s.files.rest(cfg)})
	if err != nil {
		return errors.Join(err, s.bus.Close())
	}
	return nil
}

// busConfig converts the configuration of Redis for package bus.
func busConfig(cfg config.Redis, log *zap.Logger) bus.Config {
	relays := make([]bus.Relay, len(cfg.Relays))
	for i, r := range cfg.Relays {
		relays[i] = bus.Relay{Pattern: r.Pattern, To: r.To}
	}
	return bus.Config{
		URL:       cfg.URL,
		Listen:    cfg.Listen,
		Prefixes:  cfg.Prefix,
		Relays:    relays,
		PushLimit: int64(cfg.PushLimit),
		Confirm:   time.Duration(cfg.Confirm),
		Logger:    log,
	}
}

// readSlop is the number of bytes that net/http reads beyond MaxHeaderBytes.
const readSlop = 4 << 10

// unreadFactor times limits.handshake_headers is read before net/http refuses a
// request by itself. Below that the gateway refuses, logs and counts it.
const unreadFactor = 2

// keepAlive is how long a connection without an upgrade may wait for its next request.
const keepAlive = 75 * time.Second

// publicServer returns the server for clients. It speaks HTTP/1 only: an upgrade to
// HTTP/2 would bypass the checks of a proxy.
func publicServer(cfg *config.Config, g *gateway.Gateway, log *zap.Logger) *http.Server {
	server := &http.Server{
		Handler:           g,
		Protocols:         http1(),
		ReadHeaderTimeout: time.Duration(cfg.Limits.HandshakeTimeout),
		MaxHeaderBytes:    unreadFactor*int(cfg.Limits.HandshakeHeaders) - readSlop,
		IdleTimeout:       keepAlive,
		ErrorLog:          httpLog(log),
	}
	g.Attend(server)
	return server
}

// adminServer returns the server of the admin listener.
func adminServer(cfg *config.Config, s *server) *http.Server {
	sockets := &admin.Sockets{Most: s.files.admin()}
	return &http.Server{
		Handler: admin.New(admin.Options{
			Gateway:       reachable{s.gateway, s.clients},
			Bus:           s.bus.Stats,
			Token:         cfg.AdminToken,
			Private:       strings.HasPrefix(cfg.Admin, "unix:"),
			Hosts:         adminHosts(cfg),
			Sockets:       sockets,
			Version:       readVersion().version,
			Logger:        s.log,
			ConfigRefused: s.refused.Load,
			LogDropped:    s.dropped,
		}),
		Protocols:         http1(),
		ReadHeaderTimeout: time.Duration(cfg.Limits.HandshakeTimeout),
		IdleTimeout:       keepAlive,
		ConnState:         sockets.State,
		ErrorLog:          httpLog(s.log),
	}
}

// adminHosts returns the host names of the admin listener.
func adminHosts(cfg *config.Config) []string {
	host, _, err := net.SplitHostPort(cfg.Admin)
	if err != nil {
		return cfg.AdminHosts // a unix socket has no name
	}
	return append([]string{strings.ToLower(host)}, cfg.AdminHosts...)
}

// reachable is a gateway that is ready only while its sockets' paths lead to it.
type reachable struct {
	*gateway.Gateway
	clients []net.Listener
}

// Ready returns why clients or pushes cannot reach this process, or nil.
func (r reachable) Ready() error {
	if err := r.Gateway.Ready(); err != nil {
		return err
	}
	for _, l := range r.clients {
		if l, isUnix := l.(*unixListener); isUnix {
			if err := l.inPlace(); err != nil {
				return err
			}
		}
	}
	return nil
}

func http1() *http.Protocols {
	var p http.Protocols
	p.SetHTTP1(true)
	return &p
}

// accept serves one listener until the server is shut down.
func (s *server) accept(server *http.Server, l net.Listener) {
	s.serving.Go(func() {
		err := server.Serve(l)
		if errors.Is(err, http.ErrServerClosed) {
			return
		}
		select {
		case s.failed <- fmt.Errorf("listener %s ended: %w", l.Addr(), err):
		default: // one reason is enough
		}
	})
}

func addresses(open []net.Listener) []string {
	var names []string
	for _, l := range open {
		names = append(names, l.Addr().Network()+":"+l.Addr().String())
	}
	return names
}

// wait reloads on SIGHUP and returns on any other signal, or with an error if a
// listener failed.
func (s *server) wait(signals <-chan os.Signal) error {
	for {
		select {
		case err := <-s.failed:
			return err
		case sig := <-signals:
			if sig != unix.SIGHUP {
				s.log.Info("stopping", zap.Stringer("signal", sig))
				return nil
			}
			s.reload()
		}
	}
}

// reload reads the configuration again. If it is invalid nothing changes.
func (s *server) reload() {
	notify(reloading())
	defer notify(ready)
	cfg, restart, err := s.replaceConfig()
	s.refused.Store(err != nil)
	if err != nil {
		s.log.Error("reload failed; keeping previous configuration", zap.Error(err))
		return
	}
	if err := s.level.UnmarshalText([]byte(cfg.Log.Level)); err != nil {
		s.log.Error("log level is invalid", zap.Error(err))
	}
	s.warn(cfg)
	if len(restart) > 0 {
		s.log.Warn("changed keys need a restart to take effect", zap.Strings("keys", restart))
	}
	s.log.Info("reloaded configuration")
}

// replaceConfig applies the current configuration and returns the keys that need a
// restart.
func (s *server) replaceConfig() (cfg *config.Config, restart []string, err error) {
	if cfg, err = config.Load(s.source); err != nil {
		return nil, nil, err
	}
	restart, err = s.gateway.Reload(cfg)
	return cfg, restart, err
}

// warn logs the warnings about a configuration.
func (s *server) warn(cfg *config.Config) {
	for _, w := range append(cfg.Warnings(), wholeProject(cfg.Web)...) {
		s.log.Warn("configuration warning", zap.String("warning", w))
	}
	if w := s.files.tooFew(cfg); w != "" {
		s.log.Warn("fewer file descriptors than limits.connections: raise LimitNOFILE, or lower the limit",
			zap.String("warning", w), zap.Int("files", s.files.limit), zap.Int("connections", cfg.Limits.Connections))
	}
}

// drain shuts the gateway down; another SIGTERM or SIGINT aborts the wait.
func (s *server) drain(signals <-chan os.Signal) error {
	notify(stopping)
	drained := make(chan error, 1)
	go func() { drained <- s.end() }() // outlives drain only if the process exits
	return awaitEnd(drained, signals)
}

func awaitEnd(drained <-chan error, signals <-chan os.Signal) error {
	for {
		select {
		case err := <-drained:
			return err
		case sig := <-signals:
			if sig != unix.SIGHUP {
				return fmt.Errorf("drain aborted by %v", sig)
			}
		}
	}
}

// end closes everything in the order that disturbs clients least.
func (s *server) end() error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var closing sync.WaitGroup
	closing.Go(func() { _ = s.public.Shutdown(ctx) }) // closes the listeners, waits for handshakes
	givenUp := s.gateway.Drain(ctx)
	cancel()
	closing.Wait()
	_ = s.public.Close() // only pages of --web can be left

	late, done := context.WithTimeout(context.Background(), closeTime)
	defer done()
	err := errors.Join(s.gateway.Close(late), s.bus.Close())
	if s.admin != nil {
		_ = s.admin.Close() // last: /ready reports the drain until then
	}
	s.serving.Wait()
	if givenUp > 0 {
		err = errors.Join(fmt.Errorf("%d connections were dropped", givenUp), err)
	}
	s.log.Info("stopped", zap.Int("given_up", givenUp))
	return err
}
