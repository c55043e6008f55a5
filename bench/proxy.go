package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// proxied measures what an idle connection costs nginx in front of wsfpm, as
// deploy/nginx configures it: memory, and CPU for each ping.
func proxied(l *lab, r *recorder) error {
	if err := l.idlePinged(r, "idle clients at wsfpm itself", false); err != nil {
		return err
	}
	if err := l.idlePinged(r, "idle clients behind nginx", true); err != nil {
		return err
	}
	return l.idleBuffers(r)
}

// idlePinged holds idle connections that are pinged every two seconds, and
// counts CPU while nothing else goes on.
func (l *lab) idlePinged(r *recorder, kase string, behindNginx bool) error {
	interval := min(l.o.ping, 2*time.Second)
	gateway, err := l.startGateway(gatewayOptions{name: fmt.Sprintf("wsfpm-proxied-%t", behindNginx), ping: interval})
	if err != nil {
		return err
	}
	front := gateway
	if behindNginx {
		if front, err = l.startProxy(gateway, proxyOptions{}); err != nil {
			return err
		}
	}
	idle, err := newCrowd()
	if err != nil {
		return err
	}
	defer idle.close()
	headers := browserHeaders(1 << 10)
	dial := func(i int) (*webSocket, error) { // as dialMember, on the path that nginx passes on
		return dialWebSocket(front.address, fmt.Sprintf("/ws/member?u=%d", i), headers, 1, message())
	}
	if _, err := idle.open(warmUps, dialers, dial); err != nil {
		return err
	}
	before, err := residentAll(gateway, front)
	if err != nil {
		return err
	}
	if _, err := idle.open(l.o.proxied, dialers, dial); err != nil {
		return err
	}
	time.Sleep(interval + interval/2) // the last one's first ping, and what connecting leaves to do
	cpu, sent, err := gateway.whilePinged(front, 6*l.o.length)
	if err != nil {
		return err
	}
	after, err := residentAll(gateway, front)
	if err != nil {
		return err
	}
	n := float64(l.o.proxied)
	if left := idle.size(); left != l.o.proxied+warmUps || sent == 0 {
		return fmt.Errorf("%d of %d idle connections are left after %d pings", left, l.o.proxied+warmUps, sent)
	}
	figures := values{
		"connections": n, "wsfpm_rss_bytes": float64(after[0]-before[0]) / n, "wsfpm_cpu_a_ping_us": micros(cpu.front, sent),
	}
	if behindNginx {
		figures["nginx_rss_bytes"] = float64(after[1]-before[1]) / n
		figures["nginx_cpu_a_ping_us"] = micros(cpu.php, sent)
	}
	r.add(kase, "wsfpm", 0, figures)
	return nil
}

// whilePinged is the CPU that a gateway and, as php, another server use while
// nothing but pings and pongs is under way, and the number of pings.
func (s *server) whilePinged(other *server, length time.Duration) (u usage, sent int64, err error) {
	before, err := s.metrics()
	if err != nil {
		return u, 0, err
	}
	m := newMeter(s.pids(), other.pids())
	m.start()
	time.Sleep(length)
	u = m.stop()
	after, err := s.metrics()
	return u, int64(after["wsfpm_pings_total"] - before["wsfpm_pings_total"]), err
}

// proxyOptions says how an nginx differs from the one of deploy/nginx.
type proxyOptions struct {
	name  string
	tls   bool
	extra string // lines inside http { }
}

// startProxy runs nginx in front of a gateway's unix socket.
func (l *lab) startProxy(gateway *server, o proxyOptions) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	site, err := l.site(address, gateway, o)
	if err != nil {
		return nil, err
	}
	return l.runNginx("proxy", address, fill(proxyConfig, "dir", l.dir, "slots", fmt.Sprint(3*l.o.proxied), "extra", o.extra, "site", site))
}

// site is the site of deploy/nginx for an address of nginx and a gateway. Only
// its limits for one address of clients are left out.
func (l *lab) site(address string, gateway *server, o proxyOptions) (string, error) {
	text, err := os.ReadFile(filepath.Join(l.root, "deploy", "nginx", "wsfpm.conf"))
	if err != nil {
		return "", err
	}
	listen := "listen " + address + " backlog=4096;"
	if o.tls {
		lines, err := l.certify()
		if err != nil {
			return "", err
		}
		listen = "listen " + address + " ssl backlog=4096; " + lines
	}
	unlimited := regexp.MustCompile(`(?m)^\s*(limit_|listen \[).*\n`).ReplaceAllString(string(text), "")
	return strings.NewReplacer("listen 80;", listen, "/run/wsfpm/ws.sock", gateway.unix, "/var/log/nginx", l.dir).Replace(unlimited), nil
}

const proxyConfig = `daemon off;
{user}
worker_processes 2;
pid {dir}/proxy.pid;
events { worker_connections {slots}; }
http {
    client_body_temp_path {dir}/proxy-body;
    proxy_temp_path {dir}/proxy-proxy;
    fastcgi_temp_path {dir}/proxy-fastcgi;
    uwsgi_temp_path {dir}/proxy-uwsgi;
    scgi_temp_path {dir}/proxy-scgi;
    {extra}
{site}
}
`

// residentAll is the memory of each server with all of its processes.
func residentAll(servers ...*server) (list []int64, err error) {
	for _, s := range servers {
		var sum int64
		for _, pid := range s.pids() {
			bytes, err := resident(pid)
			if err != nil {
				return nil, err
			}
			sum += bytes
		}
		list = append(list, sum)
	}
	return list, nil
}
