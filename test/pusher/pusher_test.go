// Package pusher holds examples/php/pusher to the official clients of the Pusher protocol:
// pusher-js, Laravel Echo and the server SDK, unmodified from their packages.
package pusher

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

const folder = "examples/php/pusher"

// one and two are sites with so many nodes, for the tests that leave them as they were.
var one, two *site

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "pusher", func(s *stack.Suite) { one, two = open(s, 1, ""), open(s, 2, "") }))
}

// What Pusher's documentation uses in its examples of signatures.
const appID, appKey, appSecret = "3", "278d425bdf160c739803", "7ad3773142a6692b25b8"

// site is the example as its README installs it.
type site struct {
	fpm   *stack.FPMServer
	redis *stack.RedisServer
	nodes []*stack.GatewayServer
	nginx *stack.NginxServer
	held  string // while this file is there, /app/held has run ws.php and does not end
}

// open runs the example on a number of nodes, with further lines at the top of their configuration.
func open(t stack.T, nodes int, top string) *site {
	t.Helper()
	s := &site{redis: stack.Redis(t, stack.RedisOptions{})}
	params := map[string]string{"PUSHER_APP_ID": appID, "PUSHER_APP_KEY": appKey, "PUSHER_APP_SECRET": appSecret, "WSFPM_REDIS_URL": s.redis.URL()}
	pool := map[string]string{"php_flag[display_errors]": "on"} // the worst: PHP answers 200 to a request that fails
	for name, value := range params {
		pool["env["+name+"]"] = value
	}
	s.fpm = stack.FPM(t, stack.FPMOptions{Children: 6, Pool: pool})
	routes := s.shipped(t, "wsfpm.toml")
	held := stack.Scripts(t, map[string]string{"held.php": "require '" + filepath.Join(stack.Root(t), folder, "ws.php") + "';\n" +
		"while (is_file(__DIR__ . '/hold')) { usleep(1000); clearstatcache(); }\n"})
	s.held = filepath.Join(held, "hold")
	route, _, _ := strings.Cut(routes, "[presence]")
	route = strings.ReplaceAll(route, "/app/"+appKey, "/app/held")
	routes += strings.ReplaceAll(route, filepath.Join(stack.Root(t), folder, "ws.php"), filepath.Join(held, "held.php"))
	for i := range nodes {
		s.nodes = append(s.nodes, stack.Gateway(t, stack.GatewayOptions{Node: fmt.Sprint("node", i+1), FPM: s.fpm, FPMLines: "max_connections = 3\nmax_idle = 2",
			Redis: s.redis.URL(), Limits: "connections_per_address = 0\nmessages_per_second = 0", Routes: routes, LogLevel: "info", Top: top}))
	}
	s.nginx = stack.Nginx(t, s.front(t))
	return s
}

// shipped is a file of the example, with the paths and secrets of this site.
func (s *site) shipped(t stack.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), folder, file))
	if err != nil {
		t.Fatalf("read a file of the example: %v", err)
	}
	replaced := string(text)
	for old, new := range map[string]string{
		"/srv/wsfpm":                      stack.Root(t),
		"my-key":                          appKey,
		`"7"`:                             `"` + appID + `"`,
		"my-secret-of-20-bytes-or-more":   appSecret,
		"redis://127.0.0.1:6379":          s.redis.URL(),
		"unix:/run/php/php8.2-fpm.sock":   "unix:" + s.fpm.Socket,
		"include fastcgi_params":          "include /etc/nginx/fastcgi_params",
		"access_log off":                  "access_log DIR/access.log",
		"http://wsfpm;\n    proxy_http_v": "http://wsfpm;\n    proxy_next_upstream error;\n    proxy_http_v",
	} {
		replaced = strings.ReplaceAll(replaced, old, new)
	}
	return replaced
}

// front is the shipped nginx file in a server with the map and the upstream of the shipped site.
func (s *site) front(t stack.T) string {
	servers := ""
	for _, node := range s.nodes {
		servers += "server " + node.Listen + " max_fails=0; "
	}
	return "map $http_upgrade $wsfpm_upgrade { default \"\"; websocket websocket; }\nupstream wsfpm { " + servers + "}\nserver { listen LISTEN;\n" +
		s.shipped(t, "nginx.conf") + "}"
}

// node starts a Node program of this folder. Clients connect to the ports in turn.
func (s *site) node(t *testing.T, program string, ports ...string) *exec.Cmd {
	t.Helper()
	if _, err := os.Stat("node_modules/pusher-js"); err != nil {
		t.Fatal("the packages of the clients are not installed: (cd test/pusher && npm ci)")
	}
	_, api, _ := net.SplitHostPort(s.nginx.Addr)
	if len(ports) == 0 {
		ports = []string{api}
	}
	cmd := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), program)
	cmd.Env = append(os.Environ(), "APP_ID="+appID, "APP_KEY="+appKey, "APP_SECRET="+appSecret, "API="+api, "PORTS="+strings.Join(ports, ","),
		fmt.Sprintf("PUSHER_URL=http://%s:%s@%s/apps/%s", appKey, appSecret, s.nginx.Addr, appID))
	return cmd
}

// ports are those of the nodes.
func (s *site) ports() (all []string) {
	for _, node := range s.nodes {
		_, port, _ := net.SplitHostPort(node.Listen)
		all = append(all, port)
	}
	return all
}

// run runs a program whose lines are checks, each of which becomes a test. It returns their number.
func (s *site) run(t *testing.T, program string, ports ...string) (checks int) {
	t.Helper()
	lines(t, s.node(t, program, ports...), func(line []byte) {
		var result struct{ Check, Error string }
		if err := json.Unmarshal(line, &result); err != nil {
			t.Fatalf("%s: line %q: %v", program, line, err)
		}
		checks++
		t.Run(result.Check, func(t *testing.T) {
			if result.Error != "" {
				t.Error(result.Error)
			}
		})
	})
	return checks
}

// quiet wants no failed event, and no complaint of PHP.
func (s *site) quiet(t *testing.T) {
	t.Helper()
	for _, node := range s.nodes {
		for _, line := range append(node.LogLines("error"), node.LogLines("", "event failed")...) {
			t.Errorf("the gateway logged %v", line)
		}
	}
	if log := s.fpm.Log(); strings.Contains(log, "PHP ") {
		t.Errorf("PHP complains: %s", log)
	}
}

const checks = 22

func TestTheOfficialClientsOnOneNode(t *testing.T) {
	stack.Integration(t)
	s := one
	if n := s.run(t, "checks.mjs"); n != checks {
		t.Errorf("%d checks, want %d", n, checks)
	}
	s.quiet(t)
}

func TestTheOfficialClientsOnTwoNodes(t *testing.T) {
	stack.Integration(t)
	s := two
	if n := s.run(t, "checks.mjs"); n != checks { // nginx gives them to the nodes in turn
		t.Errorf("%d checks, want %d", n, checks)
	}
	for _, node := range s.nodes {
		if n := node.Metric(t, "wsfpm_connections_opened_total"); n < 25 {
			t.Errorf("a node has had %v connections", n)
		}
	}
	s.quiet(t)
}

func TestTheServerSDKsOwnRemoteTests(t *testing.T) {
	stack.Integration(t)
	if n := one.run(t, "remote.mjs"); n != 5 {
		t.Errorf("%d tests, want 5", n)
	}
}
