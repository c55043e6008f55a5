package deploy

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"wsfpm/test/fcgitest"
	"wsfpm/test/stack"
)

// failTimeout is for how long nginx leaves a server out that has refused a
// connection, unless max_fails is 0.
const failTimeout = 10 * time.Second

// balanced is the shipped nginx file with its "More gateways" in force.
func balanced(t *testing.T, nodes [2]*stack.GatewayServer) *stack.NginxServer {
	t.Helper()
	conf := regexp.MustCompile(`(?m)^\s*(listen\s+\[::\]|server unix:)[^;]*;`).ReplaceAllString(read(t, "deploy/nginx/wsfpm.conf"), "")
	for old, new := range map[string]string{
		"#   least_conn;":             "least_conn;",
		"#   server 10.0.0.11:8080":   "server " + nodes[0].Listen,
		"#   server 10.0.0.12:8080":   "server " + nodes[1].Listen,
		"listen 80;":                  "listen LISTEN;",
		"/var/log/nginx":              "DIR",
		"include fastcgi_params":      "include /etc/nginx/fastcgi_params",
		"rate=5r/s":                   "rate=1000r/s",
		"limit_conn wsfpm_sockets 50": "limit_conn wsfpm_sockets 1000",
	} {
		if !strings.Contains(conf, old) {
			t.Fatalf("deploy/nginx/wsfpm.conf has no %q", old)
		}
		conf = strings.Replace(conf, old, new, 1)
	}
	return stack.Nginx(t, conf)
}

// handshake is the status that a newcomer gets, 0 without an answer.
func handshake(url string) int {
	request, _ := http.NewRequest("GET", url, nil)
	for name, value := range map[string]string{"Connection": "Upgrade", "Upgrade": "websocket",
		"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ=="} {
		request.Header.Set(name, value)
	}
	answer, err := (&http.Client{Timeout: stack.Patience}).Do(request)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

// newcomers shake hands twenty times a second.
type newcomers struct {
	entered atomic.Int64
	longest time.Duration // without a successful handshake; read it after the end
	refusal string        // the last one
}

// come runs until end is closed.
func (n *newcomers) come(url string, end <-chan struct{}) {
	last := time.Now()
	for pace := time.NewTicker(50 * time.Millisecond); ; {
		select {
		case <-end:
			pace.Stop()
			return
		case <-pace.C:
		}
		if status := handshake(url); status != http.StatusSwitchingProtocols {
			n.refusal = fmt.Sprint("status ", status)
			continue
		}
		n.entered.Add(1)
		n.longest = max(n.longest, time.Since(last))
		last = time.Now()
	}
}

func TestNewcomersGetInWhileTwoGatewaysRestartInTurn(t *testing.T) {
	stack.Integration(t)
	fpm := scripted(t, func(w *fcgitest.Writer, r *fcgitest.Request) { w.Stdout("Content-Type: text/plain\r\n\r\n") })
	var nodes [2]*stack.GatewayServer
	for i := range nodes {
		nodes[i] = stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: fpm, LogLevel: "info",
			Limits: "connections_per_address = 0", Routes: "[[route]]\npath = \"/ws/x\"\nscript = \"/srv/x.php\"\n"})
	}
	nginx := balanced(t, nodes)
	var n newcomers
	var coming sync.WaitGroup
	end := make(chan struct{})
	coming.Go(func() { n.come(nginx.URL()+"/ws/x", end) })
	for _, node := range nodes {
		node.Stop(t)
		refused := regexp.MustCompile(`refused\) while connecting to upstream,.*` + regexp.QuoteMeta(node.Listen))
		stack.Wait(t, "nginx to find a gateway gone", func() bool { return refused.MatchString(nginx.Log()) })
		node.Start(t)
		before := n.entered.Load()
		stack.WaitWithin(t, 20*time.Second, "a second of newcomers", func() bool { return n.entered.Load() > before+20 })
	}
	close(end)
	coming.Wait()
	if n.longest > failTimeout/2 {
		t.Errorf("no handshake succeeded for %v (%s), want a moment", n.longest, n.refusal)
	}
}
