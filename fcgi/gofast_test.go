package fcgi

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/yookoala/gofast"
)

func TestParamsAreGofasts(t *testing.T) {
	r := httptest.NewRequest("GET", "http://example.com/ws/chat?room=1", nil)
	r.Header.Set("X-Token", "abc")
	params, err := Params(r, "/srv/app/chat.php")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"SCRIPT_FILENAME": "/srv/app/chat.php", "REQUEST_METHOD": "GET", "HTTP_HOST": "example.com", "HTTP_X_TOKEN": "abc", "QUERY_STRING": "room=1",
	} {
		if params[name] != want {
			t.Errorf("%s: got %q, want %q", name, params[name], want)
		}
	}
}

// TestGofastAgrees sends the same requests to PHP-FPM by gofast's client and by
// ours: an independent second opinion on encoding and decoding.
func TestGofastAgrees(t *testing.T) {
	f := startFPM(t, 4, "")
	p := f.pool(Config{MaxConnections: 2})
	script := f.env("mirror.php", `http_response_code((int)$_GET["s"]); header("X-Mirror: " . $_SERVER["HTTP_X_TOKEN"]);
		ksort($_SERVER); foreach (["REQUEST_METHOD", "QUERY_STRING", "CONTENT_LENGTH", "CONTENT_TYPE", "HTTP_HOST", "SCRIPT_NAME"] as $k)
		echo "$k=", $_SERVER[$k] ?? "-", "\n"; echo file_get_contents("php://input");`).Script()
	theirs := gofast.NewHandler(gofast.NewFileEndpoint(script)(gofast.BasicSession),
		gofast.SimpleClientFactory(gofast.SimpleConnFactory("unix", f.address)))
	for _, c := range []struct {
		method, status string
		body           int
	}{{"GET", "200", 0}, {"POST", "200", 1}, {"POST", "404", 1000}, {"PUT", "500", 65528}, {"POST", "201", 300_000}} {
		request := func() *http.Request {
			r := httptest.NewRequest(c.method, "/ws/chat?s="+c.status, strings.NewReader(strings.Repeat("b", c.body)))
			r.Header.Set("X-Token", strings.Repeat("t", 100))
			r.Header.Set("Content-Type", "text/plain")
			return r
		}
		rec := httptest.NewRecorder()
		theirs.ServeHTTP(rec, request())
		params, err := Params(request(), script)
		if err != nil {
			t.Fatal(err)
		}
		e, err := NewEnv(params)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := p.Do(t.Context(), &Request{Env: e, Body: []byte(strings.Repeat("b", c.body))})
		if err != nil {
			t.Fatal(err)
		}
		body, err := resp.ReadAll()
		if err != nil || resp.Status != rec.Code || string(body) != rec.Body.String() ||
			resp.Header.Get("X-Mirror") != rec.Header().Get("X-Mirror") {
			t.Errorf("%+v: got %d %.200q %v, gofast %d %.200q", c, resp.Status, body, err, rec.Code, rec.Body)
		}
	}
}
