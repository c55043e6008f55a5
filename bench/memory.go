package main

import (
	"fmt"
	"strings"
	"time"
)

// dialers is how many handshakes are under way at once.
const dialers = 128

// idleMemory measures what an idle connection costs: memory, and the time of
// messages beside it.
func idleMemory(l *lab, r *recorder) error {
	full, err := l.startGateway(gatewayOptions{name: "wsfpm-full", ping: l.o.ping})
	if err != nil {
		return err
	}
	empty, err := l.startGateway(gatewayOptions{name: "wsfpm-empty"})
	if err != nil {
		return err
	}
	idle, err := newCrowd()
	if err != nil {
		return err
	}
	defer idle.close()
	before, err := resident(full.pid())
	if err != nil {
		return err
	}
	if _, err := idle.open(l.o.idle, dialers, dialMember(full)); err != nil {
		return err
	}
	if err := l.hold(r, full, idle, before); err != nil {
		return err
	}
	return l.besideIdle(r, full, empty, idle.size())
}

// dialMember dials clients as they are in real life: with a user, three channels,
// and 1 KB of headers, from different addresses.
func dialMember(s *server) func(i int) (*webSocket, error) {
	headers := browserHeaders(1 << 10)
	return func(i int) (*webSocket, error) {
		return dialWebSocket(s.address, fmt.Sprintf("/member?u=%d", i), headers, 1+i/10_000, message())
	}
}

// browserHeaders are header lines of n bytes in all, as a browser sends them.
func browserHeaders(n int) string {
	lines := "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36\r\n" +
		"Accept-Language: en-GB,en;q=0.9,de;q=0.8\r\nCache-Control: no-cache\r\nPragma: no-cache\r\nCookie: session="
	return lines + strings.Repeat("c", n-len(lines)-2) + "\r\n"
}

// hold keeps the connections open for as long as several pings take, then
// reads the server's memory.
func (l *lab) hold(r *recorder, s *server, idle *crowd, before int64) error {
	opened, err := resident(s.pid())
	if err != nil {
		return err
	}
	time.Sleep(l.o.hold)
	after, err := resident(s.pid())
	if err != nil {
		return err
	}
	if n := idle.size(); n != l.o.idle {
		return fmt.Errorf("%d of %d idle connections are left", n, l.o.idle)
	}
	m, err := s.metrics()
	if err != nil {
		return err
	}
	if err := l.saveProfile(s, "idle-heap", "/debug/pprof/heap"); err != nil {
		return err
	}
	n := float64(l.o.idle)
	r.add("idle connections", "wsfpm", 0, values{
		"connections":         n,
		"rss_bytes":           float64(after-before) / n,
		"rss_bytes_at_once":   float64(opened-before) / n,
		"heap_bytes":          m["go_memstats_heap_inuse_bytes"] / n,
		"stack_bytes":         m["go_memstats_stack_inuse_bytes"] / n,
		"goroutines":          m["go_goroutines"] / n,
		"pings":               m["wsfpm_pings_total"] / n,
		"process_start_bytes": float64(before),
	})
	return nil
}

// besideIdle compares messages through a process full of idle connections
// with those through an empty one.
func (l *lab) besideIdle(r *recorder, full, empty *server, n int) error {
	peers := []peer{
		overWebSocket("beside idle connections", full, "/echo"),
		overWebSocket("alone", empty, "/echo"),
	}
	for _, clients := range []int{1, 16} {
		for round := range l.o.rounds {
			for _, p := range peers {
				if err := l.echoOnce(r, p, clients, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// growth sends many messages over one connection and looks whether the
// process has grown by them.
func growth(l *lab, r *recorder) error {
	s, err := l.startGateway(gatewayOptions{name: "wsfpm-growth"})
	if err != nil {
		return err
	}
	if err := l.rest(); err != nil {
		return err
	}
	clients, err := overWebSocket("", s, "/echo").open(1)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	tenth := l.o.messages / 10
	var memory []float64
	for range 10 {
		if _, err := (load{total: tenth, inFlight: 8}).run(clients, newMeter(nil, nil)); err != nil {
			return err
		}
		bytes, err := resident(s.pid())
		if err != nil {
			return err
		}
		memory = append(memory, float64(bytes))
	}
	for i, bytes := range memory {
		r.add("one connection", "wsfpm", i, values{"messages": float64((i + 1) * tenth), "rss_bytes": bytes})
	}
	r.add("growth", "wsfpm", 0, values{
		"bytes_per_message": (memory[9] - memory[0]) / float64(9*tenth),
		"kilobytes":         (memory[9] - memory[0]) / 1024,
	})
	return nil
}
