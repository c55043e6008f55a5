package fcgi

import (
	"errors"
	"time"
)

// writeGrace is how long the rest of a request may take when its answer has ended.
const writeGrace = time.Second

// errUnsent: the server answered and did not care for the rest of the request.
var errUnsent = errors.New("request not read to its end")

// ended sees to the slot of an answer that has ended well. If the worker is proven
// free the slot is released now; otherwise the script runs on in the background
// (fastcgi_finish_request), and the slot settles.
func (p *Pool) ended(s slot, timeout time.Duration, script, id string) {
	c := s.conn
	if c.probe && !c.accepted { // no sign of life will come
		p.doubt(c)
		c.probe = false
	}
	if !c.probe {
		p.release(s, false)
		return
	}
	err := c.awaitReady()
	if isTimeout(err) || err == nil && c.stillWriting() {
		p.settle(s, timeout, script, id)
		return
	}
	if err != nil {
		p.count(func(s *Stats) { s.Recycles++ })
	}
	p.release(s, err == nil && c.clean())
}

// settle keeps the slot until the worker is proven free, without a caller, and
// then releases it. After timeout and settleExtra it gives up.
func (p *Pool) settle(s slot, timeout time.Duration, script, id string) {
	p.mu.Lock()
	if p.cutOff { // nobody waits for anybody any more
		p.mu.Unlock()
		p.release(s, false)
		return
	}
	p.settling++
	p.stats.Settled++
	p.running.Go(func() {
		err := s.conn.settle(timeout + settleExtra)
		p.settled(s, err, script, id)
	})
	p.mu.Unlock()
}

// settled releases the slot after the wait.
func (p *Pool) settled(s slot, err error, script, id string) {
	p.mu.Lock()
	p.settling--
	if isTimeout(err) {
		p.stats.SettleTimeouts++
		p.sendLocked(Event{Kind: EventStillRunning, Script: script, ID: id})
	}
	p.mu.Unlock()
	p.release(s, err == nil && s.conn.clean())
}

// settle finishes sending, so that no script runs on half a body, and reads to the
// sign of life behind the answer.
func (c *conn) settle(limit time.Duration) error {
	c.begin()
	deadline := time.Now().Add(limit)
	write := deadline
	if c.dec.ended {
		write = time.Now().Add(writeGrace) // the server has done with this request
	}
	c.readBy(deadline)
	c.writeBy(write)
	c.written()
	if isTimeout(c.sendErr) { // interrupted: go on where it stopped
		c.writeBy(write)
		c.write()
	}
	if c.sendErr != nil && c.dec.ended {
		return errUnsent
	}
	if c.sendErr != nil {
		return c.sendErr
	}
	if c.refuses {
		return c.sock.awaitTaken()
	}
	for !c.dec.ended || c.probe && !c.ready {
		k, err := c.dec.next()
		if err != nil {
			return err
		}
		if k == gotReady {
			c.signOfLife()
		}
	}
	return nil
}

// refuseOutput makes the script stop at its next flush, as when the connection is
// closed, and yet leaves its end to be seen: the worker takes the probe behind the
// request when it has done with that. It reports false where that cannot be.
func (c *conn) refuseOutput() bool {
	c.refuses = c.probe && c.sock.refuseInput()
	return c.refuses
}
