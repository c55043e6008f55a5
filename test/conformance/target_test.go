package conformance

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/test/fcgitest"
	"wsfpm/test/stack"
)

// Limits that targets run with, as lines of [limits]. Only brisk ones ping by
// themselves.
const (
	// wide lets pass what the matrix sends.
	wide = "messages_per_second = 0\ncontrol_rate = 0\nmax_fragments = 0\nping_interval = 0\nconnections_per_address = 0\n"
	// usual are the defaults, but for the number of messages.
	usual = "messages_per_second = 0\nping_interval = 0\nconnections_per_address = 0\n"
	// brisk runs out of patience soon.
	brisk = "ping_interval = \"200ms\"\npong_timeout = \"1s\"\nassembly_timeout = \"500ms\"\nhandshake_timeout = \"500ms\"\n"
)

// messageLimit is the message_limit of /echo; /small has a smaller one. Both
// have a twin that compresses, /packed and /packed-small.
const (
	messageLimit = 16 * mib
	smallLimit   = 64 * kib
)

// target is a gateway whose script echoes messages.
type target struct {
	name    string
	address string // of the listener, HOST:PORT
	state   string // a folder that the script knows, see ended and gate
	memory  func() int64
	race    bool // memory is that of a process with the race detector
}

// forEachTarget runs a test against a gateway in this process and, when real
// servers were asked for, against the binary and PHP-FPM.
func forEachTarget(t *testing.T, limits string, test func(*testing.T, *target)) {
	t.Run("in-process", func(t *testing.T) { test(t, inProcess(t, limits)) })
	if stack.Enabled() {
		t.Run("real", func(t *testing.T) { test(t, realServers(t, limits)) })
	}
}

// routes are the tables for a script.
func routes(script, state string) string {
	var b strings.Builder
	for path, limit := range map[string]int{"/echo": messageLimit, "/small": smallLimit, "/packed": messageLimit, "/packed-small": smallLimit} {
		fmt.Fprintf(&b, "[[route]]\npath = %q\nscript = %q\nmessage_limit = %d\ncompression = %t\nanswer_limit = \"64MiB\"\nparams = { STATE = %q }\n",
			path, script, limit, strings.HasPrefix(path, "/packed"), state)
	}
	return b.String()
}

// stateFolder is where the script writes down how connections ended.
func stateFolder(t *testing.T) string {
	t.Helper()
	dir := stack.TempDir(t)
	if err := os.WriteFile(filepath.Join(dir, "ended"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

// inProcess runs a gateway in this process over a scripted FastCGI server.
func inProcess(t *testing.T, limits string) *target {
	t.Helper()
	at := &target{name: "in-process", state: stateFolder(t), memory: heap}
	fpm := fcgitest.NewServer(echoScript, fcgitest.Options{Workers: 8})
	t.Cleanup(fpm.Close)
	file := filepath.Join(at.state, "wsfpm.toml")
	text := fmt.Sprintf("drain = \"100ms\"\n[fpm.default]\naddress = %q\nmax_connections = 8\nmax_idle = 8\n[limits]\n%s\n%s",
		fpm.Network+":"+fpm.Address, limits, routes("/srv/echo.php", at.state))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Load(config.Source{File: file})
	if err != nil {
		t.Fatal(err)
	}
	alone, err := bus.New(bus.Config{})
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(gateway.Options{Config: cfg, Bus: alone})
	if err != nil {
		t.Fatal(err)
	}
	at.address = serve(t, g, cfg)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
		defer cancel()
		if n := g.Drain(ctx); n > 0 {
			t.Errorf("gave up %d connections", n)
		}
		if err := g.Close(ctx); err != nil {
			t.Error(err)
		}
		_ = alone.Close()
	})
	return at
}

// serve lets an HTTP server like that of the binary answer on a free port.
func serve(t *testing.T, handler http.Handler, cfg *config.Config) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	server := &http.Server{
		Handler:           handler,
		Protocols:         protocols,
		ReadHeaderTimeout: time.Duration(cfg.Limits.HandshakeTimeout),
		MaxHeaderBytes:    int(cfg.Limits.HandshakeHeaders) - 4096,
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // ends with Close
	}()
	t.Cleanup(func() {
		_ = server.Close()
		<-done
	})
	return l.Addr().String()
}

// echoScript does what echo.php does.
func echoScript(w *fcgitest.Writer, r *fcgitest.Request) {
	const plain, commands = "Content-Type: text/plain\r\n\r\n", "Content-Type: application/vnd.wsfpm+json\r\n\r\n"
	state := r.Params["STATE"]
	switch r.Params["WS_EVENT"] {
	case "connect":
		if gate := r.Params["QUERY_STRING"]; gate != "" {
			awaitFile(filepath.Join(state, gate))
		}
	case "disconnect":
		appendLine(filepath.Join(state, "ended"), r.Params["WS_CLOSE_CODE"])
	case "message":
		answer := map[string]string{"data": string(r.Body)}
		if r.Params["WS_OPCODE"] == "binary" {
			answer = map[string]string{"base64": base64.StdEncoding.EncodeToString(r.Body)}
		}
		body, err := json.Marshal(answer)
		if err != nil {
			panic(err) // strings always can be encoded
		}
		w.Raw(fcgitest.Bytes(commands + string(body)))
		w.Ended()
		return
	}
	w.Stdout(plain)
}

// awaitFile waits until a file is there.
func awaitFile(path string) {
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
	}
}

// appendLine writes a line at the end of a file, in one call.
func appendLine(path, line string) {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return // the test is over, and its folder gone
	}
	defer f.Close()
	_, _ = f.WriteString(line + "\n") // missed where it is awaited
}

// heap is the memory in use in this process.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// realServers runs the binary and PHP-FPM.
func realServers(t *testing.T, limits string) *target {
	t.Helper()
	at := &target{name: "binary and PHP-FPM", state: stateFolder(t)}
	fpm := stack.FPM(t, stack.FPMOptions{Children: 8, Ini: map[string]string{"post_max_size": "64M", "memory_limit": "512M"}})
	source, err := os.ReadFile("testdata/echo.php")
	if err != nil {
		t.Fatal(err)
	}
	dir := stack.Scripts(t, map[string]string{"conformance.php": string(source)})
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, FPMLines: "max_connections = 8\nmax_idle = 8",
		Limits: limits, Routes: routes(filepath.Join(dir, "conformance.php"), at.state)})
	at.address = g.Listen
	at.race = stack.RaceBuilt(stack.Binary(t))
	at.memory = func() int64 { return resident(t, g.PID()) }
	return at
}

// resident is a process's memory.
func resident(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		t.Fatal(err)
	}
	var size, pages int64
	if _, err := fmt.Sscan(string(status), &size, &pages); err != nil {
		t.Fatal(err)
	}
	return pages * int64(os.Getpagesize())
}

// connect opens a connection that is closed with the test.
func (at *target) connect(t *testing.T) *client {
	t.Helper()
	c, err := connect(at.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// open is connect with a handshake.
func (at *target) open(t *testing.T, path string) *client {
	t.Helper()
	c, err := open(at.address, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// ended is how often connections ended with each close code, as the script
// was told.
func (at *target) ended(t *testing.T) map[string]int {
	t.Helper()
	lines, err := os.ReadFile(filepath.Join(at.state, "ended"))
	if err != nil {
		t.Fatal(err)
	}
	codes := make(map[string]int)
	for line := range strings.Lines(string(lines)) {
		codes[strings.TrimSpace(line)]++
	}
	return codes
}

// awaitEnded waits until so many connections have ended with a code.
func (at *target) awaitEnded(t *testing.T, code string, n int) {
	t.Helper()
	stack.Wait(t, fmt.Sprintf("%d ends with %s", n, code), func() bool { return at.ended(t)[code] >= n })
}
