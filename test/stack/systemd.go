package stack

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Activated is a wsfpm that got its listening socket from its parent, as from
// systemd. The socket stays open while no wsfpm runs.
type Activated struct {
	*GatewayServer
	socket *os.File
}

// SocketActivated runs wsfpm with one listening socket in LISTEN_FDS; the
// configuration must say listen = "systemd".
func SocketActivated(t *testing.T, file string) *Activated {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	g := &GatewayServer{Listen: l.Addr().String(), URL: "ws://" + l.Addr().String(), binary: Binary(t), out: &output{}}
	g.opt.NotReady = true
	g.Config = filepath.Join(TempDir(t), "wsfpm.toml")
	g.WriteConfig(t, file)
	showLog(t, "wsfpm", g.out.String)
	t.Cleanup(func() { g.over(t) })
	a := &Activated{GatewayServer: g, socket: socket}
	a.Successor(t)
	return a
}

// Successor runs the next wsfpm on the same socket.
func (a *Activated) Successor(t *testing.T) {
	t.Helper()
	// The shell sets LISTEN_PID to the process id that wsfpm then has.
	cmd := exec.Command("/bin/sh", "-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" serve --config "$1"`, a.binary, a.Config)
	cmd.Env = environ()
	cmd.ExtraFiles = []*os.File{a.socket}
	a.proc = startProcess(t, "wsfpm", a.out, cmd)
}

// UnixPost sends JSON to an HTTP server on a unix socket and returns its answer.
func UnixPost(t T, socket, path, body string) (int, string) {
	t.Helper()
	client := http.Client{Timeout: Patience, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		},
	}}
	resp, err := client.Post("http://localhost"+path, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("POST %s: %v", path, err)
	}
	return resp.StatusCode, string(text)
}
