package pages

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// hostile is a route to testdata's controller whose answers are wrong.
const hostile = `[[route]]
path = "/ws/hostile"
script = "/srv/app/public/index.php"
accept = "header"
cache = "1MiB"
on_error = "message"
error_message = "an error"
`

// symfony starts the project, and logs ann in.
func symfony(t *testing.T) (s *site, web *stack.NginxServer, login string) {
	t.Helper()
	s, web = framework(t, "symfony", hostile)
	s.write(".env", "APP_ENV=prod\n"+strings.Replace(blocks(t, frameworks, "sh")[0], "127.0.0.1:6379", s.redis.Addr, 1))
	resp, err := http.Post(web.URL()+"/login", "application/json", strings.NewReader(`{"username":"ann","password":"secret"}`))
	return s, web, cookies(t, resp, err)
}

func TestSymfony(t *testing.T) {
	s, web, login := symfony(t)
	t.Run("without a library", func(t *testing.T) { s.works(web, login, "ann") })
	t.Run("orders", func(t *testing.T) { s.orders(t, login) })
	t.Run("the web", func(t *testing.T) { s.webSeesNothing(t, web, login) })
	t.Run("hostile", func(t *testing.T) { s.hostile(t) })
	t.Run("streams", func(t *testing.T) { s.streams(t) })
	t.Run("chromium", func(t *testing.T) { s.inChromium(t) })
	t.Run("cached", func(t *testing.T) { s.cached(t, login) })
}

// orders checks the documented controller.
func (s *site) orders(t *testing.T, login string) {
	if r := stack.Refused(t, s.URL+"/ws/orders", stack.DialOptions{}); r.Status != 401 || r.Body != "log in first" {
		t.Errorf("without a login: got %d %q", r.Status, r.Body)
	}
	c := stack.Dial(t, s.URL+"/ws/orders", stack.DialOptions{Cookie: login})
	other := stack.Dial(t, s.URL+"/ws/orders", stack.DialOptions{Cookie: login})
	c.Send(`{"order":7}`)
	expectBoth(t, c, `{"ordered":7}`, `{"mailed":7}`)
	expectBoth(t, other, `{"mailed":7}`, "ann has ordered")
}

// webSeesNothing checks that a browser reaches no event, whatever it sends.
func (s *site) webSeesNothing(t *testing.T, web *stack.NginxServer, login string) {
	for _, method := range []string{"GET", "POST", "HEAD"} {
		for _, path := range []string{"/ws/orders", "/ws/orders?WS_EVENT=connect", "/index.php/ws/orders", "/ws/hostile"} {
			header := http.Header{"Cookie": {login}, "Ws-Event": {"connect"}, "Ws_event": {"connect"}, "X-Http-Method-Override": {"GET"}}
			if r := stack.HTTP(t, method, web.URL()+path, header); r.Status != 404 || r.Header.Get("WS-Accept") != "" {
				t.Errorf("%s %s: got %d, %v, want 404", method, path, r.Status, r.Header)
			}
		}
	}
	if r := stack.HTTP(t, "GET", web.URL()+"/answer", nil); r.Status != 500 || r.Header.Get("WS-User") != "" {
		t.Errorf("an Answer as a page: got %d, %v, want 500", r.Status, r.Header)
	}
}

// hostile checks that only an Answer that does not refuse lets a client in.
func (s *site) hostile(t *testing.T) {
	for _, what := range []string{"throws", "fails", "nothing", "text", "a response", "a stream that throws", "a wrong answer"} {
		r := stack.Refused(t, s.URL+"/ws/hostile?connect="+url.QueryEscape(what), stack.DialOptions{})
		if r.Status < 400 || strings.Contains(r.Body, "thrown") || strings.Contains(r.Body, "first") {
			t.Errorf("%s: got %d %.200s, want a refusal", what, r.Status, r.Body)
		}
	}
	c := stack.Dial(t, s.URL+"/ws/hostile", stack.DialOptions{})
	for _, what := range []string{"throws", "fails", "nothing", "a wrong answer"} {
		c.Send(what)
		c.Expect("an error")
	}
	c.Send("two messages")
	c.Expect("one")
	c.Expect("two")
}

// streams checks that lines are sent as they are made, and nothing of an exception.
func (s *site) streams(t *testing.T) {
	both := stack.Dial(t, s.URL+"/ws/hostile?connect=two+messages", stack.DialOptions{})
	both.Expect("one")
	both.Expect("two")
	file := filepath.Join(s.dir, "go")
	c := stack.Dial(t, s.URL+"/ws/hostile?file="+url.QueryEscape(file), stack.DialOptions{})
	c.Send("slow")
	c.Expect("first")
	s.write("go", "")
	c.Expect("second")
	c.Send("a stream that throws")
	c.Expect("first")
	c.Expect(`{"second":2}`)
	c.Expect("an error")
	s.AwaitLog(t, "error", "thrown in the middle", "Hostile.php")
	c.Send("two messages")
	c.Expect("one")
}

// inChromium checks the documented controller with a browser's cookies and origin.
func (s *site) inChromium(t *testing.T) {
	stack.Tool(t, "chromium", "chromium", os.Getenv("CHROMIUM"))
	web := stack.Nginx(t, "server { listen LISTEN; location /ws/ { proxy_pass http://"+s.Listen+`; proxy_http_version 1.1; proxy_set_header Host $http_host;
		proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade; }
	location / { include /etc/nginx/fastcgi_params; fastcgi_pass unix:`+s.fpm.Socket+"; fastcgi_param SCRIPT_FILENAME "+s.dir+"/public/index.php; } }")
	out, err := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), "testdata/orders.mjs", web.URL()).CombinedOutput()
	if want := `[[1006],200,["{\"mailed\":2}","{\"ordered\":2}"]]`; err != nil || strings.TrimSpace(string(out)) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

// cached checks that an answer for all is one, though the session was read for it.
func (s *site) cached(t *testing.T, login string) {
	var answers []string
	for range 3 { // the second answer is kept
		c := stack.Dial(t, s.URL+"/ws/hostile", stack.DialOptions{Cookie: login})
		c.Send("cached")
		answers = append(answers, string(c.Next().Data))
	}
	if !strings.HasPrefix(answers[1], "made at") || answers[2] != answers[1] {
		t.Errorf("got %q, want the second twice", answers)
	}
}
