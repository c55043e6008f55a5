package fcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net"
	"time"
)

const (
	redialFirst = time.Millisecond // pause after the first failed attempt
	redialMax   = 50 * time.Millisecond

	// probeAnswer bounds the wait for the reply to the first probe; while all workers
	// are busy there is none.
	probeAnswer = time.Second
	// probeClose bounds the wait for the server to close the connection after that
	// reply. PHP before 8.2 does (php-src bug 76922).
	probeClose = 20 * time.Millisecond

	// provenFor is how long after its last use an idle connection needs no check.
	provenFor = time.Millisecond
)

// probing is the state of knowledge about the server's support for probes
// (FCGI_GET_VALUES).
type probing uint8

const (
	probeUnknown probing = iota // each new connection tests it
	probeWorks
	probeFails
)

// connect gives the slot a working connection: the idle one that it came with, another
// idle one, or a new one.
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

// justProven reports whether the probe's reply is so recent that the connection needs
// no check. If the server has closed it since, a write to a unix socket fails, and the
// request is sent again; TCP would accept the write and leave open whether the script
// ran.
func (s *slot) justProven() bool {
	return s.cfg.Network == "unix" && s.since.Sub(s.conn.idleSince) < provenFor
}

// dial opens a connection. While the server refuses, it retries until the deadline, or
// until the circuit opens.
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
		case <-p.ctx.Done():
			return nil, ErrClosed
		}
		pause = min(2*pause, redialMax)
	}
}

// errGiveUp marks a failure after which the request must not dial again, errDown one
// without an attempt.
var (
	errGiveUp = errors.New("not tried again")
	errDown   = fmt.Errorf("%w for %v or longer: %w", ErrUnavailable, downAfter, errGiveUp)
)

// dialOnce makes one attempt, unless the circuit is open.
func (p *Pool) dialOnce(ctx context.Context, s *slot) (*conn, error) {
	p.mu.Lock()
	down := p.circuit.down && s.epoch == p.epoch
	p.mu.Unlock()
	if down {
		return nil, errDown
	}
	return p.openConn(ctx, s, probeAnswer)
}

// openConn opens a connection and tests it if necessary; wait bounds the wait for the
// reply.
func (p *Pool) openConn(ctx context.Context, s *slot, wait time.Duration) (*conn, error) {
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
	if asks {
		err = p.askForProbe(ctx, c, wait)
	}
	if err != nil {
		p.drop(c)
		return nil, err
	}
	return c, nil
}

// dialFailed records a failed attempt and returns its error.
func (p *Pool) dialFailed(ctx context.Context, err error, epoch int) error {
	p.mu.Lock()
	if over(ctx) { // says nothing about the server
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
	p.failedLocked(err)
	down := p.circuit.down
	p.mu.Unlock()
	if down {
		return fmt.Errorf("%w: %w (%w)", ErrUnavailable, err, errGiveUp)
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

// over reports whether the caller's time is over. A context may end a little later than its
// deadline, by which the dialer has given up.
func over(ctx context.Context) bool {
	deadline, limited := ctx.Deadline()
	return ctx.Err() != nil || limited && !time.Now().Before(deadline)
}

// dialed adds a new connection to the pool; c is nil if the pool is closed. If asks is
// set, the caller must test the connection.
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
	asks = p.probing == probeUnknown || p.circuit.down || p.circuit.unproven
	if !asks {
		p.reachedLocked()
	}
	c.probe = p.probing == probeWorks && !asks
	p.mu.Unlock()
	return c, asks
}

// askForProbe sends FCGI_GET_VALUES alone on a new connection and tests whether the
// connection survives the reply. An error means that c is unusable. It is usable if
// there was no reply: all workers are busy, or the server does not support probes;
// learn finds out which, after the request.
func (p *Pool) askForProbe(ctx context.Context, c *conn, wait time.Duration) error {
	use := c.begin()
	stop := c.interruptOn(ctx, use)
	defer stop()
	survived, err := c.tryProbe(wait)
	if !c.accepted && !isTimeout(err) {
		return p.unanswered(c, err)
	}

	p.mu.Lock()
	defer p.mu.Unlock()
	current := c.epoch == p.epoch
	if current && c.accepted {
		p.reachedLocked()
	}
	switch {
	case current && survived:
		p.probing = probeWorks
		c.probe = true
		return nil
	case current && isTimeout(err) && ctx.Err() == nil:
		c.asked = true
		p.stalledLocked(c) // until a worker replies
		return nil
	case current && c.accepted:
		p.probeFailsLocked()
	}
	return fmt.Errorf("%w: the connection was used up by testing the ready probe", ErrUnavailable)
}

// unanswered records that a new connection ended without an answer, and returns the
// error of an attempt that failed so.
func (p *Pool) unanswered(c *conn, err error) error {
	p.mu.Lock()
	if c.epoch == p.epoch {
		p.circuit.unproven = true
	}
	p.mu.Unlock()
	return p.dialFailed(context.Background(), fmt.Errorf("a new connection ended without an answer: %w", err), c.epoch)
}

// tryProbe sends a probe and waits for the reply, then for the connection to be closed.
func (c *conn) tryProbe(wait time.Duration) (survived bool, err error) {
	limit := time.Now().Add(wait)
	c.readBy(limit)
	c.writeBy(limit)
	if _, err := io.WriteString(c.nc, probe); err != nil {
		return false, err
	}
	if k, err := c.dec.next(); err != nil {
		return false, err
	} else if k != gotReady {
		return false, fmt.Errorf("%w: an answer before any request", ErrProtocol)
	}
	c.accept()
	c.readBy(time.Now().Add(probeClose))
	_, err = c.dec.r.Peek(1)
	return isTimeout(err), nil
}

// learn ends a test of the probe that was pending while c carried a request.
func (p *Pool) learn(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.asked = false
	p.concludeLocked(c)
}

// doubt is called for a connection that contradicts the state of probing: the server
// has been replaced by another.
func (p *Pool) doubt(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.probing == probeWorks {
		p.concludeLocked(c)
	}
}

// concludeLocked evaluates a probe and the request after it: a server that has answered
// both supports probes, and one that has answered the request only does not. Otherwise
// the next connection repeats the test.
func (p *Pool) concludeLocked(c *conn) {
	if c.epoch != p.epoch {
		return
	}
	if c.answered {
		p.reachedLocked()
	}
	switch {
	case c.answered && c.accepted:
		p.probing = probeWorks
	case c.answered:
		p.probeFailsLocked()
	default:
		p.probing = probeUnknown
	}
}

// probeFailsLocked records that the server does not support probes.
func (p *Pool) probeFailsLocked() {
	if p.probing != probeFails {
		p.probing = probeFails
		p.sendLocked(Event{Kind: EventNoProbe})
	}
}

// Ping connects to the server once and waits for the answer to a FCGI_GET_VALUES record,
// for a second at most. If there is none, answered is false: all workers are busy, or
// the server ignores such records, as one that does not speak FastCGI may. An error
// means that it cannot be reached, or does not speak FastCGI. It wraps a [*net.OpError]
// with Op "dial" if there was no connection.
func Ping(ctx context.Context, cfg Config) (answered bool, err error) {
	full, err := cfg.withDefaults()
	if err != nil {
		return false, err
	}
	nc, err := netDial(ctx, full)
	if err != nil {
		return false, err
	}
	defer nc.Close()
	c := newConn(nc)
	stop := c.interruptOn(ctx, c.begin())
	defer stop()
	_, err = c.tryProbe(probeAnswer)
	switch {
	case c.accepted:
		return true, nil
	case ctx.Err() != nil:
		return false, contextError(ctx)
	case isTimeout(err):
		return false, nil
	}
	return false, fmt.Errorf("the connection ended without an answer: %w", err)
}

// netDial is Pool.netDial except in tests.
func netDial(ctx context.Context, cfg *Config) (net.Conn, error) {
	dialer := net.Dialer{Timeout: cfg.DialTimeout}
	nc, err := dialer.DialContext(ctx, cfg.Network, cfg.Address)
	return nc, withRights(err)
}

// withRights adds to the error of a socket that may not be opened who can change that.
func withRights(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w: the user of this process may not open the socket: see listen.owner, listen.group and listen.mode of the pool, and the folder's rights", err)
	}
	return err
}
