package gateway

import (
	"bytes"
	"encoding/json"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
)

// selftestDialer makes a handshake one of a self-test.
type selftestDialer struct{ token string }

func (d selftestDialer) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("Sec-WebSocket-Version", SelftestVersion)
	if d.token != "" {
		r.Header.Set(SelftestHeader, d.token)
	}
	return (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
}

// selftest dials; without a connection it returns the status.
func (h *harness) selftest(token string, header http.Header) (*websocket.Conn, int) {
	h.t.Helper()
	c, answer, err := websocket.Dial(h.t.Context(), h.url+"/ws?a=1", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: selftestDialer{token}}, HTTPHeader: header, CompressionMode: websocket.CompressionContextTakeover,
	})
	if answer == nil {
		h.t.Fatalf("no answer: %v", err)
	}
	if err != nil {
		return nil, answer.StatusCode
	}
	h.t.Cleanup(func() { _ = c.CloseNow() })
	c.SetReadLimit(-1)
	return c, answer.StatusCode
}

func (h *harness) arm(silent bool) string {
	h.t.Helper()
	token, err := h.ArmSelftest(silent)
	if err != nil {
		h.t.Fatal(err)
	}
	return token
}

func TestASelftestIsAnsweredWithoutPHP(t *testing.T) {
	t.Log("contract-row: 5.control-selftest")
	t.Log("contract-row: 5.control-selftest-php")
	h := start(t, echo, func(c *config.Config) {
		c.Routes[0].Compression = true
		c.Routes[0].Params = map[string]string{"DB_PASSWORD": "secret"}
	})
	c, status := h.selftest(h.arm(false), http.Header{"Cookie": {"a=b"}, "X-Forwarded-For": {"198.51.100.7"}, "X-Forwarded-Proto": {"https"}})
	if c == nil {
		t.Fatalf("refused with %d", status)
	}
	_, text, err := c.Read(t.Context())
	var seen Selftest
	if err != nil || json.Unmarshal(text, &seen) != nil {
		t.Fatalf("got %q, %v", text, err)
	}
	for name, want := range map[string]string{"REMOTE_ADDR": "198.51.100.7", "HTTPS": "on", "HTTP_COOKIE": "a=b", "REQUEST_URI": "/ws?a=1"} {
		if seen.Params[name] != want {
			t.Errorf("%s: got %q, want %q", name, seen.Params[name], want)
		}
	}
	if !seen.Trusted || seen.Peer == "" || !seen.Compression || seen.Extensions == "" || bytes.Contains(text, []byte("secret")) {
		t.Errorf("got %s", text)
	}
	for _, kind := range []websocket.MessageType{websocket.MessageText, websocket.MessageBinary} {
		data := bytes.Repeat([]byte("x"), 40_000)
		if err := c.Write(t.Context(), kind, data); err != nil {
			t.Fatal(err)
		}
		if got, back, err := c.Read(t.Context()); got != kind || !bytes.Equal(back, data) {
			t.Errorf("got %v and %d bytes back, %v", got, len(back), err)
		}
	}
	_ = c.Close(1000, "")
	eventually(t, "the end of the self-test", func() bool { return len(h.connections()) == 0 })
	if n := len(h.seen("connect")) + len(h.seen("message")) + len(h.seen("disconnect")); n != 0 {
		t.Errorf("PHP ran %d times", n)
	}
}

func TestASelftestNeedsItsToken(t *testing.T) {
	t.Log("contract-row: 5.control-selftest-token")
	h := start(t, echo, nil)
	token := h.arm(true)
	for name, d := range map[string]string{"none": "", "another": token[1:] + "A", "a part": token[1:]} {
		if c, status := h.selftest(d, nil); c != nil || status != http.StatusUpgradeRequired {
			t.Errorf("with %s: got %d, want 426", name, status)
		}
	}
	if c, status := h.selftest(token, http.Header{"Origin": {"https://evil.test"}}); c != nil || status != http.StatusForbidden {
		t.Errorf("from a foreign origin: got %d, want 403", status)
	}
	if c, status := h.selftest(token, nil); c == nil {
		t.Errorf("with the token: got %d", status)
	}
	if c, status := h.selftest(token, nil); c != nil || status != http.StatusUpgradeRequired {
		t.Errorf("a second time: got %d, want 426", status)
	}
	if len(h.seen("connect")) != 0 {
		t.Error("PHP was called")
	}
}

func TestFewSelftestsAreArmedForAMinute(t *testing.T) {
	t.Log("contract-row: 5.control-selftest-token")
	synctest.Test(t, func(t *testing.T) {
		var g Gateway
		var tokens []string
		for range mostSelftests {
			token, err := g.ArmSelftest(false)
			if err != nil {
				t.Fatal(err)
			}
			tokens = append(tokens, token)
		}
		if _, err := g.ArmSelftest(false); err != ErrSelftests {
			t.Errorf("got %v for one more", err)
		}
		r, _ := http.NewRequest("GET", "/", nil)
		r.Header.Set("Sec-WebSocket-Version", SelftestVersion)
		r.Header.Set(SelftestHeader, tokens[0])
		if g.selftests.begin(r) == nil {
			t.Error("a token is refused at once")
		}
		r.Header.Set(SelftestHeader, tokens[1])
		time.Sleep(selftestArmed)
		if g.selftests.begin(r) != nil || g.selftests.armed.Load() != 0 {
			t.Error("a token is good after a minute")
		}
	})
}

func TestADrainEndsASelftest(t *testing.T) {
	h := start(t, echo, func(c *config.Config) { c.Drain = config.Duration(10 * time.Millisecond) })
	c, _ := h.selftest(h.arm(true), nil)
	if _, _, err := c.Read(t.Context()); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := c.Read(t.Context())
		ended <- err
	}()
	if n := h.Drain(t.Context()); n != 0 {
		t.Errorf("%d connections were dropped", n)
	}
	if err := <-ended; websocket.CloseStatus(err) != 1012 {
		t.Errorf("got %v, want 1012", err)
	}
}
