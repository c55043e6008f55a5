package fcgi

import (
	"errors"
	"time"
)

// writeGrace bounds sending the rest of a request whose answer has ended.
const writeGrace = time.Second

// errUnsent: the server answered without reading the rest of the request.
var errUnsent = errors.New("request not read to its end")

// ended releases the slot of a complete answer if the worker is known to be free.
// Otherwise the script is still running (fastcgi_finish_request), and the slot settles.
func (p *Pool) ended(s slot, timeout time.Duration, script, id string) {
	c := s.conn
	if c.probe && !c.accepted { // there will be no reply to a probe
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

// settle holds the slot on behalf of a caller that has left, and releases it when the
// worker is known to be free, after timeout and settleExtra at the latest.
func (p *Pool) settle(s slot, timeout time.Duration, script, id string) {
	p.mu.Lock()
	if p.cutOff { // Close has timed out
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

// settled releases the slot after settling.
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

// settle finishes sending, so that no script runs on a truncated body, and reads up to
// the probe's reply after the answer.
func (c *conn) settle(limit time.Duration) error {
	c.begin()
	deadline := time.Now().Add(limit)
	write := deadline
	if c.dec.ended {
		write = time.Now().Add(writeGrace) // the server has finished this request
	}
	c.readBy(deadline)
	c.writeBy(write)
	c.written()
	if isTimeout(c.sendErr) { // interrupted: resume
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
			c.probeReply()
		}
	}
	return nil
}

// refuseOutput makes the script stop at its next flush, as closing the connection
// would, but its end remains observable: the worker still reads the probe after the
// request. It reports false if that is not supported.
func (c *conn) refuseOutput() bool {
	c.refuses = c.probe && c.sock.refuseInput()
	return c.refuses
}
