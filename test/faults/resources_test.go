package faults

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// resources are what a node holds.
type resources struct{ goroutines, descriptors, memory float64 }

// redisConnections is how many connections for publishing a node keeps at most:
// go-redis' own default.
func redisConnections() float64 { return float64(10 * runtime.GOMAXPROCS(0)) }

// memoryBound is what a node may need for all that goes on here, in bytes; the
// race detector takes its multiple.
const memoryBound = 1 << 30

// giveBack bounds how long everything takes to be given back: disconnects are
// tried for 20 s.
const giveBack = time.Minute

// metrics are all series of a node by their full names; false when it is away.
func (p *programme) metrics(node int) (map[string]float64, bool) {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get(p.world.nodes[node].Admin + "/metrics")
	if err != nil {
		return nil, false
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, false
	}
	m := make(map[string]float64)
	for line := range strings.Lines(string(text)) {
		i := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || i < 0 {
			continue
		}
		m[line[:i]], _ = strconv.ParseFloat(strings.TrimSpace(line[i+1:]), 64)
	}
	return m, true
}

// sum adds up the series of one metric whose labels have all the words.
func sum(m map[string]float64, name string, words ...string) float64 {
	total := 0.0
next:
	for series, value := range m {
		if key, _, _ := strings.Cut(series, "{"); key != name {
			continue
		}
		for _, word := range words {
			if !strings.Contains(series, word) {
				continue next
			}
		}
		total += value
	}
	return total
}

func held(m map[string]float64) resources {
	return resources{m["go_goroutines"], m["process_open_fds"], m["process_resident_memory_bytes"]}
}

// baseline notes what the nodes hold before anything happens.
func (p *programme) baseline() {
	for i := range p.base {
		m, up := p.metrics(i)
		if !up {
			p.t.Fatalf("node %d has no metrics", i+1)
		}
		p.base[i] = held(m)
	}
}

// afterwards checks what is left when all clients have gone.
func (p *programme) afterwards() {
	p.alive()
	p.resolve()
	for i := range p.base {
		p.usesAllWorkers(i)
		p.givesBack(i)
	}
	p.verdict.check(givenBack, len(p.world.fpm.Workers()) == workers, "PHP-FPM has %d workers, want %d", len(p.world.fpm.Workers()), workers)
	p.verdict.check(givenBack, p.peakRSS < memoryBound, "a node needed %.0f MiB", p.peakRSS/(1<<20))
	file, err := os.Open(p.world.ledger)
	if err != nil {
		p.t.Fatalf("open the ledger: %v", err)
	}
	defer file.Close()
	l := newLedger(p.verdict, p.sessions)
	if err := l.read(file); err != nil {
		p.t.Fatalf("read the ledger: %v", err)
	}
	missing := l.compare(&p.windows)
	p.counts["runs of scripts"] = l.begun
	for i := range p.base {
		p.disconnects(i, missing)
	}
}

// alive wants every node to serve a client when everything is mended.
func (p *programme) alive() {
	for node := range p.base {
		rng := newRand(p.verdict.seed, uint64(2000+node))
		s := p.newSession(rng, node)
		w, id, err := dialWire(p.world.toNode[node].address, path(s, []string{"c0"}), bound, nil)
		p.verdict.check(noSilence, err == nil, "node %d refuses clients after the faults have ended: %v", node+1, err)
		if err != nil {
			continue
		}
		s.accepted(id, []string{"c0"}, time.Now())
		if w.send(s.asks("echo", "", time.Now())) == nil {
			p.settle(s, w)
		}
		p.leave(rng, s, w)
		p.keep(s)
	}
}

// givesBack wants a node to hold no more than before.
func (p *programme) givesBack(node int) {
	began := time.Now()
	var m map[string]float64
	var left []string
	for time.Since(began) < giveBack {
		m, _ = p.metrics(node)
		if left = p.leftovers(node, m); len(left) == 0 {
			break
		}
		<-time.After(200 * time.Millisecond)
	}
	p.verdict.check(givenBack, len(left) == 0, "node %d still has %v after %v", node+1, left, giveBack)
	p.t.Logf("node %d gave everything back within %v: %+v, before %+v", node+1, time.Since(began).Round(time.Millisecond), held(m), p.base[node])
}

// leftovers are what a node has not given back.
func (p *programme) leftovers(node int, m map[string]float64) (left []string) {
	want := func(what string, got, most float64) {
		if got > most {
			left = append(left, fmt.Sprintf("%s %v, want %v at most", what, got, most))
		}
	}
	now, before := held(m), p.base[node]
	want("goroutines", now.goroutines, before.goroutines+8)
	want("descriptors", now.descriptors, before.descriptors+8+redisConnections())
	for _, name := range []string{"wsfpm_panics_total", "wsfpm_connections", "wsfpm_inbound_bytes", "wsfpm_fpm_in_use", "wsfpm_fpm_settling",
		"wsfpm_fpm_idle", "wsfpm_fpm_streams", "wsfpm_fpm_waiting", "wsfpm_disconnects_waiting", "wsfpm_sockets", "wsfpm_redis_names", "wsfpm_redis_waiting_bytes"} {
		want(name, sum(m, name), 0)
	}
	opened := m["wsfpm_connections_opened_total"]
	tried := sum(m, "wsfpm_event_duration_seconds_count", `event="disconnect"`)
	given := m["wsfpm_disconnects_lost_total"] // some of them before the first try
	want("connections without a disconnect event", opened-tried-given, 0)
	if m == nil {
		left = append(left, "no metrics")
	}
	return left
}

// disconnects holds the node's own account against the ledger: every connection
// has had its event, and only what the node knows to have failed is missing.
func (p *programme) disconnects(node int, missing map[string]int) {
	m, _ := p.metrics(node)
	p.account(node, m, missing)
}

func (p *programme) account(node int, m map[string]float64, missing map[string]int) {
	name := "wsfpm_event_duration_seconds_count"
	all := sum(m, name, `event="disconnect"`)
	bad := m["wsfpm_disconnects_lost_total"] // those of which something was sent are not tried again
	for _, outcome := range []string{"cut", "timeout", "answer", "refused"} {
		bad += sum(m, name, `event="disconnect"`, `outcome="`+outcome+`"`)
	}
	for id, n := range missing {
		if build := sum(m, "wsfpm_build_info", `node="`+id+`"`); build == 0 {
			continue // an earlier run of the node
		}
		p.verdict.check(oneDisconnect, float64(n) <= bad, "node %d: %d disconnects are missing, and it knows of %v that failed", node+1, n, bad)
	}
	p.counts["slow readers that were closed"] += int(m["wsfpm_slow_readers_total"])
	p.counts["disconnects given up"] += int(m["wsfpm_disconnects_lost_total"])
	p.t.Logf("node %d: %v connections, %v tries to run disconnect, at most %v of them in vain; missing %v; it works with %v of %v workers",
		node+1, m["wsfpm_connections_opened_total"], all, bad, missing, sum(m, "wsfpm_fpm_limit"), sum(m, "wsfpm_fpm_max_connections"))
}
