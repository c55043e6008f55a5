package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// storm measures connects with PHP's connect event, many at once, and clients
// that come, say one thing and leave.
func storm(l *lab, r *recorder) error {
	s, err := l.startGateway(gatewayOptions{name: "wsfpm-storm"})
	if err != nil {
		return err
	}
	plain := func(i int) (*webSocket, error) {
		return dialWebSocket(s.address, "/echo", "", 1+i/10_000, message())
	}
	for round := range l.o.rounds {
		if err := l.connects(r, s, "connects", plain, round); err != nil {
			return err
		}
		if err := l.connects(r, s, "connects with a user and three channels", dialMember(s), round); err != nil {
			return err
		}
		if err := l.churn(r, s, round); err != nil {
			return err
		}
	}
	return nil
}

// connects opens many connections at once and waits until all are closed.
func (l *lab) connects(r *recorder, s *server, kase string, dial func(int) (*webSocket, error), round int) error {
	c, err := newCrowd()
	if err != nil {
		return err
	}
	m := newMeter(s.pids(), l.phpPIDs())
	m.start()
	took, err := c.open(l.o.storm, dialers, dial)
	u := m.stop()
	c.close()
	if err != nil {
		return err
	}
	n := int64(l.o.storm)
	r.add(kase, "wsfpm", round, values{
		"per_second": float64(n) / u.elapsed.Seconds(),
		"p50_us":     micros(took.quantile(0.5), 1),
		"p99_us":     micros(took.quantile(0.99), 1),
		"cpu_us":     micros(u.front, n),
		"php_cpu_us": micros(u.php, n),
	})
	return s.awaitEmpty()
}

// awaitEmpty waits until the last client's disconnect event is over.
func (s *server) awaitEmpty() error {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		m, err := s.metrics()
		if err != nil {
			return err
		}
		if m["wsfpm_connections"] == 0 {
			return nil
		}
	}
	return fmt.Errorf("clients are left %v after all have gone", patience)
}

// churn lets clients connect, send one message, get its answer and leave.
func (l *lab) churn(r *recorder, s *server, round int) error {
	const clients = 32
	var done atomic.Int64
	errs := make([]error, clients)
	m := newMeter(s.pids(), l.phpPIDs())
	m.start()
	end := time.Now().Add(l.o.length)
	var running sync.WaitGroup
	for i := range clients {
		running.Go(func() {
			for time.Now().Before(end) && errs[i] == nil {
				errs[i] = visit(s.address, 10+i+round*clients)
				done.Add(1)
			}
		})
	}
	running.Wait()
	u := m.stop()
	for _, err := range errs {
		if err != nil {
			return fmt.Errorf("churn: %w", err)
		}
	}
	r.add("connect, message, close", "wsfpm", round, values{
		"per_second": float64(done.Load()) / u.elapsed.Seconds(),
		"cpu_us":     micros(u.front, done.Load()),
		"php_cpu_us": micros(u.php, done.Load()),
	})
	return s.awaitEmpty()
}

// visit is one client's whole life.
func visit(address string, source int) error {
	w, err := dialWebSocket(address, "/echo", "", source, message())
	if err != nil {
		return err
	}
	defer w.close()
	if err := w.send(); err != nil {
		return err
	}
	if err := w.receive(); err != nil {
		return err
	}
	return w.leave()
}
