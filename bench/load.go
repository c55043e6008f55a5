package main

import (
	"errors"
	"sync"
	"time"
)

// client sends the same message again and again over its own connection. It
// belongs to one goroutine.
type client interface {
	// send writes one message and does not wait for its answer.
	send() error
	// receive waits for the answer to the oldest message and checks it.
	receive() error
	close()
}

// load says how messages are sent. Every answer since the warm-up is measured,
// the last ones after the end too: one that starves counts with all of its
// wait.
type load struct {
	warmUp   time.Duration
	length   time.Duration
	inFlight int           // messages of each client without an answer, 0: 1
	every    time.Duration // paced: the time between two messages of a client; 0: closed loop
	total    int           // messages of each client, instead of length; 0: no such end
}

// outcome is what a load has measured.
type outcome struct {
	latency histogram
	done    int64 // answers within the measured time
	starved int   // clients without any
	usage   usage
}

// perSecond is the number of answers in a second.
func (o *outcome) perSecond() float64 { return float64(o.done) / o.usage.elapsed.Seconds() }

// run lets every client send on a goroutine of its own and reads the meter
// around the measured time.
func (l load) run(clients []client, m *meter) (*outcome, error) {
	begin := time.Now().Add(l.warmUp)
	loops := make([]loop, len(clients))
	var running sync.WaitGroup
	for i, c := range clients {
		loops[i] = loop{load: l, client: c, begin: begin, end: begin.Add(l.length), errs: make([]error, 0, 1)}
		loops[i].first = begin.Add(-l.warmUp + l.every*time.Duration(i)/time.Duration(len(clients)))
		running.Go(loops[i].run)
	}
	time.Sleep(time.Until(begin))
	m.start()
	if l.total == 0 {
		time.Sleep(l.length)
		o := &outcome{usage: m.stop()}
		running.Wait()
		return o, o.gather(loops)
	}
	running.Wait()
	o := &outcome{usage: m.stop()}
	return o, o.gather(loops)
}

func (o *outcome) gather(loops []loop) error {
	var errs []error
	for i := range loops {
		o.latency.merge(&loops[i].latency)
		o.done += loops[i].done
		if loops[i].done == 0 {
			o.starved++
		}
		errs = append(errs, loops[i].errs...)
	}
	return errors.Join(errs[:min(len(errs), 3)]...)
}

// loop is one client's part of a load.
type loop struct {
	load
	client            client
	begin, end, first time.Time
	latency           histogram
	done              int64
	errs              []error
}

func (l *loop) run() {
	send := l.closed
	if l.every > 0 {
		send = l.paced
	}
	if err := send(); err != nil {
		l.errs = append(l.errs, err)
	}
}

// closed sends the next message when an answer has come.
func (l *loop) closed() error {
	sent := make([]time.Time, max(1, l.inFlight))
	for i := range sent {
		sent[i] = time.Now()
		if err := l.client.send(); err != nil {
			return err
		}
	}
	begun := len(sent)
	for at, waiting := 0, len(sent); waiting > 0; at = (at + 1) % len(sent) {
		if err := l.client.receive(); err != nil {
			return err
		}
		now := time.Now()
		l.record(sent[at], now)
		if l.over(now, begun) {
			waiting--
			continue
		}
		sent[at] = now
		begun++
		if err := l.client.send(); err != nil {
			return err
		}
	}
	return nil
}

// over reports whether no more messages are to be sent.
func (l *loop) over(now time.Time, begun int) bool {
	if l.total > 0 {
		return begun >= l.total
	}
	return now.After(l.end)
}

// paced sends at fixed times, or as soon as the answer before has come. The
// wait since the fixed time counts, so that a stall is not hidden by messages
// that were not sent because of it.
func (l *loop) paced() error {
	for due := l.first; due.Before(l.end); due = due.Add(l.every) {
		time.Sleep(time.Until(due))
		if err := l.client.send(); err != nil {
			return err
		}
		if err := l.client.receive(); err != nil {
			return err
		}
		l.record(due, time.Now())
	}
	return nil
}

func (l *loop) record(sent, answered time.Time) {
	if l.total > 0 {
		l.done++
		l.latency.add(answered.Sub(sent))
		return
	}
	if answered.Before(l.begin) {
		return
	}
	l.latency.add(answered.Sub(sent))
	if answered.Before(l.end) {
		l.done++
	}
}

// openAll makes n clients, and closes all of them when one cannot be made.
func openAll(n int, open func(i int) (client, error)) ([]client, error) {
	clients := make([]client, 0, n)
	for i := range n {
		c, err := open(i)
		if err != nil {
			closeAll(clients)
			return nil, err
		}
		clients = append(clients, c)
	}
	return clients, nil
}

func closeAll(clients []client) {
	for _, c := range clients {
		c.close()
	}
}
