package fcgi

import (
	"fmt"
	"maps"
	"time"
)

// Stats is a moment of a pool's life. Counters count from its beginning.
type Stats struct {
	// Now.
	Running  int // slots held for a caller
	Settling int // slots of workers whose caller has left or has its answer
	Idle     int // kept connections
	Streams  int // of Running, streams
	Waiting  [lanes]int
	Limit    int           // workers that the pool occupies at most now
	Config   int           // workers that it may occupy
	Service  time.Duration // moving average of the time that a slot is held; Config.QueueWait at most
	Down     bool          // the server cannot be reached
	Probe    bool          // the server gives signs of life (see the package)

	// Counters.
	Completed      uint64 // answers read to their proven end
	Failures       map[Failure]uint64
	Dials          uint64
	DialErrors     uint64
	Reuses         uint64 // requests on a connection that had carried one before
	Recycles       uint64 // idle connections that the server had closed
	Retries        uint64 // requests sent again, of which nothing had left
	Settled        uint64 // slots that had to settle
	SettleTimeouts uint64 // of these, given up while the script ran on
	Stalls         uint64 // new connections that no worker had come for after 50 ms
	Overloads      uint64 // requests refused, or waited too long, for a slot
	PassedOver     uint64 // requests that later ones went before, because their owner had its share
	Waited         uint64 // waits in the queue that ended in any way
	WaitSum        time.Duration
	StderrBytes    uint64
	StderrDropped  uint64 // of these, beyond Config.MaxStderr
	EventsLost     uint64
}

// Failure is a way to fail, for counting.
type Failure struct {
	Phase  Phase
	Reason string // overloaded, timeout, canceled, truncated, too_large, protocol, unavailable, closed, other
}

// Stats returns the pool's figures.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.Failures = maps.Clone(p.failures)
	s.Running, s.Settling, s.Idle, s.Streams = p.open-p.settling, p.settling, len(p.idle), p.streams
	s.Waiting, s.PassedOver = p.queue.waiting, p.queue.passed
	s.Limit, s.Config = p.limit.now, p.cfg.MaxConnections
	s.Service = p.service
	s.Down = p.circuit.down
	s.Probe = p.probing == probeWorks || p.probing == probeDoubted
	return s
}

// count changes counters.
func (p *Pool) count(add func(*Stats)) {
	p.mu.Lock()
	add(&p.stats)
	p.mu.Unlock()
}

func (p *Pool) countFailure(phase Phase, err error) {
	p.mu.Lock()
	p.failures[Failure{phase, reason(err)}]++
	p.mu.Unlock()
}

func (s *Stats) countStderr(t *boundedText) {
	t.cut()
	s.StderrBytes += uint64(len(t.text) + t.dropped)
	s.StderrDropped += uint64(t.dropped)
}

// EventKind is what an Event is about.
type EventKind uint8

// Rare things that an operator should know.
const (
	// EventStalled: for more than a second workers came for no more than Limit
	// connections at once, so PHP-FPM has fewer free ones than Config.MaxConnections.
	// Limit is what the pool works with for a while.
	EventStalled EventKind = iota + 1
	// EventStillRunning: PHP is still running an abandoned script, Script for
	// request ID. Its slot was given up.
	EventStillRunning
	// EventNoProbe: the server gives no sign of life after a request, so its
	// connections are not kept, and a slot is free when the answer ends.
	EventNoProbe
	// EventUnreachable: the server has refused connections for a second; Err says
	// how. Requests fail at once until EventReachable.
	EventUnreachable
	// EventReachable: the server can be reached again.
	EventReachable
)

// Event is one of them.
type Event struct {
	Kind       EventKind
	Script, ID string
	Limit      int // workers now, with EventStalled
	Config     int // MaxConnections, with EventStalled
	Err        error
}

// maxEvents is how many events wait to be read; more are lost and counted.
const maxEvents = 64

// String says it in words.
func (e Event) String() string {
	switch e.Kind {
	case EventStalled:
		return fmt.Sprintf("PHP-FPM has fewer free workers than max_connections (%d): working with %d", e.Config, e.Limit)
	case EventStillRunning:
		return fmt.Sprintf("PHP is still running %s (request %s) long after its timeout", e.Script, e.ID)
	case EventNoProbe:
		return "the application server does not answer FCGI_GET_VALUES on a kept connection: connections are not reused"
	case EventUnreachable:
		return fmt.Sprintf("the application server cannot be reached: %v", e.Err)
	case EventReachable:
		return "the application server can be reached again"
	}
	return "unknown event"
}

// Events returns what an operator should know, as it happens. It is always the
// same channel and never closed; when nobody reads it, events are lost.
func (p *Pool) Events() <-chan Event { return p.events }

func (p *Pool) notify(e Event) {
	p.mu.Lock()
	p.sendLocked(e)
	p.mu.Unlock()
}

// sendLocked never blocks.
func (p *Pool) sendLocked(e Event) {
	select {
	case p.events <- e:
	default:
		p.stats.EventsLost++
	}
}
