package contract

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"wsfpm/gateway/live"
	"wsfpm/test/stack"
)

// watched is a stream of lines from an operators' listener.
type watched struct {
	t     *testing.T
	lines *bufio.Scanner
	end   func()
}

// watch asks for a stream, of the control socket if there is one, else of the admin listener.
func (w *world) watch(socket, path string) (*watched, int) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	url, transport := w.Admin+path, &http.Transport{DisableKeepAlives: true}
	if socket != "" {
		url = "http://localhost" + path
		transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		}
	}
	r, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+stack.AdminToken)
	response, err := transport.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	end := func() { cancel(); _ = response.Body.Close() }
	w.t.Cleanup(end)
	return &watched{w.t, bufio.NewScanner(io.LimitReader(response.Body, 1<<20)), end}, response.StatusCode
}

// event reads the next line of /events.
func (s *watched) event() (live.Record, string) {
	s.t.Helper()
	if !s.lines.Scan() {
		s.t.Fatalf("the stream ended: %v", s.lines.Err())
	}
	return decode[live.Record](s.t, s.lines.Bytes()), s.lines.Text()
}

const watchedScript = `
if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: 42'); header('WS-Join: room'); exit; }
if ($_SERVER['WS_EVENT'] !== 'message') { exit; }
$in = file_get_contents('php://input');
if ($in === 'fail') { http_response_code(500); exit; }
if ($in === 'throw') { throw new DomainException('no card 4111'); }
header('WS-Publish: channel:other');
echo "answer to $in";
`

func TestEventsAreShownAsTheyHappen(t *testing.T) {
	w, socket := controlled(t, setup{script: watchedScript}, "5.live-events", "5.live-events-refused", "5.live-events-filter", "5.live-events-bodies")
	all, _ := w.watch("", "/events")
	bodies, _ := w.watch(socket, "/events?bodies=1&kind=message")
	other, _ := w.watch("", "/events?channel=other&user=42&route=%2Fws")
	failed, _ := w.watch("", "/events?failed=1")
	if _, status := w.watch("", "/events?bodies=1"); status != http.StatusForbidden {
		t.Errorf("bodies on the admin listener: status %d, want 403", status)
	}
	for _, query := range []string{"usr=42", "user=", "failed=no"} {
		if _, status := w.watch("", "/events?"+query); status != http.StatusBadRequest {
			t.Errorf("%s: status %d, want 400", query, status)
		}
	}
	c := w.open()
	c.Send("secret text")
	c.Send("fail")
	c.Close(1000, "bye")

	e, _ := all.event()
	if e.Kind != "connect" || e.User != "42" || e.Outcome != "ok" || e.Address != "127.0.0.1" || e.Route != "/ws" || e.Run <= 0 || len(e.Effects) != 1 || e.Effects[0].Join[0] != "room" {
		t.Errorf("got %+v, want the connect event", e)
	}
	id := e.Connection
	e, text := all.event()
	if e.Kind != "message" || e.Connection != id || e.Body.Bytes != 11 || len(e.Effects) != 1 || e.Effects[0].To[0] != "channel:other" || strings.Contains(text, "secret") {
		t.Errorf("got %s, want a message without its content", text)
	}
	if e, text := all.event(); e.Outcome != "answer" || !strings.Contains(e.Error, "500") {
		t.Errorf("got %s, want a message that failed", text)
	}
	if e, text := all.event(); e.Kind != "disconnect" || e.Code != 1000 || e.Reason != "bye" || e.Lasted <= 0 {
		t.Errorf("got %s, want the disconnect", text)
	}
	if e, text := bodies.event(); e.Body.Text != "secret text" || e.Effects[0].Body.Text != "answer to secret text" {
		t.Errorf("got %s, want the bodies", text)
	}
	w.AwaitLog(t, "info", "control", "read events with bodies", "kind=message")
	if e, text := other.event(); e.Kind != "message" || e.Body.Bytes != 11 {
		t.Errorf("got %s of channel:other, want what was published to it", text)
	}
	if e, text := failed.event(); e.Outcome != "answer" {
		t.Errorf("got %s, want the failed one alone", text)
	}
	response, err := http.Get(strings.Replace(w.URL, "ws:", "http:", 1) + "/nothing")
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if e, text := failed.event(); e.Kind != "handshake" || e.Code != response.StatusCode || e.Route != "/nothing" || e.Error == "" {
		t.Errorf("got %s, want the refused handshake", text)
	}
}

// An exception quotes what a client has sent, as messages do.
func TestTheWordsOfAnExceptionAreContent(t *testing.T) {
	w, socket := controlled(t, setup{script: watchedScript}, "5.live-events-errors", "5.live-events-bodies")
	briefly, _ := w.watch("", "/events?failed=1")
	private, _ := w.watch(socket, "/events?failed=1")
	bodies, _ := w.watch(socket, "/events?failed=1&bodies=1")
	figures, _ := w.watch("", "/figures")
	w.open().Send("throw")
	for _, reader := range []*watched{briefly, private} {
		if e, text := reader.event(); e.Error != `PHP reported "PHP Fatal error:  Uncaught DomainException…"` || strings.Contains(text, "4111") {
			t.Errorf("got %s, want the class alone", text)
		}
	}
	if e, text := bodies.event(); !strings.Contains(e.Error, "no card 4111") || !strings.Contains(e.PHP, "no card 4111") {
		t.Errorf("got %s, want what PHP says", text)
	}
	for text := ""; !strings.Contains(text, "DomainException…"); text = figures.lines.Text() {
		if strings.Contains(text, "4111") || !figures.lines.Scan() {
			t.Fatalf("got %s, %v", text, figures.lines.Err())
		}
	}
}

func TestReadersOfEventsAreBounded(t *testing.T) {
	w := start(t, setup{script: "echo.php"}, "5.live-events-bounded", "5.live-figures")
	var readers []*watched
	for range live.MostReaders {
		r, status := w.watch("", "/figures")
		equal(t, "a reader", status, 200)
		readers = append(readers, r)
	}
	for _, path := range []string{"/figures", "/events"} {
		_, status := w.watch("", path)
		equal(t, "a fifth reader of "+path, status, 503)
	}
	c := w.open()
	c.Send("x")
	c.Next()
	var events int64
	for events < 2 { // connect and message, in one line or two
		if !readers[0].lines.Scan() {
			t.Fatal(readers[0].lines.Err())
		}
		var f live.Figures
		if err := json.Unmarshal(readers[0].lines.Bytes(), &f); err != nil {
			t.Fatal(err)
		}
		events += f.Events["connect"] + f.Events["message"]
		if len(f.Pools) != 1 || f.Pools[0].Max == 0 || f.Log.State == "" || f.Redis.State != "local" {
			t.Errorf("got %s", readers[0].lines.Text())
		}
		if f.Events["message"] == 1 && (f.Run.P99 <= 0 || f.Scripts[0].Events == 0 || f.Addresses[0].Name != "127.0.0.1") {
			t.Errorf("got %s", readers[0].lines.Text())
		}
	}
	readers[0].end()
	stack.Wait(t, "the place is free", func() bool {
		r, status := w.watch("", "/events")
		r.end()
		return status == 200
	})
}
