package main

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
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
	if err := l.besideIdle(r, full, empty, idle.size()); err != nil {
		return err
	}
	idle.close()
	return l.idleRivals(r)
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

// idler is a server that holds idle clients, and how these are dialled.
type idler struct {
	name   string
	server *server
	dial   func(i int) (*webSocket, error)
	crowd  *crowd
	before int64 // memory with a few clients only
}

// idleRivals compares the memory of an idle client, with as many clients each.
func (l *lab) idleRivals(r *recorder) error {
	list, err := l.idlers()
	if err != nil {
		return err
	}
	for _, d := range list {
		if d.crowd, err = newCrowd(); err != nil {
			return err
		}
		defer d.crowd.close()
		if _, err := d.crowd.open(warmUps, dialers, d.dial); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		before, err := residentAll(d.server)
		if err != nil {
			return err
		}
		d.before = before[0]
		if _, err := d.crowd.open(l.o.each, dialers, d.dial); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
	}
	time.Sleep(l.o.hold / 3) // one ping
	for _, d := range list {
		after, err := residentAll(d.server)
		if err != nil {
			return err
		}
		if n := d.crowd.size(); n != l.o.each+warmUps {
			return fmt.Errorf("%s: %d of %d idle connections are left", d.name, n, l.o.each+warmUps)
		}
		n := float64(l.o.each)
		r.add("idle clients of each", d.name, 0, values{"connections": n, "rss_bytes": float64(after[0]-d.before) / n})
	}
	return nil
}

// idlers starts a server of each kind.
func (l *lab) idlers() ([]*idler, error) {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-idle", ping: l.o.ping})
	if err != nil {
		return nil, err
	}
	list := []*idler{{name: "wsfpm", server: gateway, dial: dialMember(gateway)}}
	headers := browserHeaders(1 << 10)
	for _, v := range l.rivals() {
		if v.fewer == 0 {
			continue // idle, it is like another one
		}
		s, _, err := v.start("idle-"+v.id, 0)
		if err != nil {
			return nil, err
		}
		list = append(list, &idler{name: v.name, server: s, dial: func(i int) (*webSocket, error) {
			return dialWebSocket(s.address, v.path, headers, 1+i/10_000, message())
		}})
	}
	if !hasCentrifugo() {
		return list, nil
	}
	s, err := l.startCentrifugo("idle-centrifugo")
	return append(list, &idler{name: "Centrifugo", server: s, dial: dialSubscriber(s)}), err
}

// growth sends many messages over one connection and looks how far the server
// has grown by them. A server that grows with every message gets fewer.
func growth(l *lab, r *recorder) error {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-growth"})
	if err != nil {
		return err
	}
	if err := l.grow(r, overWebSocket("wsfpm", gateway, "/echo"), l.o.messages); err != nil {
		return err
	}
	for _, v := range l.rivals() {
		if v.fewer == 0 {
			continue
		}
		s, _, err := v.start("growth-"+v.id, 1)
		if err != nil {
			return err
		}
		if err := l.grow(r, overWebSocket(v.name, s, v.path), l.o.messages/v.fewer); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	return nil
}

// grow reads a server's memory at each tenth of the messages.
func (l *lab) grow(r *recorder, p peer, messages int) error {
	if err := l.rest(); err != nil {
		return err
	}
	clients, err := p.open(1)
	if err != nil {
		return err
	}
	tenth := messages / 10
	var memory, lua []float64
	read := func() error {
		bytes, err := residentAll(p.front)
		if err != nil {
			return err
		}
		memory = append(memory, float64(bytes[0]))
		heap, err := luaHeap(p)
		lua = append(lua, heap)
		return err
	}
	for range 10 {
		if _, err := (load{total: tenth, inFlight: 8}).run(clients, newMeter(nil, nil)); err != nil {
			closeAll(clients)
			return err
		}
		if err := read(); err != nil {
			closeAll(clients)
			return err
		}
	}
	closeAll(clients)
	time.Sleep(l.o.length / 4)
	if err := read(); err != nil {
		return err
	}
	v := values{
		"messages":            float64(9 * tenth),
		"bytes_per_message":   (memory[9] - memory[0]) / float64(9*tenth),
		"kilobytes":           (memory[9] - memory[0]) / 1024,
		"kilobytes_once_shut": (memory[10] - memory[0]) / 1024,
	}
	if lua[0] > 0 {
		v["of_it_lua_kilobytes"] = (lua[9] - lua[0]) / 1024
	}
	r.add("growth", p.name, 0, v)
	return nil
}

// luaHeap is the size of the Lua heap of an nginx of one process; 0 for others.
func luaHeap(p peer) (float64, error) {
	if !strings.HasPrefix(p.name, "nginx + Lua") {
		return 0, nil
	}
	answer, err := http.Get("http://" + p.front.address + "/lua-heap")
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return 0, err
	}
	kilobytes, err := strconv.ParseFloat(string(text), 64)
	return kilobytes * 1024, err
}
