package admin

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// FuzzPush posts any body: what is delivered names its receivers, everything
// else is refused with a reason.
func FuzzPush(f *testing.F) {
	f.Add([]byte(`{"to":"user:1","data":"x"}`), "application/json", "")
	f.Add([]byte(`[{"to":["all","conn:a"],"except":["user:1"],"base64":"AAEC","join":["a"],"leave":"*","close":{"code":4000}}]`), "application/json; charset=utf-8", "")
	f.Add([]byte(`{"data":"x"}`), "text/plain", "http://evil.test")
	f.Add([]byte(`{"to":"all"} {}`), "Application/JSON;", "null")
	f.Add([]byte("\xef\xbb\xbf[]"), "application/json", "")
	f.Fuzz(func(t *testing.T, body []byte, contentType, origin string) {
		g := &fake{}
		h := New(Options{Gateway: g, Private: true})
		header := http.Header{"Content-Type": {contentType}}
		if origin != "" {
			header.Set("Origin", origin)
		}
		got := ask(h, "POST", "/push", string(body), header)
		var answer struct {
			Delivered *int   `json:"delivered"`
			Error     string `json:"error"`
		}
		if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d %q: %v", got.Code, got.Body, err)
		}
		switch got.Code {
		case 200:
			if answer.Delivered == nil || origin != "" {
				t.Fatalf("delivered %q with Origin %q", got.Body, origin)
			}
			for _, c := range g.pushed {
				if len(c.To) == 0 || c.User != nil || c.State != nil {
					t.Fatalf("%q gives %+v", body, c)
				}
			}
		case 400, 403, 413, 415:
			if answer.Error == "" || len(g.pushed) > 0 {
				t.Fatalf("%d without a reason, or after %d commands", got.Code, len(g.pushed))
			}
		default:
			t.Fatalf("got %d %q", got.Code, got.Body)
		}
	})
}

// FuzzGuard asks for any path with any credentials: without the token nothing
// but the open paths and the files of the page answer.
func FuzzGuard(f *testing.F) {
	const token = "0123456789abcdef"
	for _, path := range []string{"/push", "/connections", "/debug/pprof/heap", "//push", "/./connections", "/metrics", "/live?x=/push", "/%63onnections"} {
		f.Add("GET", path, "Bearer "+token[:15], "")
		f.Add("POST", path, "", "Bearer x")
	}
	f.Add("CONNECT", "/push", "Basic "+token, "bearer")
	h := New(Options{Gateway: &fake{}, Token: token})
	f.Add("GET", "/", "0", "")
	f.Add("GET", "/page/session", "", "")
	free := map[string]bool{"/live": true, "/ready": true, "/metrics": true}
	for path := range pageFiles {
		free[path] = true
	}
	f.Fuzz(func(t *testing.T, method, target, authorization, second string) {
		scheme, rest, _ := strings.Cut(authorization, " ")
		if strings.EqualFold(scheme, "Bearer") && rest == token {
			return
		}
		r, err := http.NewRequest(method, "http://localhost"+"/"+strings.TrimPrefix(target, "/"), strings.NewReader(`{"to":"all"}`))
		if err != nil {
			return
		}
		r.Header = http.Header{"Authorization": {authorization, second}, "Content-Type": {"application/json"}}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 200 && w.Code < 300 && !free[r.URL.Path] {
			t.Fatalf("%s %q with %q: got %d %.200q", method, r.URL, authorization, w.Code, w.Body)
		}
	})
}
