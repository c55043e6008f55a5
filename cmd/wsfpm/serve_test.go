package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// patience is how long a test waits for what must happen.
const patience = time.Minute

// running is a server in this process, controlled by its channel of signals.
type running struct {
	*server
	t       *testing.T
	file    string
	sock    string
	signals chan os.Signal
	ended   chan error
	logs    *observer.ObservedLogs
}

// run starts a server from a file. It is stopped with the test, unless that has
// done so.
func run(t *testing.T, doc string) *running {
	t.Helper()
	dir := t.TempDir()
	r := &running{t: t, file: filepath.Join(dir, "wsfpm.toml"), sock: filepath.Join(dir, "ws.sock"), signals: make(chan os.Signal, 8), ended: make(chan error, 1)}
	r.write(doc)
	core, logs := observer.New(zap.DebugLevel)
	r.logs = logs
	source := config.Source{File: r.file, Flags: map[string]string{"listen": "unix:" + r.sock, "admin": "unix:" + filepath.Join(dir, "admin.sock")}}
	cfg, err := config.Load(source)
	if err != nil {
		t.Fatal(err)
	}
	r.server = &server{source: source, log: zap.New(core), level: zap.NewAtomicLevel(), failed: make(chan error, 1)}
	if err := r.start(cfg); err != nil {
		t.Fatal(err)
	}
	go func() {
		stop := r.watchdog()
		defer stop()
		why := r.wait(r.signals)
		r.ended <- errors.Join(why, r.drain(r.signals))
	}()
	t.Cleanup(func() {
		r.signals <- unix.SIGTERM
		select {
		case <-r.ended:
		case <-time.After(patience):
			t.Error("the server did not end")
		}
	})
	return r
}

func (r *running) write(doc string) {
	r.t.Helper()
	if err := os.WriteFile(r.file, []byte(doc), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// await waits for a log line.
func (r *running) await(message string) observer.LoggedEntry {
	r.t.Helper()
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if found := r.logs.FilterMessage(message); found.Len() > 0 {
			return found.All()[0]
		}
	}
	r.t.Fatalf("nothing was logged with %q", message)
	return observer.LoggedEntry{}
}

// request sends raw bytes to clients' listener and reads the answer.
func (r *running) request(raw string) *http.Response {
	r.t.Helper()
	conn, err := net.Dial("unix", r.sock)
	if err != nil {
		r.t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, raw); err != nil {
		r.t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		r.t.Fatal(err)
	}
	_ = response.Body.Close()
	return response
}

// operate sends a request to the admin listener and returns its status and answer.
func (r *running) operate(path string) (int, string) {
	r.t.Helper()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", filepath.Join(filepath.Dir(r.file), "admin.sock"))
	}}
	client := http.Client{Timeout: patience, Transport: transport}
	response, err := client.Get("http://localhost" + path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

const plain = "drain = \"0s\"\n[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n"

func TestReloadTakesEffectAndNamesKeysThatNeedARestart(t *testing.T) {
	r := run(t, plain)
	r.write("node = \"renamed\"\n" + plain + "[log]\nlevel = \"debug\"\n[[route]]\npath = \"/new\"\nscript = \"/srv/new.php\"\n")
	r.signals <- unix.SIGHUP
	r.await("reloaded configuration")
	if got := fmt.Sprint(r.await("changed keys need a restart to take effect").ContextMap()["keys"]); got != "[node]" {
		t.Errorf("got keys %s, want [node]", got)
	}
	if r.level.Level() != zap.DebugLevel {
		t.Errorf("got log level %v, want debug", r.level.Level())
	}
	if got := r.request("GET /new HTTP/1.1\r\nHost: a\r\n\r\n").StatusCode; got != http.StatusUpgradeRequired {
		t.Errorf("got status %d for the new route, want 426", got)
	}
}

func (r *running) expectConfigCurrent(want int) {
	r.t.Helper()
	if _, text := r.operate("/metrics"); !strings.Contains(text, fmt.Sprintf("\nwsfpm_config_current %d\n", want)) {
		r.t.Errorf("want wsfpm_config_current %d", want)
	}
}

func TestInvalidFileKeepsThePreviousConfiguration(t *testing.T) {
	r := run(t, plain)
	r.expectConfigCurrent(1)
	r.write("nonsense = 1\n")
	r.signals <- unix.SIGHUP
	entry := r.await("reload failed; keeping previous configuration")
	if got := fmt.Sprint(entry.ContextMap()["error"]); !strings.Contains(got, "nonsense: unknown key") {
		t.Errorf("got %s, want the problem", got)
	}
	if got := r.request("GET /ws HTTP/1.1\r\nHost: a\r\n\r\n").StatusCode; got != http.StatusUpgradeRequired {
		t.Errorf("got status %d for the old route, want 426", got)
	}
	r.expectConfigCurrent(0)
	r.write(plain)
	r.signals <- unix.SIGHUP
	r.await("reloaded configuration")
	r.expectConfigCurrent(1)
}

func TestAReloadShowsNoPassword(t *testing.T) {
	r := run(t, plain)
	r.write(plain + "[redis]\nurl = \"redis://app:hush/x@h\"\n")
	r.signals <- unix.SIGHUP
	entry := r.await("reload failed; keeping previous configuration")
	if got := fmt.Sprint(entry.ContextMap()["error"]); !strings.Contains(got, "redis.url: has a character that must be escaped") || strings.Contains(got, "hush") {
		t.Errorf("got %s, want the problem without the password", got)
	}
}

func TestHeadersBeyondTheLimitAreRefused(t *testing.T) {
	r := run(t, plain+"[limits]\nhandshake_headers = \"8KiB\"\n")
	for size, want := range map[int]int{7 << 10: http.StatusUpgradeRequired, 9 << 10: http.StatusRequestHeaderFieldsTooLarge} {
		got := r.request("GET /ws HTTP/1.1\r\nHost: a\r\nCookie: " + strings.Repeat("x", size) + "\r\n\r\n").StatusCode
		if got != want {
			t.Errorf("%d bytes: got status %d, want %d", size, got, want)
		}
	}
}

func TestOnlyHTTP1IsSpoken(t *testing.T) {
	r := run(t, plain)
	if got := r.request("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); got.ProtoMajor != 1 || got.StatusCode < 400 {
		t.Errorf("got %s %s, want a refusal in HTTP/1", got.Proto, got.Status)
	}
	got := r.request("GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n")
	if got.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("got status %d for h2c, want 426", got.StatusCode)
	}
}

func TestSystemdIsNotifiedOfEachStep(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "20000")
	t.Setenv("WATCHDOG_PID", fmt.Sprint(os.Getpid()))
	r := run(t, plain)
	expectNotice(t, systemd, "READY=1")
	expectNotice(t, systemd, "WATCHDOG=1")
	r.signals <- unix.SIGHUP
	expectNotice(t, systemd, "RELOADING=1\nMONOTONIC_USEC=")
	expectNotice(t, systemd, "READY=1")
	r.signals <- unix.SIGTERM
	expectNotice(t, systemd, "STOPPING=1")
}

// expectNotice reads states for systemd until one begins as wanted.
func expectNotice(t *testing.T, systemd *net.UnixConn, want string) {
	t.Helper()
	_ = systemd.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 1024)
	for {
		n, err := systemd.Read(buf)
		if err != nil {
			t.Fatalf("systemd was not notified of %q: %v", want, err)
		}
		if strings.HasPrefix(string(buf[:n]), want) {
			return
		}
	}
}

func TestLostListenerEndsTheServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, plain)
	r.accept(r.public, l)
	_ = l.Close()
	select {
	case err := <-r.ended:
		if err == nil || !strings.Contains(err.Error(), "listener "+l.Addr().String()+" ended") {
			t.Errorf("got %v, want an error that names the listener", err)
		}
		r.ended <- nil // for the cleanup
	case <-time.After(patience):
		t.Fatal("the server is still running")
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	signals := make(chan os.Signal, 2)
	signals <- unix.SIGHUP // means nothing any more
	signals <- unix.SIGTERM
	err := awaitEnd(make(chan error), signals)
	if err == nil || !strings.Contains(err.Error(), "aborted by terminated") {
		t.Errorf("got %v, want an error that names the signal", err)
	}
}

func TestSystemdsSocketIsServedAndStaysOpen(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	passed, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	command := exec.Command("sh", "-c", "LISTEN_PID=$$ LISTEN_FDS=1 exec wsfpm serve --listen systemd --script /srv/ws.php")
	command.ExtraFiles = []*os.File{passed}
	var stderr strings.Builder
	command.Stderr = &stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Get("http://" + l.Addr().String() + "/")
	if err != nil {
		t.Error(err)
	} else if _ = response.Body.Close(); response.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("got status %d, want 426", response.StatusCode)
	}
	_ = command.Process.Signal(unix.SIGTERM)
	if err := command.Wait(); err != nil {
		t.Errorf("%v: %s", err, stderr.String())
	}
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatalf("a client cannot wait for the next process: %v", err)
	}
	_ = conn.Close()
}
