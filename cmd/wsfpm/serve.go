package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/redis"
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
	if cfg.Log.Access {
		access := openAccessLog(os.Stdout)
		defer access.Close()
		s.observe = access.event
	}
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
	observe func(*gateway.Event)

	bus     *bus.Bus
	keys    *redis.Client // what is kept in Redis; nil: there is none
	durable *durable.Log  // nil: durable.keep is 0
	gateway *gateway.Gateway
	clients []net.Listener // the listeners for clients
	public  *http.Server
	admin   *http.Server   // nil if off
	control *http.Server   // nil if off
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
	operators, err := openOperators(ctx, cfg, s.log)
	if err != nil {
		return err
	}
	if err := s.assemble(ctx, cfg); err != nil {
		operators.close()
		return err
	}
	s.awaitLog(ctx)
	if s.clients, err = openListeners(ctx, cfg, s.log); err != nil {
		operators.close()
		return errors.Join(err, s.gateway.Close(ctx), s.disconnect())
	}
	s.public = publicServer(cfg, s.gateway, s.log)
	s.serveOperators(cfg, operators)
	for _, l := range s.clients {
		s.accept(s.public, s.gateway.Listener(l))
	}
	s.log.Info("started", zap.String("node", s.gateway.Node()), zap.Strings("listen", addresses(s.clients)),
		zap.String("admin", cfg.Admin), zap.String("embedded_redis", s.bus.EmbeddedAddr()), zap.String("version", readVersion().version), zap.Int("pid", os.Getpid()))
	notify(ready)
	return nil
}

// assemble creates the bus, the client of Redis, the log and the gateway.
func (s *server) assemble(ctx context.Context, cfg *config.Config) error {
	var err error
	if s.bus, err = bus.New(busConfig(cfg.Redis, s.log)); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	o := gateway.Options{Config: cfg, Bus: s.bus, Logger: s.log, Files: s.files.rest(cfg)}
	if url := s.keysURL(cfg.Redis); url != "" {
		if s.keys, err = redis.NewStore(url); err != nil {
			return errors.Join(fmt.Errorf("redis: %w", err), s.disconnect())
		}
		o.Once, o.Registry = redis.NewOnce(s.keys), s.keys
	}
	if s.durable = newLog(cfg, s.keys, s.log); s.durable != nil {
		o.Log = s.durable
	}
	if s.gateway, err = gateway.New(o); err != nil {
		return errors.Join(err, s.disconnect())
	}
	if s.observe != nil {
		s.gateway.Observe(s.observe)
	}
	return nil
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
	server := newServer(cfg, g, log)
	server.MaxHeaderBytes = unreadFactor*int(cfg.Limits.HandshakeHeaders) - readSlop
	g.Attend(server)
	return server
}

// newServer returns a server of HTTP/1, of clients or operators.
func newServer(cfg *config.Config, handler http.Handler, log *zap.Logger) *http.Server {
	server := &http.Server{
		Handler:           handler,
		Protocols:         new(http.Protocols),
		ReadHeaderTimeout: time.Duration(cfg.Limits.HandshakeTimeout),
		IdleTimeout:       keepAlive,
		ErrorLog:          httpLog(log),
	}
	server.Protocols.SetHTTP1(true)
	return server
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
	err := errors.Join(s.gateway.Close(late), s.disconnect())
	if s.admin != nil {
		_ = s.admin.Close() // last: /ready reports the drain until then
	}
	if s.control != nil {
		_ = s.control.Close()
	}
	s.serving.Wait()
	if givenUp > 0 {
		err = errors.Join(fmt.Errorf("%d connections were dropped", givenUp), err)
	}
	s.log.Info("stopped", zap.Int("given_up", givenUp))
	return err
}
