package fcgi

import (
	"fmt"
	"maps"
	"time"
)

// Stats is a snapshot of a pool's figures. Counters start at 0 with the pool.
type Stats struct {
	// Now.
	Running  int // slots held for a caller
	Settling int // slots of workers whose caller has left or has its answer
	Idle     int // idle connections
	Streams  int // of Running, streams
	Waiting  [lanes]int
	Limit    int           // current concurrency limit, in workers
	Config   int           // Config.MaxConnections
	Service  time.Duration // moving average of the time that a slot is held; Config.QueueWait at most
	Down     bool          // the server is unreachable
	Probe    bool          // the server answers probes (see the package)

	// Counters.
	Completed      uint64 // answers read to their end
	Failures       map[Failure]uint64
	Dials          uint64
	DialErrors     uint64
	Reuses         uint64 // requests on a connection that had carried one before
	Recycles       uint64 // idle connections that the server had closed
	Retries        uint64 // requests sent again, of which no byte had been sent
	Settled        uint64 // slots that had to settle
	SettleTimeouts uint64 // of these, released while the script was still running
	Stalls         uint64 // new connections that no worker had accepted after 50 ms
	Overloads      uint64 // requests shed, or timed out in the queue
	PassedOver     uint64 // requests overtaken by later ones because their owner had its share
	Waited         uint64 // waits in the queue, however they ended
	WaitSum        time.Duration
	StderrBytes    uint64
	EventsLost     uint64
}

// Failure classifies failures, for counting.
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
	s.Running, s.Settling, s.Idle, s.Streams = p.open-p.settling-p.trial, p.settling, len(p.idle), p.streams
	s.Waiting, s.PassedOver = p.queue.waiting, p.queue.passed
	s.Limit, s.Config = p.limit.now, p.cfg.MaxConnections
	s.Service = p.service
	s.Down = p.circuit.down
	s.Probe = p.probing == probeWorks
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
}

// EventKind is the kind of an Event.
type EventKind uint8

// The kinds of events, all rare.
const (
	// EventStalled: for more than a second workers held no more than Limit connections
	// at once, so PHP-FPM has fewer free ones than Config.MaxConnections. Limit is the
	// concurrency limit for some time.
	EventStalled EventKind = iota + 1
	// EventStillRunning: PHP is still running an abandoned script, Script for request
	// ID. Its slot was released.
	EventStillRunning
	// EventNoProbe: the server does not answer probes, so its connections are not
	// kept, and a slot is free when the answer ends.
	EventNoProbe
	// EventUnreachable: the server has refused connections, or closed them without an
	// answer, for a second; Err is the last error. Requests fail at once until
	// EventReachable.
	EventUnreachable
	// EventReachable: the server can be reached again.
	EventReachable
)

// Event is a change of state that an operator should know of.
type Event struct {
	Kind       EventKind
	Script, ID string
	Limit      int // workers now, with EventStalled
	Config     int // MaxConnections, with EventStalled
	Err        error
}

// maxEvents is the capacity of the channel of events; more are dropped and counted.
const maxEvents = 64

// String returns the event's description, for a log.
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

// Events returns the channel of events. It is always the same and never closed; events
// that do not fit are dropped.
func (p *Pool) Events() <-chan Event { return p.events }

// sendLocked queues an event. It never blocks.
func (p *Pool) sendLocked(e Event) {
	select {
	case p.events <- e:
	default:
		p.stats.EventsLost++
	}
}
