package gateway

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/members"
	"wsfpm/gateway/once"
	"wsfpm/gateway/registry"
	"wsfpm/gateway/ws"
	"wsfpm/session"
)

// Bus carries commands between processes; package bus implements it.
type Bus interface {
	members.Bus
	// Publish sends a command to every process, including this one.
	Publish(ctx context.Context, c session.Command) error
	// Listen passes the commands that this process receives to deliver, in order. Deliver
	// does not block: if there is no room it returns a function that waits for it.
	Listen(deliver func(c *session.Command) (wait func(context.Context) error))
	// Ready returns why pushes do not arrive, or nil.
	Ready() error
}

// Options configures a Gateway.
type Options struct {
	// Config has been loaded and checked by package config.
	Config *config.Config
	// Bus is closed by the caller, after [Gateway.Drain].
	Bus Bus
	// Log is the log of durable messages; nil: there is none. It is closed by the caller.
	Log Log
	// Once keeps the ids of messages that run once, for all processes; nil: none does.
	Once once.Store
	// Registry keeps the records of the connections of all processes; nil: there are none.
	Registry registry.Store
	// Logger may be nil.
	Logger *zap.Logger
	// Files is the number of file descriptors for clients and PHP-FPM together; 0:
	// unlimited. Further clients are refused.
	Files int
}

// Gateway holds the clients' connections and calls PHP for their events. It is an
// [http.Handler] for the public listeners.
type Gateway struct {
	log       *zap.Logger
	observers observers
	bus       Bus
	hub       *session.Hub
	sockets   *ws.Shared
	node      string // name and six random characters, new at each start; see Node
	web       http.Handler
	started   *config.Config   // to find the keys that need a restart
	durable   Log              // nil: there is none
	missing   *session.Message // see gapMessage
	files     int              // see Options
	admission admission
	accepted  accepted
	selftests selftests
	stats     stats
	members   *members.List
	fanout    fanout
	handoff   handoff
	once      onceLog
	guard     *once.Guard        // nil: no message runs once
	registry  *registry.Registry // nil: there is none

	reload    sync.Mutex // held while settings are replaced
	settings  atomic.Pointer[settings]
	behind    chan struct{}    // capacity one: relayed frames were lost, see resync
	resettled chan struct{}    // capacity one: settings were replaced
	pools     map[string]*pool // guarded by reload

	mu       sync.Mutex           // guards what follows
	live     map[*connection]bool // true: upgraded
	draining bool

	running sync.WaitGroup // connections, until their disconnect event is over
	loops   sync.WaitGroup // goroutines of the gateway itself
	stop    chan struct{}  // closed to end them
}

// New starts a gateway. [Gateway.Drain] and [Gateway.Close] end it.
func New(o Options) (*Gateway, error) {
	o.Logger = cmp.Or(o.Logger, zap.NewNop())
	cfg := o.Config
	g := &Gateway{
		log:       o.Logger,
		bus:       o.Bus,
		hub:       session.NewHub(),
		sockets:   ws.NewShared(int64(cfg.Limits.InboundMemory)),
		started:   cfg,
		durable:   o.Log,
		missing:   envelope.Missing(),
		files:     o.Files,
		node:      newNode(cfg.Node),
		live:      make(map[*connection]bool),
		behind:    make(chan struct{}, 1),
		resettled: make(chan struct{}, 1),
		stop:      make(chan struct{}),
		handoff:   handoff{work: make(chan struct{}, 1)},
	}
	g.sockets.Outgoing.Resize(int64(cfg.Limits.OutboundMemory))
	if o.Log != nil {
		g.hub.SetWindow(o.Log)
	}
	next, err := g.installLocked(cfg)
	if err != nil {
		return nil, err
	}
	g.accepted.websockets = g.sockets.Stats.Sockets.Load
	g.accepted.bound(cfg.Sockets(g.files))
	if cfg.Web != "" {
		f := cfg.FPM[next.routes[0].FPM]
		g.web = fcgi.WebHandler(f.Network, f.Addr, cfg.Web, g.logPage)
	}
	g.loops.Go(g.sweep)
	g.loops.Go(g.resync)
	g.loops.Go(g.releaseMemory)
	g.loops.Go(func() { g.handoff.run(g.stop) })
	g.members = members.New(g.hub, g.bus, func() { g.stats.joinsUnconfirmed.Add(1) })
	g.fanout = newFanout(g)
	g.guard = newGuard(g, o.Once)
	if g.registry = newRegistry(g, cfg, o.Registry); g.registry != nil {
		g.members.Changed = g.changed
	}
	g.bus.Listen(g.fanout.deliver)
	if g.durable != nil {
		g.durable.Listen(g.fanout.Fanout)
	}
	return g, nil
}

// Reload applies a new configuration: pools, timeouts and limits to all connections, routes
// and origins to new ones. Restart lists the changed keys that need a restart.
func (g *Gateway) Reload(cfg *config.Config) (restart []string, err error) {
	g.reload.Lock()
	defer g.reload.Unlock()
	next, err := g.installLocked(cfg)
	if err != nil {
		return nil, err
	}
	g.sockets.Memory.Resize(int64(cfg.Limits.InboundMemory))
	g.sockets.Outgoing.Resize(int64(cfg.Limits.OutboundMemory))
	g.accepted.bound(cfg.Sockets(g.files))
	g.spreadLimits(next)
	if g.registry != nil {
		g.registry.SetPresence(presenceOf(cfg))
	}
	g.letGoLocked()
	select {
	case g.resettled <- struct{}{}:
	default: // sweep has not handled the previous reload yet
	}
	return append(needRestart(g.started, cfg), changedRegistry(g.started, cfg)...), nil
}

// spreadLimits sets the limits of the current settings on every connection. One that enters
// meanwhile sets them itself.
func (g *Gateway) spreadLimits(s *settings) {
	of := make(map[*route]*ws.Limits)
	for _, c := range g.connections() {
		l := of[c.rt]
		if l == nil {
			l = s.limitsOf(c.rt)
			of[c.rt] = l
		}
		c.socket.SetLimits(l)
	}
}

// needRestart returns the keys that are read at the start only and have changed.
func needRestart(old, next *config.Config) (keys []string) {
	for _, each := range []struct {
		key       string
		old, next any
	}{
		{"node", old.Node, next.Node},
		{"listen", old.Listen, next.Listen},
		{"listen_mode", old.ListenMode, next.ListenMode},
		{"listen_group", old.ListenGroup, next.ListenGroup},
		{"log.format", old.Log.Format, next.Log.Format},
		{"log.access", old.Log.Access, next.Log.Access},
		{"admin", old.Admin, next.Admin},
		{"admin_token", old.AdminToken, next.AdminToken},
		{"admin_hosts", old.AdminHosts, next.AdminHosts},
		{"control", old.Control, next.Control},
		{"redis", old.Redis, next.Redis},
		{"durable", lasting(old.Durable), lasting(next.Durable)},
		{"limits.handshake_timeout", old.Limits.HandshakeTimeout, next.Limits.HandshakeTimeout},
		{"limits.handshake_headers", old.Limits.HandshakeHeaders, next.Limits.HandshakeHeaders},
	} {
		if fmt.Sprint(each.old) != fmt.Sprint(each.next) {
			keys = append(keys, each.key)
		}
	}
	return keys
}

// lasting is the part of a log's configuration that needs a restart.
func lasting(d config.Durable) config.Durable {
	d.Replay = 0
	return d
}

// Ready returns why this process cannot do all of its work, or nil.
func (g *Gateway) Ready() error {
	if g.isDraining() {
		return errDraining
	}
	if err := g.bus.Ready(); err != nil || g.durable == nil {
		return err
	}
	return g.durable.Ready()
}
