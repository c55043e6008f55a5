package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// controlled starts a gateway with a control socket.
func controlled(t *testing.T, s setup, rows ...string) (w *world, socket string) {
	t.Helper()
	socket = filepath.Join(stack.TempDir(t), "control.sock")
	s.options.Top += fmt.Sprintf("\nlisten_mode = \"0666\"\ncontrol = \"unix:%s\"", socket)
	return start(t, s, rows...), socket
}

func TestControlSocketIsForOperatorsOnly(t *testing.T) {
	w, socket := controlled(t, setup{script: "echo.php"}, "5.control", "5.control-browser", "5.control-audit")
	c := w.open()
	c.Send("a message that no log may have")
	c.Next()
	info, err := os.Lstat(socket)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: got %v, %v, want mode 0600 with any listen_mode", info, err)
	}
	ask := func(headers ...string) int { return adminStatus(t, "unix", socket, "/connections", headers...) }
	equal(t, "for a program", ask("Host: localhost"), 200)
	equal(t, "for another Host", ask("Host: evil.example"), 403)
	equal(t, "for a page", ask("Host: localhost", "Origin: http://localhost"), 403)
	equal(t, "for a browser", ask("Host: localhost", "Sec-Fetch-Site: none"), 403)
	line := w.AwaitLog(t, "info", "control", "list connections")
	equal(t, "the uid", line["uid"], any(float64(os.Geteuid())))
	equal(t, "whom", line.Text("whom"), "all")
	w.Logged(t, 1, "info", "list connections")
	if strings.Contains(w.LogText(), "no log may have") {
		t.Error("the log has a client's message")
	}
	w.Edit(t, socket, socket+"2")
	w.Reload()
	w.AwaitLog(t, "warn", "control", "restart")
}

// dialer is a script that asks the control socket, as a plugin of the site could.
const dialer = `<?php
$socket = stream_socket_client('unix://' . file_get_contents('php://input'), $code, $error);
if (!$socket) { exit("no: $error"); }
fwrite($socket, "GET /connections HTTP/1.0\r\nHost: localhost\r\n\r\n");
echo 'got ' . substr(stream_get_contents($socket), 0, 15);
`

func TestControlSocketChecksItsPeer(t *testing.T) {
	stack.Integration(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can run PHP as another user")
	}
	site := stack.FPM(t, stack.FPMOptions{Pool: map[string]string{"user": "www-data", "group": "www-data", "listen.owner": "root"}})
	w, socket := controlled(t, setup{scripts: map[string]string{"dial.php": dialer}, options: stack.GatewayOptions{
		FPM: site, Routes: "[[route]]\npath = \"/dial\"\nscript = \"$DIR/dial.php\"\nevents = [\"message\"]\npublic = true\n"}}, "5.control", "5.control-peer")
	for _, folder := range []string{w.dir, filepath.Dir(socket)} { // they are for the test's own user only
		if err := os.Chmod(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	c := stack.Dial(t, w.URL+"/dial", stack.DialOptions{})
	c.Send(socket)
	if got := string(c.Next().Data); !strings.Contains(got, "Permission denied") {
		t.Errorf("with mode 0600 PHP got %q, want to be kept out", got)
	}
	if err := os.Chmod(socket, 0o666); err != nil { // by mistake
		t.Fatal(err)
	}
	c.Send(socket)
	c.Expect("got ")
	w.AwaitLog(t, "warn", "control socket refused", "neither root")
}
