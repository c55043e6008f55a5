package pages

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

const frameworks = "docs/frameworks.md"

func TestPlainPHP(t *testing.T) {
	s := open(t, frameworks, nil)
	if r := stack.Refused(t, s.URL+"/ws/plain", stack.DialOptions{}); r.Status != 401 {
		t.Errorf("without a login: got %d, want 401", r.Status)
	}
	c := stack.Dial(t, s.URL+"/ws/plain", stack.DialOptions{Cookie: s.login(`user|s:3:"ann";`)})
	c.Send("hi")
	c.Expect("ann: hi")
	s.php("push.php")
	c.Expect("shipped")
}

// framework starts a project of testdata, with the front controller of examples and the files
// of the page in it, and a web server for its pages; more are further routes.
func framework(t *testing.T, name, more string) (*site, *stack.NginxServer) {
	t.Helper()
	stack.Integration(t)
	s := &site{t: t, dir: stack.TempDir(t), redis: stack.Redis(t, stack.RedisOptions{})}
	if err := os.CopyFS(s.dir, os.DirFS(filepath.Join("testdata", name))); err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"storage", "bootstrap/cache"} {
		s.write(folder+"/.keep", "")
	}
	front, err := os.ReadFile(filepath.Join(stack.Root(t), "examples/php/frameworks", name, "ws.php"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("ws.php", string(front))
	for _, block := range blocks(t, frameworks, "php") {
		s.write(fileName.FindStringSubmatch(block)[1], block)
	}
	if err := os.Symlink(filepath.Join(stack.Root(t), "client/php"), filepath.Join(s.dir, "vendor/wsfpm")); err != nil {
		t.Fatal(err)
	}
	route, prefix := more, ""
	for _, block := range blocks(t, frameworks, "toml") {
		switch rest, top := strings.CutPrefix(block, "[redis]\n"); {
		case top:
			prefix = rest + prefix
		case strings.HasPrefix(block, "[[redis.relay]]"):
			prefix += block
		default:
			route += block
		}
	}
	s.redisTOML = prefix
	s.start(route)
	return s, stack.Nginx(t, "server { listen LISTEN; location / { fastcgi_pass unix:"+s.fpm.Socket+
		"; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME "+s.dir+"/public/index.php; fastcgi_param REDIS_PORT "+strings.TrimPrefix(s.redis.Addr, "127.0.0.1:")+"; } }")
}

// cookies are those of an answer that is a 200.
func cookies(t *testing.T, resp *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Fatalf("log in: %s", resp.Status)
	}
	var all []string
	for _, c := range resp.Cookies() {
		all = append(all, c.Name+"="+c.Value)
	}
	return strings.Join(all, "; ")
}

// works checks what each framework's handler does.
func (s *site) works(web *stack.NginxServer, cookie, user string) *stack.Client {
	s.t.Helper()
	if r := stack.Refused(s.t, s.URL+"/ws/app", stack.DialOptions{}); r.Status != 401 {
		s.t.Errorf("without a login: got %d %s, want 401", r.Status, r.Body)
	}
	if r := stack.HTTP(s.t, "GET", web.URL()+"/_ws/connect", http.Header{"Cookie": {cookie}}); r.Status != 404 {
		s.t.Errorf("from the web: got %d, want 404", r.Status)
	}
	c := stack.Dial(s.t, s.URL+"/ws/app", stack.DialOptions{Cookie: cookie})
	c.Send(`[7]`)
	c.Expect(`{"from":"` + user + `","text":"[7]"}`) // no message of the site's own
	s.redisValue("PUBLISH", "ws:user:"+user, "to the user")
	c.Expect("to the user")
	return c
}

// expectBoth wants two messages that have no order: what goes through the log, a push past it
// and a reply take different ways.
func expectBoth(t *testing.T, c *stack.Client, one, two string) {
	t.Helper()
	got := []string{string(c.Next().Data), string(c.Next().Data)}
	if !slices.Contains(got, one) || !slices.Contains(got, two) {
		t.Errorf("got %q, want %q and %q", got, one, two)
	}
}

func TestLaravel(t *testing.T) {
	s, web := framework(t, "laravel", "")
	resp, err := http.Get(web.URL() + "/login")
	login := cookies(t, resp, err)
	c := s.works(web, login, "42")
	s.php("push.php")
	c.Expect("shipped")
	c.Expect(`{"event":"OrderShipped","channel":"lobby","data":{"order":7}}`)
	expectBoth(t, c, `{"by":"Client"}`, `{"stored":true}`)
	s.broadcasts(web, c, login)
	c.Send(`{"join":"presence-room.1,admins"}`) // room.{room} takes all of it for one room, WS-Join would take it for two
	c.Expect(`{"denied":"presence-room.1,admins"}`)
	if n := s.redis.Subscribers(t, "ws:channel:admins"); n != 0 {
		t.Error("a client has joined a channel beside the one that it may join")
	}
}

// broadcasts checks what Laravel's redis driver publishes: to those whom its channels let in,
// and not to the connection that a request names.
func (s *site) broadcasts(web *stack.NginxServer, c *stack.Client, login string) {
	s.t.Helper()
	sender := stack.Dial(s.t, s.URL+"/ws/app", stack.DialOptions{Cookie: login, Protocols: []string{"wsfpm.v1"}})
	var first struct{ Hello struct{ Conn string } }
	if err := json.Unmarshal(sender.Next().Data, &first); err != nil || first.Hello.Conn == "" {
		s.t.Fatalf("hello: got %+v, %v", first, err)
	}
	for channel, answer := range map[string]string{"private-orders.7": "joined", "presence-room.1": "joined", "private-orders.8": "denied"} {
		want := `{"` + answer + `":"` + channel + `"}`
		c.Send(`{"join":"` + channel + `"}`)
		c.Expect(want)
		sender.Send(`{"data":{"join":"` + channel + `"}}`)
		sender.Expect(`{"data":` + want + `}`)
	}
	if r := stack.HTTP(s.t, "GET", web.URL()+"/pay", http.Header{"Cookie": {login}, "X-Socket-Id": {first.Hello.Conn}}); r.Body != "paid" {
		s.t.Fatalf("got %d %s", r.Status, r.Body)
	}
	for _, channel := range []string{"private-orders.7", "presence-room.1"} {
		c.Expect(`{"event":"App\\OrderPaid","channel":"` + channel + `","data":{"order":7}}`)
	}
	s.redisValue("PUBLISH", "ws:user:42", "last")
	c.Expect("last")
	sender.Expect(`{"data":"last"}`)
}
