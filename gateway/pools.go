package gateway

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
)

// maxStderr is how much of what a script writes to stderr is looked at for
// PHP's errors, in bytes. A fatal error stands at the end, which is kept.
const maxStderr = 256 << 10

// poolConfig is the transport's view of a configured pool.
func poolConfig(f *config.FPM) fcgi.Config {
	return fcgi.Config{
		Network:        f.Network,
		Address:        f.Addr,
		MaxConnections: f.MaxConnections,
		MaxIdle:        f.MaxIdle,
		IdleTimeout:    time.Duration(f.IdleTimeout),
		QueueWait:      time.Duration(f.QueueWait),
		DialTimeout:    time.Duration(f.DialTimeout),
		Share:          float64(f.PoolShare),
		MaxStderr:      maxStderr,
	}
}

// installLocked puts a configuration's pools and routes into force, with g.reload
// held, or before the gateway has begun. On an error nothing changes, unless the
// gateway is ending.
func (g *Gateway) installLocked(cfg *config.Config) (*settings, error) {
	pools, err := g.preparePools(cfg)
	if err != nil {
		return nil, err
	}
	next, err := newSettings(cfg, pools, &g.stats.cached)
	if err != nil {
		return nil, err
	}
	for name, f := range cfg.FPM {
		if err := pools[name].Configure(poolConfig(f)); err != nil {
			return nil, fmt.Errorf("fpm.%s: %w", name, err)
		}
		pools[name].streams.resize(f.MaxStreams)
	}
	for _, r := range next.routes {
		r.upstream.disconnects.resize(cfg.Limits.Connections, r.upstream.workers)
	}
	for name, p := range pools {
		if g.pools[name] == nil {
			g.watch(p)
		}
	}
	g.pools = pools
	before := g.settings.Load()
	if before != nil && g.durable != nil {
		next.follow(before, g.durable.Newest)
	}
	g.settings.Store(next)
	if before != nil {
		before.retire()
	}
	return next, nil
}

// preparePools makes the pools that are new in cfg, and checks what it says of
// those that are running, of which none is changed. The ones that cfg no longer
// has go on until letGo finds them unused.
func (g *Gateway) preparePools(cfg *config.Config) (map[string]*pool, error) {
	next := make(map[string]*pool)
	maps.Copy(next, g.pools)
	for name, f := range cfg.FPM {
		if next[name] != nil {
			if err := poolConfig(f).Check(); err != nil {
				return nil, fmt.Errorf("fpm.%s: %w", name, err)
			}
			continue
		}
		started, err := fcgi.NewPool(poolConfig(f))
		if err != nil {
			return nil, fmt.Errorf("fpm.%s: %w", name, err)
		}
		next[name] = &pool{
			Pool: started, name: name, log: g.log.With(zap.String("fpm", name)),
			queues: make(map[string]*disconnects), gone: make(chan struct{}),
		}
	}
	return next, nil
}

// watch logs the events of a pool, see [fcgi.Event].
func (g *Gateway) watch(p *pool) {
	g.loops.Go(func() {
		for {
			select {
			case e := <-p.Events():
				p.log.Warn("pool event", zap.Stringer("event", e))
			case <-p.gone:
				return
			case <-g.stop:
				return
			}
		}
	})
}

// eachPool does something with each pool while none comes or goes.
func (g *Gateway) eachPool(do func(*pool)) {
	g.reload.Lock()
	defer g.reload.Unlock()
	for _, p := range g.pools {
		do(p)
	}
}

// eachQueue does something with each queue of disconnect events. No lock is held: what ends an
// event shows it to observers, which may ask the gateway.
func (g *Gateway) eachQueue(do func(*disconnects)) {
	var queues []*disconnects
	g.eachPool(func(p *pool) { queues = slices.AppendSeq(queues, maps.Values(p.queues)) })
	for _, q := range queues {
		do(q)
	}
}

// letGo forgets the pools that a reload took away and that nothing uses any more.
func (g *Gateway) letGo() {
	g.reload.Lock()
	defer g.reload.Unlock()
	g.letGoLocked()
}

// letGoLocked is letGo with g.reload held. An event may have chosen its pool and
// not begun yet: it runs all the same, since a pool that was let go still works,
// but keeps nothing.
func (g *Gateway) letGoLocked() {
	s := g.settings.Load()
	if len(g.pools) == len(s.FPM) {
		return
	}
	for name, p := range g.unusedLocked(s) {
		delete(g.pools, name)
		p.Retire()
		p.log.Info("let a pool go")
	}
}

// unusedLocked marks and returns the pools that are not configured, that no
// connection uses, and in which no event runs or waits.
func (g *Gateway) unusedLocked(s *settings) map[string]*pool {
	g.mu.Lock() // so that no connection enters between the look and the mark
	defer g.mu.Unlock()
	unused, used := make(map[string]*pool), g.usedLocked(s)
	for name, p := range g.pools {
		if s.FPM[name] == nil && !used[p] && !p.isBusy() {
			unused[name] = p
			close(p.gone)
		}
	}
	return unused
}

// usedLocked are the pools of the connections' routes, also of those that are gone.
// g.mu is held.
func (g *Gateway) usedLocked(s *settings) map[*pool]bool {
	used, seen := make(map[*pool]bool), make(map[*route]bool)
	for c := range g.live {
		if !seen[c.rt] {
			seen[c.rt] = true
			for _, p := range s.current(c.rt).upstream.pools {
				used[p] = true
			}
		}
	}
	return used
}

// isBusy reports whether an event runs or waits in the pool, or may come to it.
func (p *pool) isBusy() bool {
	n, s := p.disconnects()+int(p.expected.Load()), p.Stats()
	for _, waiting := range s.Waiting {
		n += waiting
	}
	return n+s.Running+s.Settling > 0
}

// disconnects is how many disconnect events wait for the pool, or for it and its
// spares, or run. g.reload is held.
func (p *pool) disconnects() (n int) {
	for _, q := range p.queues {
		n += q.len()
	}
	return n
}
