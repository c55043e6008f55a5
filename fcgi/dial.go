package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"time"
)

const (
	redialFirst = time.Millisecond // pause after the first failed attempt
	redialMax   = 50 * time.Millisecond

	// probeAnswer is how long the answer to the first probe may take; a pool whose
	// workers are all busy does not answer sooner than they are free.
	probeAnswer = time.Second
	// probeClose is how long a server that will close the connection behind that
	// answer has to do so. PHP before 8.2 does (php-src bug 76922).
	probeClose = 20 * time.Millisecond

	// provenFor is how long an idle connection counts as good without a look.
	provenFor = time.Millisecond
)

// probing is what is known of the server's answers to FCGI_GET_VALUES.
type probing uint8

const (
	probeUnknown probing = iota
	probeAsking          // one request is finding out; others do without meanwhile
	probeWorks
	probeDoubted // works, as far as is known, and the next connection is to make sure
	probeFails
)

// connect gives the slot a connection that is good at this moment: the idle one it
// came with, another idle one, or a new one.
func (p *Pool) connect(ctx context.Context, s *slot, until time.Time, fresh bool) error {
	for !fresh && s.conn != nil {
		if s.justProven() || !s.conn.sock.readable() {
			p.count(func(s *Stats) { s.Reuses++ })
			return nil
		}
		p.drop(s.conn)
		p.mu.Lock()
		p.stats.Recycles++
		s.conn = p.popIdleLocked()
		p.mu.Unlock()
	}
	c, err := p.dial(ctx, s, until)
	s.conn = c
	return err
}

// justProven tells whether the worker has given its sign of life so lately that
// the connection need not be looked at. Should it have been closed since, a unix
// socket refuses the write, and the request is sent again; a network would take
// it, and leave open whether the script ran.
func (s *slot) justProven() bool {
	return s.cfg.Network == "unix" && s.since.Sub(s.conn.idleSince) < provenFor
}

// dial opens a connection. While the server refuses, it tries again until the time
// is over, or until others have found the server to be down.
func (p *Pool) dial(ctx context.Context, s *slot, until time.Time) (*conn, error) {
	pause := redialFirst
	for {
		c, err := p.dialOnce(ctx, s)
		if err == nil {
			return c, nil
		}
		if ctx.Err() != nil {
			return nil, contextError(ctx)
		}
		jittered := pause/2 + rand.N(pause)
		if errors.Is(err, errGiveUp) || time.Now().Add(jittered).After(until) {
			return nil, err
		}
		select {
		case <-time.After(jittered):
		case <-ctx.Done():
			return nil, contextError(ctx)
		case <-p.closing:
			return nil, ErrClosed
		}
		pause = min(2*pause, redialMax)
	}
}

// errGiveUp marks a failure after which the same request should not dial again,
// errDown one without an attempt.
var (
	errGiveUp = errors.New("not tried again")
	errDown   = fmt.Errorf("%w for %v or longer: %w", ErrUnavailable, downAfter, errGiveUp)
)

// dialOnce makes one attempt, unless the circuit forbids it.
func (p *Pool) dialOnce(ctx context.Context, s *slot) (*conn, error) {
	p.mu.Lock()
	allowed := s.epoch != p.epoch || p.circuit.allow(time.Now(), s.cfg.DialTimeout)
	p.mu.Unlock()
	if !allowed {
		return nil, errDown
	}
	began := time.Now()
	nc, err := p.netDial(ctx, s.cfg)
	if err != nil {
		return nil, p.dialFailed(ctx, err, s.epoch)
	}
	c, asks := p.dialed(nc, s.epoch)
	if c == nil {
		nc.Close()
		return nil, fmt.Errorf("%w: %w", ErrClosed, errGiveUp)
	}
	c.dialing = time.Since(began)
	if asks && !p.askForProbe(ctx, c) {
		p.drop(c)
		return nil, fmt.Errorf("%w: the connection served to find out about the ready probe", ErrUnavailable)
	}
	return c, nil
}

// dialFailed notes a failed attempt and returns its error.
func (p *Pool) dialFailed(ctx context.Context, err error, epoch int) error {
	p.mu.Lock()
	p.circuit.tried(time.Now())
	if ctx.Err() != nil { // says nothing about the server
		p.mu.Unlock()
		return err
	}
	p.stats.DialErrors++
	if isFullBacklog(err) {
		p.mu.Unlock()
		return fmt.Errorf("%w: the server's backlog is full: %w", ErrOverloaded, err)
	}
	if epoch != p.epoch || isOurs(err) { // says nothing about the server there is now
		p.mu.Unlock()
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	wentDown := p.circuit.failed(time.Now())
	down := p.circuit.down
	p.mu.Unlock()
	if wentDown {
		p.notify(Event{Kind: EventUnreachable, Err: err})
	}
	if down {
		return fmt.Errorf("%w: %w (%w)", ErrUnavailable, err, errGiveUp)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// dialed takes a new connection into the pool; nil when the pool is closed. The
// caller may have to find out about the probe with it.
func (p *Pool) dialed(nc net.Conn, epoch int) (c *conn, asks bool) {
	c = newConn(nc)
	c.epoch = epoch
	p.mu.Lock()
	c.held = p.held
	if p.closed {
		p.mu.Unlock()
		return nil, false
	}
	p.stats.Dials++
	p.conns[c] = struct{}{}
	if epoch != p.epoch { // serves this request, and is not kept
		p.mu.Unlock()
		return c, false
	}
	cameBack := p.circuit.succeeded()
	if cameBack && p.probing != probeAsking { // it may be another version by now
		p.doubtLocked()
	}
	switch p.probing {
	case probeUnknown:
		p.probing, asks = probeAsking, true
	case probeDoubted:
		p.probing, asks = probeWorks, true
	}
	c.probe = p.probing == probeWorks && !asks
	p.mu.Unlock()
	if cameBack {
		p.notify(Event{Kind: EventReachable})
	}
	return c, asks
}

// askForProbe sends FCGI_GET_VALUES by itself on a new connection and sees whether
// the connection survives the answer. It tells whether c can still be used: it can
// also when there was no answer, because all workers are busy or because the server
// does not know the question. Which of the two, the answer to the request will tell
// (see learn).
func (p *Pool) askForProbe(ctx context.Context, c *conn) (usable bool) {
	use := c.begin()
	stop := c.interruptOn(ctx, use)
	defer stop()
	survived, err := c.tryProbe()

	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case c.epoch != p.epoch:
		return false
	case survived:
		p.probing = probeWorks
		c.probe = true
		return true
	case isTimeout(err) && ctx.Err() == nil:
		c.asked = true
		return true
	case c.accepted:
		p.probing = probeFails
		p.sendLocked(Event{Kind: EventNoProbe})
		return false
	}
	p.doubtLocked()
	return false
}

// tryProbe asks and waits: for the answer, then for the connection to be closed.
func (c *conn) tryProbe() (survived bool, err error) {
	limit := time.Now().Add(probeAnswer)
	c.readBy(limit)
	c.writeBy(limit)
	if _, err := io.WriteString(c.nc, probe); err != nil {
		return false, err
	}
	if k, err := c.dec.next(); err != nil || k != gotReady {
		return false, err
	}
	c.accept()
	c.readBy(time.Now().Add(probeClose))
	_, err = c.dec.r.Peek(1)
	return isTimeout(err), nil
}

// learn ends the asking that went on while c carried a request.
func (p *Pool) learn(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.asked = false
	p.concludeLocked(c)
}

// doubt is for a connection that disproves what is known: its server is another one
// than that which gave signs of life.
func (p *Pool) doubt(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probing == probeWorks || p.probing == probeDoubted {
		p.concludeLocked(c)
	}
}

// concludeLocked takes what became of a probe and the request behind it: a server
// that has answered both keeps the connection, and one that has answered the request
// only never answers the probe. In any other case the next connection is to find out.
func (p *Pool) concludeLocked(c *conn) {
	switch {
	case c.epoch != p.epoch:
	case c.answered && c.accepted:
		p.probing = probeWorks
	case c.answered:
		p.probing = probeFails
		p.sendLocked(Event{Kind: EventNoProbe})
	default:
		p.doubtLocked()
	}
}

// doubtLocked has the next connection find out. Until then what worked is taken to
// work: without the probe ahead of them, requests in the backlog of a server that
// is stopped could not be sent again.
func (p *Pool) doubtLocked() {
	if p.probing == probeWorks {
		p.probing = probeDoubted
	} else if p.probing != probeDoubted {
		p.probing = probeUnknown
	}
}

// netDial is Pool.netDial outside of tests.
func netDial(ctx context.Context, cfg *Config) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	return dialer.DialContext(ctx, cfg.Network, cfg.Address)
}
