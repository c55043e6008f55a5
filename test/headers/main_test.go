// Package headers sends two hundred hostile handshakes, byte by byte, to PHP-FPM:
// through nginx as docs/contract.md shows it, through an nginx that passes on
// whatever it gets, and straight to wsfpm. A script writes down all that PHP was
// told, and the tests hold it against the contract's rules.
package headers

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "headers", func(*stack.Suite) {}))
}

// way is one way to PHP.
type way struct {
	name    string
	address string // to dial
	nginx   bool   // one is in between
	passes  bool   // and lets through what it thinks invalid
	port    string // SERVER_PORT: the listener's of wsfpm
	dir     string // of the scripts
	file    string // the ledger
}

// told is what PHP was told of one handshake.
type told struct {
	server, env, ini map[string]string
	body             string
}

// ledger reads what the script has written since the last call.
func (w *way) ledger(t *testing.T) (all []told) {
	t.Helper()
	text, err := os.ReadFile(w.file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		var written struct {
			Server, Env, Ini map[string]string
			Body             string
		}
		if err := json.Unmarshal([]byte(line), &written); err != nil {
			t.Fatalf("the ledger has %.200q: %v", line, err)
		}
		all = append(all, told{unhex(t, written.Server), unhex(t, written.Env), unhex(t, written.Ini), written.Body})
	}
	if err := os.Truncate(w.file, 0); err != nil {
		t.Fatal(err)
	}
	return all
}

func unhex(t *testing.T, in map[string]string) map[string]string {
	t.Helper()
	out := make(map[string]string, len(in))
	for name, value := range in {
		n, err := hex.DecodeString(name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := hex.DecodeString(value)
		if err != nil {
			t.Fatal(err)
		}
		out[string(n)] = string(v)
	}
	return out
}

// client is the address that handshakes come from; no gateway trusts it.
const client = "127.0.0.2"

// send writes a set's bytes and returns the status of the answer, 0 when the
// connection ends without one.
func (w *way) send(t *testing.T, s set) int {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}, Timeout: stack.Patience}
	conn, err := dialer.Dial("tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(stack.Patience))
	// A server may answer and hang up before it has read all of it.
	_, _ = conn.Write([]byte(s.request()))
	answer := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(answer, nil)
		if err != nil {
			return 0
		}
		resp.Body.Close()
		if resp.StatusCode != http.StatusContinue {
			return resp.StatusCode
		}
	}
}

// ways starts the servers, with a gateway behind each nginx, which it trusts,
// and one without trusted proxies.
func ways(t *testing.T) []*way {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{})
	script, err := os.ReadFile("testdata/ws.php")
	if err != nil {
		t.Fatal(err)
	}
	var all []*way
	for _, name := range []string{"nginx", "open-nginx", "direct"} {
		w := &way{name: name, nginx: name != "direct", passes: name == "open-nginx", dir: stack.TempDir(t)}
		w.file = filepath.Join(w.dir, "ledger")
		for file, text := range map[string]string{"ledger": "", "ws.php": string(script), "secret.php": "<?php file_put_contents('" + w.file + "', 'secret');"} {
			if err := os.WriteFile(filepath.Join(w.dir, file), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		top := ""
		if !w.nginx {
			top = "trusted_proxies = []"
		}
		route := "\nevents = [\"connect\"]\norigins = [\"*\"]\nparams = { TRACE = \"" + w.file + "\" }\n"
		g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Top: top, Limits: "connections_per_address = 0",
			Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + w.dir + "/ws.php\"" + route})
		w.address = g.Listen
		_, w.port, _ = net.SplitHostPort(g.Listen)
		if w.nginx {
			w.address = nginx(t, g, w.passes).Addr
		}
		all = append(all, w)
	}
	return all
}

// nginx is the block of docs/contract.md for all paths.
func nginx(t *testing.T, g *stack.GatewayServer, passes bool) *stack.NginxServer {
	t.Helper()
	lines := ""
	if passes {
		lines = "underscores_in_headers on; ignore_invalid_headers off; merge_slashes off;"
	}
	return stack.Nginx(t, `
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; `+lines+`
	location / { proxy_pass http://`+g.Listen+`; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; proxy_buffering off; } }`)
}
