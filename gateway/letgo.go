package gateway

import "go.uber.org/zap"

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
		g.log.Info("let a pool go", zap.String("fpm", name))
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
			used[s.current(c.rt).pool] = true
		}
	}
	return used
}

// isBusy reports whether an event runs or waits in the pool.
func (p *pool) isBusy() bool {
	n := p.farewells.len()
	s := p.Stats()
	for _, waiting := range s.Waiting {
		n += waiting
	}
	return n+s.Running+s.Settling > 0
}

// isGone reports whether the pool was let go.
func (p *pool) isGone() bool {
	select {
	case <-p.gone:
		return true
	default:
		return false
	}
}
