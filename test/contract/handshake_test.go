package contract

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// answerBlock is the answer to a handshake with further lines, as it comes over
// the wire, up to its empty line.
func (w *world) answerBlock(version string, lines ...string) string {
	w.t.Helper()
	conn, err := net.Dial("tcp", w.Listen)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(stack.Patience))
	fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: %s\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n\r\n", w.Listen, version, strings.Join(lines, "\r\n"))
	var block strings.Builder
	for one := make([]byte, 1); !strings.HasSuffix(block.String(), "\r\n\r\n"); block.Write(one) {
		if _, err := io.ReadFull(conn, one); err != nil {
			w.t.Fatalf("the answer ends at %q: %v", block.String(), err)
		}
	}
	return block.String()
}

func TestHeaderNamesHaveTheirAuthorsSpelling(t *testing.T) {
	w := start(t, setup{script: `header('X-DeviceID: 7');`, route: "protocols = [\"v1\"]\ncompression = true"}, "2.header-spelling")
	accepted := w.answerBlock("13", "Sec-WebSocket-Protocol: v1", "Sec-WebSocket-Extensions: permessage-deflate")
	for _, want := range []string{"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "X-DeviceID"} {
		equal(t, want+" as it is spelled", strings.Count(accepted, "\r\n"+want+": "), 1)
	}
	refused := w.answerBlock("8", "X: y")
	equal(t, "Sec-WebSocket-Version of a 426", strings.Count(refused, "\r\nSec-WebSocket-Version: 13\r\n"), 1)
}

func TestOriginsAreListedInAnyForm(t *testing.T) {
	w := start(t, setup{script: "echo.php", route: `origins = ["https://München.example:443/", "file://", "HTTP://App.example:8080"]`}, "5.origins-plain", "5.origins")
	for origin, status := range map[string]int{"https://xn--mnchen-3ya.example": 101, "file://": 101, "http://app.example:8080": 101,
		"https://munchen.example": 403, "null": 403, "http://app.example": 403} {
		got := stack.Handshake(t, w.Listen, "/ws", "Origin: "+origin)
		equal(t, origin, got.Status, status)
	}
	for origin, want := range map[string]string{"https://example.com/app": `write "https://example.com"`, "wss://example.com": "https://example.com", "file:///a.html": "file://",
		"https://mu\u0308nchen.de": "xn--"} {
		out, code := checkConfig(t, fmt.Sprintf("origins = [%q]", origin))
		if code == 0 || !strings.Contains(out, want) {
			t.Errorf("%s: got exit code %d, %q, want %q", origin, code, out, want)
		}
	}
}

func TestASubprotocolThatIsNotAgreedOnIsLoggedOnce(t *testing.T) {
	w := start(t, setup{script: `if (isset($_GET['p'])) { header('WS-Protocol: ' . $_GET['p']); }`, scripts: map[string]string{"other.php": ""},
		options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/other\"\nscript = \"$DIR/other.php\"\nprotocols = [\"v9\"]\n"}}, "2.protocol-none")
	for _, path := range []string{"/ws", "/ws?p=v1", "/ws", "/other", "/other"} {
		stack.RawDial(t, w.Listen, path, "Sec-WebSocket-Protocol: v1, auth.secret")
	}
	stack.RawDial(t, w.Listen, "/ws")
	stack.RawDial(t, w.Listen, "/other", "Sec-WebSocket-Protocol: v9")
	w.AwaitLog(t, "warn", "subprotocols", "path:/other")
	w.Logged(t, 2, "warn", "subprotocols")
	w.Logged(t, 1, "warn", "subprotocols", "path:/ws")
	equal(t, "lines with the client's token", len(w.LogLines("", "auth.secret")), 0)
}
