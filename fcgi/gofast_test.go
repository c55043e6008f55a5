package fcgi

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/yookoala/gofast"
)

// mapping is a middleware that changes parameters and passes the request on.
func mapping(change func(map[string]string)) Middleware {
	return func(next gofast.SessionHandler) gofast.SessionHandler {
		return func(c gofast.Client, r *gofast.Request) (*gofast.ResponsePipe, error) {
			change(r.Params)
			return next(c, r)
		}
	}
}

func TestParamsAreGofastsChangedByMiddleware(t *testing.T) {
	r := httptest.NewRequest("GET", "http://example.com/ws/chat?room=1", nil)
	r.Header.Set("X-Token", "abc")
	params, err := Params(r, "/srv/app/chat.php",
		mapping(func(p map[string]string) { p["APP_ENV"], p["QUERY_STRING"] = "first", "gone" }),
		mapping(func(p map[string]string) { p["APP_ENV"] += " second" }))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"SCRIPT_FILENAME": "/srv/app/chat.php", "REQUEST_METHOD": "GET", "HTTP_HOST": "example.com",
		"HTTP_X_TOKEN": "abc", "APP_ENV": "first second", "QUERY_STRING": "gone",
	} {
		if params[name] != want {
			t.Errorf("%s: got %q, want %q", name, params[name], want)
		}
	}
}

func TestParamsSurviveTheirMiddleware(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	refused := errors.New("not today")
	for name, mw := range map[string]Middleware{
		"panics": mapping(func(map[string]string) { panic("oh no") }),
		"refuses": func(gofast.SessionHandler) gofast.SessionHandler {
			return func(gofast.Client, *gofast.Request) (*gofast.ResponsePipe, error) { return nil, refused }
		},
		"keeps it": func(gofast.SessionHandler) gofast.SessionHandler {
			return func(gofast.Client, *gofast.Request) (*gofast.ResponsePipe, error) { return nil, nil }
		},
		"asks the client": func(gofast.SessionHandler) gofast.SessionHandler {
			return func(c gofast.Client, r *gofast.Request) (*gofast.ResponsePipe, error) { return c.Do(r) }
		},
	} {
		if params, err := Params(r, "/a.php", mw); err == nil || params != nil {
			t.Errorf("%s: got %v, %v; want an error", name, params, err)
		}
	}
	if _, err := Params(r, "/a.php", func(gofast.SessionHandler) gofast.SessionHandler {
		return func(gofast.Client, *gofast.Request) (*gofast.ResponsePipe, error) { return nil, refused }
	}); !errors.Is(err, refused) {
		t.Errorf("got %v, want it to wrap the middleware's", err)
	}
	// One that uses the response finds an empty one.
	reads := func(next gofast.SessionHandler) gofast.SessionHandler {
		return func(c gofast.Client, r *gofast.Request) (*gofast.ResponsePipe, error) {
			pipe, err := next(c, r)
			pipe.WriteTo(httptest.NewRecorder(), &strings.Builder{})
			return pipe, err
		}
	}
	if _, err := Params(r, "/a.php", reads); err != nil {
		t.Error(err)
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
