package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"wsfpm/fcgi"
)

// peer is one of those that are compared by messages.
type peer struct {
	name    string
	front   *server // answers the clients; nil: this process itself does the work
	between *server // stands between the front and PHP; nil: nothing does
	open    func(n int) ([]client, error)
}

// message is what everybody sends: 64 bytes.
func message() []byte { return []byte(strings.Repeat("wsfpm 64", 8)) }

// echo compares messages through PHP and back: the same script, the same bytes.
func echo(l *lab, r *recorder) error {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm"})
	if err != nil {
		return err
	}
	peers, err := l.echoPeers(gateway)
	if err != nil {
		return err
	}
	for _, n := range l.o.clients {
		for round := range l.o.rounds {
			for _, p := range peers {
				if err := l.echoOnce(r, p, n, round); err != nil {
					return fmt.Errorf("%s with %d clients: %w", p.name, n, err)
				}
			}
			for _, p := range peers {
				if err := l.wrk(r, p, n, round); err != nil {
					return err
				}
			}
		}
	}
	if err := l.allocations(r, gateway); err != nil {
		return err
	}
	return l.profile(gateway)
}

// echoPeers starts the servers that wsfpm is compared with.
func (l *lab) echoPeers(gateway *server) ([]peer, error) {
	fresh, err := l.startNginx(nginxOptions{name: "nginx"})
	if err != nil {
		return nil, err
	}
	kept, err := l.startNginx(nginxOptions{name: "nginx-kept", keep: true})
	if err != nil {
		return nil, err
	}
	peers := []peer{
		overWebSocket("wsfpm", gateway, "/echo"),
		overHTTP("nginx", fresh, "/echo.php"),
		overHTTP("nginx, kept connections", kept, "/echo.php"),
		{name: "fcgi.Pool", open: l.openPool},
		{name: "raw FastCGI", open: l.openRaw},
	}
	for _, v := range l.rivals() {
		front, between, err := v.start(v.id, 0)
		if err != nil {
			return nil, err
		}
		p := overWebSocket(v.name, front, v.path)
		p.between = between
		peers = append(peers, p)
	}
	return peers, nil
}

func overWebSocket(name string, s *server, path string) peer {
	return peer{name: name, front: s, open: func(n int) ([]client, error) {
		return openAll(n, func(int) (client, error) { return dialWebSocket(s.address, path, "", 0, message()) })
	}}
}

func overHTTP(name string, s *server, path string) peer {
	return peer{name: name, front: s, open: func(n int) ([]client, error) {
		return openAll(n, func(int) (client, error) { return dialHTTP(s.address, path, message(), message()) })
	}}
}

// openPool makes callers of package fcgi, with one pool for all.
func (l *lab) openPool(n int) ([]client, error) {
	pool, err := fcgi.NewPool(fcgi.Config{Address: l.socket, MaxConnections: workers, MaxIdle: workers, IdleTimeout: 300 * time.Millisecond, QueueWait: 10 * time.Second, Share: 1})
	if err != nil {
		return nil, err
	}
	env, err := fcgi.NewEnv(scriptParams(l.script("echo.php"), "POST"))
	if err != nil {
		return nil, err
	}
	return openAll(n, func(int) (client, error) {
		return &pooled{pool: pool, request: fcgi.Request{Env: env, Body: message()}, want: message()}, nil
	})
}

// openRaw makes callers that share raw connections, one for each worker.
func (l *lab) openRaw(n int) ([]client, error) {
	free := make(chan *rawConn, workers)
	for range min(n, workers) {
		c, err := dialRaw(l.socket, scriptParams(l.script("echo.php"), "POST"), message(), message())
		if err != nil {
			return nil, err
		}
		free <- c
	}
	return openAll(n, func(int) (client, error) { return rawShared{free}, nil })
}

// echoOnce is one turn of one peer.
func (l *lab) echoOnce(r *recorder, p peer, n, round int) error {
	if err := l.rest(); err != nil {
		return err
	}
	clients, err := p.open(n)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	o, err := load{warmUp: l.o.warmUp, length: l.o.length}.run(clients, newMeter(p.front.pids(), l.phpPIDs(), p.between.pids()...))
	if err != nil {
		return err
	}
	front := o.usage.front + o.usage.between
	if p.front == nil {
		front = o.usage.own
	}
	v := values{
		"per_second": o.perSecond(),
		"p50_us":     micros(o.latency.quantile(0.5), 1),
		"p99_us":     micros(o.latency.quantile(0.99), 1),
		"max_us":     micros(o.latency.max, 1),
		"cpu_us":     micros(front, o.done),
		"php_cpu_us": micros(o.usage.php, o.done),
		"all_cpu_us": micros(front+o.usage.php, o.done),
		"own_cpu_us": micros(o.usage.own, o.done),
		"starved":    float64(o.starved),
	}
	if p.between != nil {
		v["gateway_cpu_us"] = micros(o.usage.front, o.done)
	}
	r.add(clientsCase(n), p.name, round, v)
	return nil
}

func clientsCase(n int) string {
	if n == 1 {
		return "1 client"
	}
	return fmt.Sprintf("%d clients", n)
}

// wrkScript makes wrk send the same request.
const wrkScript = `wrk.method = "POST"
wrk.headers["Content-Type"] = "text/plain"
wrk.body = string.rep("wsfpm 64", 8)
`

// wrk lets the usual HTTP load generator measure the same, if it is installed
// and the peer speaks HTTP: to verify our generator compare both.
func (l *lab) wrk(r *recorder, p peer, n, round int) error {
	binary, err := tool("wrk")
	if err != nil || p.name != "nginx" && p.name != "nginx, kept connections" {
		return nil
	}
	if err := l.rest(); err != nil {
		return err
	}
	script, err := l.write("echo.lua", wrkScript)
	if err != nil {
		return err
	}
	clients, err := p.open(1) // for the address
	if err != nil {
		return err
	}
	url := "http://" + clients[0].(*webClient).conn.RemoteAddr().String() + "/echo.php"
	closeAll(clients)
	seconds := max(1, int(l.o.length.Seconds()))
	out, err := exec.Command(binary, "-t", strconv.Itoa(min(2, n)), "-c", strconv.Itoa(n), "-d", strconv.Itoa(seconds), "--latency", "-s", script, url).CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w\n%s", err, out)
	}
	v, err := parseWrk(string(out))
	if err != nil {
		return err
	}
	r.add(clientsCase(n), "wrk on "+p.name, round, v)
	return nil
}

// parseWrk takes the figures out of what wrk prints.
func parseWrk(out string) (values, error) {
	v := values{}
	for name, pattern := range map[string]string{"per_second": `Requests/sec:\s+(\S+)`, "p50_us": `(?m)^ +50% +(\S+)`, "p99_us": `(?m)^ +99% +(\S+)`} {
		found := regexp.MustCompile(pattern).FindStringSubmatch(out)
		if found == nil {
			return nil, fmt.Errorf("wrk printed no %s:\n%s", name, out)
		}
		if name == "per_second" {
			v[name], _ = strconv.ParseFloat(found[1], 64)
			continue
		}
		d, err := time.ParseDuration(found[1])
		if err != nil {
			return nil, err
		}
		v[name] = micros(d, 1)
	}
	return v, nil
}

// allocations counts what wsfpm allocates for a message, by its own metrics.
func (l *lab) allocations(r *recorder, gateway *server) error {
	const n, each = 16, 2_000
	clients, err := overWebSocket("", gateway, "/echo").open(n)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	before, err := gateway.metrics()
	if err != nil {
		return err
	}
	if _, err := (load{total: each}).run(clients, newMeter(nil, nil)); err != nil {
		return err
	}
	after, err := gateway.metrics()
	if err != nil {
		return err
	}
	const count, bytes = "go_memstats_mallocs_total", "go_memstats_alloc_bytes_total"
	r.add("allocations", "wsfpm", 0, values{
		"allocations": (after[count] - before[count]) / (n * each),
		"bytes":       (after[bytes] - before[bytes]) / (n * each),
	})
	return nil
}

// profile keeps profiles of wsfpm at work for 16 clients.
func (l *lab) profile(gateway *server) error {
	if l.o.profile == "" {
		return nil
	}
	if err := l.rest(); err != nil {
		return err
	}
	clients, err := overWebSocket("", gateway, "/echo").open(16)
	if err != nil {
		return err
	}
	defer closeAll(clients)
	loaded := make(chan error, 1)
	seconds := max(1, int(3*l.o.length.Seconds()))
	go func() {
		_, err := load{length: time.Duration(seconds+2) * time.Second}.run(clients, newMeter(nil, nil))
		loaded <- err
	}()
	for _, each := range []struct{ file, path string }{
		{"allocs-before", "/debug/pprof/allocs"},
		{"cpu", fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds)},
		{"allocs-after", "/debug/pprof/allocs"},
	} {
		if err := l.saveProfile(gateway, each.file, each.path); err != nil {
			return err
		}
	}
	return <-loaded
}

// saveProfile keeps one profile of wsfpm, if profiles were asked for.
func (l *lab) saveProfile(s *server, name, path string) error {
	if l.o.profile == "" {
		return nil
	}
	if err := os.MkdirAll(l.o.profile, 0o755); err != nil {
		return err
	}
	text, err := s.ask(path)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(l.o.profile, name+".pprof"), text, 0o644)
}
