package gateway

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// A page of another site can make its name lead to this machine after it was
// loaded: then Host and Origin agree, and neither is ours (DNS rebinding).
func TestAForeignHostGetsNeitherPagesNorASocket(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("home"), 0o644); err != nil {
		t.Fatal(err)
	}
	h := start(t, echo, func(c *config.Config) {
		c.Web, c.WebHosts = dir, []string{"box.lan"}
	})
	_, port, _ := strings.Cut(strings.TrimPrefix(h.web.URL, "http://"), ":")
	for host, status := range map[string]int{"127.0.0.1": 200, "localhost": 200, "a.localhost": 200, "box.lan": 200, "Box.LAN.": 200,
		"evil.example": 403, "localhost.evil.example": 403, "10.0.0.1.evil.example": 403} {
		host += ":" + port
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, h.web.URL+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		page, err := h.web.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(page.Body)
		page.Body.Close()
		if page.StatusCode != status || status == 200 && string(body) != "home" || status == 403 && !strings.Contains(string(body), "--web-host ") {
			t.Errorf("a page of %s: got %d %q, want %d", host, page.StatusCode, body, status)
		}
		conn, answer, err := websocket.Dial(t.Context(), h.url+"/", &websocket.DialOptions{Host: host, HTTPHeader: http.Header{"Origin": {"http://" + host}}})
		if (err == nil) != (status == 200) || answer == nil || err != nil && answer.StatusCode != 403 {
			t.Errorf("a socket of %s: got %v, want %d", host, err, status)
		}
		if err == nil {
			conn.CloseNow()
		}
	}
}

// In front of a site the proxy decides which hosts there are.
func TestWithoutPagesEachHostIsServed(t *testing.T) {
	h := start(t, echo, nil)
	p := h.dial("/", &websocket.DialOptions{Host: "chat.example", HTTPHeader: http.Header{"Origin": {"http://chat.example"}}})
	p.send("x")
	p.want("x")
}
