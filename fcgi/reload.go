package fcgi

import "context"

// Configure replaces the configuration of a running pool, including the address.
// Requests that have a slot are not affected; for waiting ones the new limits apply,
// but not to their deadline. The state of probe and circuit is kept while the address
// stays the same, the adapted limit while MaxConnections does, too. After an error
// nothing has changed.
func (p *Pool) Configure(cfg Config) error {
	full, err := cfg.withDefaults()
	if err != nil {
		return err
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return ErrClosed
	}
	var drop []*conn
	moved := full.Network != p.cfg.Network || full.Address != p.cfg.Address
	if moved {
		p.epoch++
		p.probing, p.circuit = probeUnknown, circuit{}
		p.held, p.shortage, p.missing, p.owed = new(holding), shortage{}, 0, 0
		if p.endTrial != nil {
			p.endTrial()
		}
		drop = p.trimIdleLocked(0, drop)
	}
	if moved || full.MaxConnections != p.limit.configured {
		p.limit = newWorkingLimit(full.MaxConnections)
	}
	p.cfg = full
	drop = p.settleIdleLocked(drop)
	p.mu.Unlock()
	p.drop(drop...)
	return nil
}

// Retire closes the idle connections and keeps none from now on, so that an unused
// pool holds no resources and may be dropped. Requests still run, each on a new
// connection.
func (p *Pool) Retire() {
	p.mu.Lock()
	last := *p.cfg
	last.IdleTimeout, last.MaxIdle = 0, 0
	p.cfg = &last
	p.retired, p.circuit = true, circuit{} // ends the trials
	drop := p.settleIdleLocked(nil)
	p.mu.Unlock()
	p.drop(drop...)
}

// Close refuses new and waiting requests and waits for running ones and settling slots.
// When ctx ends it closes their connections and returns ctx's error.
func (p *Pool) Close(ctx context.Context) error {
	p.mu.Lock()
	var drop []*conn
	if !p.closed {
		p.closed = true
		p.end()
		drop = p.trimIdleLocked(0, nil)
		for w := p.queue.next(p.limit.now); w != nil; w = p.queue.next(p.limit.now) {
			p.queue.finished(w.owner, p.limit.now) // next charged it
			w.granted <- grant{err: ErrClosed}
		}
	}
	if p.open > 0 && p.freed == nil {
		p.freed = make(chan struct{})
	}
	freed := p.freed
	p.mu.Unlock()
	p.drop(drop...)

	var err error
	if freed != nil {
		select {
		case <-freed:
		case <-ctx.Done():
			err = ctx.Err()
			p.cut()
		}
	}
	p.running.Wait()
	return err
}

// cut closes the connections of requests that did not end in time. Their callers get
// an error from their next read.
func (p *Pool) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cutOff = true
	for c := range p.conns {
		c.nc.Close()
	}
}
