package pusher

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// client is a client of the protocol that says what it likes.

type client struct {
	*stack.Client
	t      *testing.T
	socket string
}

// dial connects, and reads the socket_id.

func (s *site) dial(t *testing.T) client {
	t.Helper()
	return s.dialPath(t, "/app/"+appKey)
}

func (s *site) dialPath(t *testing.T, path string) client {
	t.Helper()
	c := client{Client: stack.Dial(t, "ws://"+s.nginx.Addr+path+"?protocol=7&client=test", stack.DialOptions{}), t: t}
	var hello struct {
		SocketID string `json:"socket_id"`
	}
	c.data("pusher:connection_established", &hello)
	c.socket = hello.SocketID
	return c
}

// data reads the next event, whose name is given, and its data, which is a text of JSON.

func (c client) data(event string, into any) {
	c.t.Helper()
	var e struct{ Event, Data string }
	text := c.Next().Data
	if err := json.Unmarshal(text, &e); err != nil || e.Event != event {
		c.t.Fatalf("got %s, %v, want the event %s", text, err, event)
	}
	if err := json.Unmarshal([]byte(e.Data), into); err != nil {
		c.t.Fatalf("%s: %v", text, err)
	}
}

// enter subscribes to a presence channel as a user.

func (c client) enter(channel, user string) {
	c.t.Helper()
	member := fmt.Sprintf(`{"user_id":%q}`, user)
	text, _ := json.Marshal(map[string]any{"event": "pusher:subscribe", "data": map[string]string{
		"channel": channel, "auth": auth(c.socket + ":" + channel + ":" + member), "channel_data": member,
	}})
	c.Send(string(text))
}

// auth is what a site's server gives to its page.

func auth(text string) string {
	sum := hmac.New(sha256.New, []byte(appSecret))
	io.WriteString(sum, text)
	return appKey + ":" + hex.EncodeToString(sum.Sum(nil))
}

// list is what a newcomer gets.

type list struct {
	Presence struct {
		IDs   []string
		Count int
	}
}

// The examples in Pusher's documentation of signatures and of the HTTP API.

func TestSignaturesAreThoseOfPushersDocumentation(t *testing.T) {
	stack.Integration(t)
	const body = `{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}`
	const query = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0&body_md5=ec365a775a4cd0599faeb73354201b6f&auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
	script := stack.Scripts(t, map[string]string{"vectors.php": `<?php
require $argv[1];
$app = App::configured();
echo $app->auth('1234.1234:private-foobar'), "\n", $app->auth('1234.1234:presence-foobar:{"user_id":10,"user_info":{"name":"Mr. Channels"}}'), "\n", $app->auth('1234.1234::user::{"id":"12345"}'), "\n";
foreach ([0, 600, -600, 601, -601] as $later) echo json_encode($app->signed('POST', '/apps/3/events', $argv[2], $argv[3], 1353088179 + $later)), ' ';
echo json_encode([$app->signed('GET', '/apps/3/events', $argv[2], $argv[3], 1353088179), $app->signed('POST', '/apps/3/events', $argv[2], "$argv[3] ", 1353088179),
  $app->signed('POST', '/apps/3/events', strtoupper($argv[2]), $argv[3], 1353088179), $app->signed('POST', '/apps/3/events', '', '', 1353088179)]);
`})
	cmd := exec.Command(stack.Tool(t, "php-cli", "php"), filepath.Join(script, "vectors.php"), filepath.Join(stack.Root(t), folder, "App.php"), query, body)
	cmd.Env = []string{"PUSHER_APP_ID=" + appID, "PUSHER_APP_KEY=" + appKey, "PUSHER_APP_SECRET=" + appSecret, "WSFPM_REDIS_URL=redis://127.0.0.1"}
	out, err := cmd.CombinedOutput()
	const want = appKey + ":58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4\n" +
		appKey + ":31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80\n" +
		appKey + ":4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba\n" +
		"true true true false false [false,false,false,false]"
	if err != nil || string(out) != want {
		t.Errorf("got %s, %v, want %s", out, err, want)
	}
}

// Without its secret nothing of it answers, and a secret that can be guessed is none.

func TestWithoutASecretNothingIsSigned(t *testing.T) {
	stack.Integration(t)
	for _, secret := range []string{"", "short"} {
		cmd := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", "require $argv[1]; App::configured();", filepath.Join(stack.Root(t), folder, "App.php"))
		cmd.Env = []string{"PUSHER_APP_ID=3", "PUSHER_APP_KEY=k", "PUSHER_APP_SECRET=" + secret, "WSFPM_REDIS_URL=redis://127.0.0.1"}
		if out, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(out), "PUSHER_APP_SECRET") {
			t.Errorf("secret %q: got %s, %v, want an error that names it", secret, out, err)
		}
	}
}

func TestAMalformedAddressOfRedisIsNamed(t *testing.T) {
	stack.Integration(t)
	for url, good := range map[string]bool{"redis://a": true, "redis://:p%40ss@a:7/3": true, "127.0.0.1:6379": false, "redis://": false, "redis://:hidden@:x": false,
		"redis://:hidden@a:port": false, "rediss://:hidden@a": false, "unix:///a": false, "redis://:hidden@a/shop": false} {
		cmd := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", "require $argv[1]; App::configured(); echo 'good';", filepath.Join(stack.Root(t), folder, "App.php"))
		cmd.Env = []string{"PUSHER_APP_ID=3", "PUSHER_APP_KEY=k", "PUSHER_APP_SECRET=" + appSecret, "WSFPM_REDIS_URL=" + url}
		out, err := cmd.CombinedOutput()
		if text := string(out); good != (err == nil && text == "good") || !good && !strings.Contains(text, "WSFPM_REDIS_URL: want redis://") || strings.Contains(text, "hidden") {
			t.Errorf("%s: got %s, %v", url, text, err)
		}
	}
}

func TestWhatIsNoProtocolIsRefused(t *testing.T) {
	stack.Integration(t)
	s := one
	old := stack.Dial(t, "ws://"+s.nginx.Addr+"/app/"+appKey+"?protocol=3", stack.DialOptions{})
	old.ExpectClose(4007)
	if r := stack.Refused(t, "ws://"+s.nginx.Addr+"/app/other?protocol=7", stack.DialOptions{}); r.Status != 404 {
		t.Errorf("another key: got %d, want 404", r.Status)
	}
	c := s.dial(t)
	for _, text := range []string{"", "null", "5", `"x"`, "[]", "{", `{"event":[],"data":{}}`, `{"event":"pusher:x"}`, `{"event":"client-a","channel":"private-a","data":1}`,
		`{"event":"client-a","channel":["private-a"]}`, `{"event":"posted","channel":"public"}`} {
		c.Send(text)
		c.Expect(`{"event":"pusher:error","data":{"code":null,"message":"not an event that this client may send"}}`)
	}
	for data, why := range map[string]string{
		`5`:                                 "no channel can have this name here",
		`{"channel":["a"]}`:                 "no channel can have this name here",
		`{"channel":"a b"}`:                 "no channel can have this name here",
		`{"channel":"a:b"}`:                 "no channel can have this name here",
		`{"channel":"a\n"}`:                 "no channel can have this name here",
		`{"channel":"#a"}`:                  "no channel can have this name here",
		`{"channel":"*"}`:                   "no channel can have this name here",
		`{"channel":"private-a"}`:           "the signature is wrong",
		`{"channel":"private-a","auth":{}}`: "the signature is wrong",
		`{"channel":"private-a","auth":"` + auth(c.socket+"9:private-a") + `"}`:                                                   "the signature is wrong",
		`{"channel":"#server-to-user-7"}`:                                                                                         "only the user, signed in",
		`{"channel":"presence-a","auth":"` + auth(c.socket+":presence-a") + `"}`:                                                  "a member needs a user_id of at most 128 bytes, and a user_info of at most 1,024",
		`{"channel":"presence-a","channel_data":"{}","auth":"` + auth(c.socket+":presence-a:{}") + `"}`:                           "a member needs a user_id of at most 128 bytes, and a user_info of at most 1,024",
		`{"channel":"presence-a","channel_data":"{\"user_id\":[]}","auth":"` + auth(c.socket+`:presence-a:{"user_id":[]}`) + `"}`: "a member needs a user_id of at most 128 bytes, and a user_info of at most 1,024",
	} {
		c.Send(`{"event":"pusher:subscribe","data":` + data + `}`)
		if got := string(c.Next().Data); !strings.Contains(got, `"pusher:subscription_error"`) || !strings.Contains(got, why) {
			t.Errorf("%s: got %s, want: %s", data, got, why)
		}
	}
	c.enter("presence-a", "ann")
	c.data("pusher_internal:subscription_succeeded", new(list))
	c.enter("presence-a", "eve") // another user on the same connection
	if got := string(c.Next().Data); !strings.Contains(got, "already subscribed") {
		t.Errorf("twice: got %s", got)
	}
	for range 4 {
		c.Send(`{"event":"pusher:ping","data":{}}`)
		c.Expect(`{"event":"pusher:pong","data":{}}`)
	}
	if hits := s.nodes[0].Metric(t, "wsfpm_cache_messages_total", `outcome="hit"`); hits == 0 {
		t.Error("PHP has run for each ping")
	}
	c.Send(`{"event":"pusher:signin","data":{"auth":"` + auth(c.socket+`::user::{"id":7}`) + `","user_data":"{\"id\":7}"}}`)
	c.Next()
	c.ExpectClose(4009)
	s.quiet(t)
}

func TestAPageHasABoundOfChannelsAndAChannelOfMembers(t *testing.T) {
	stack.Integration(t)
	s := one
	c := s.dial(t)
	for i := range 61 {
		c.Send(fmt.Sprintf(`{"event":"pusher:subscribe","data":{"channel":"many-%d"}}`, i))
		c.data("pusher_internal:subscription_succeeded", new(any))
	}
	c.Send(`{"event":"pusher:subscribe","data":{"channel":"many-61"}}`)
	c.Expect(`{"event":"pusher:subscription_error","channel":"many-61","data":{"type":"AuthError","error":"too many channels","status":403}}`)

	members := []any{"hset", "pusher:" + appID + ":members:presence-full"}
	for i := range 199 {
		members = append(members, fmt.Sprint("1.", i), `{"user_id":"other","user_info":null,"since":9999999999}`)
	}
	s.redis.Do(t, members...)
	last, late := s.dial(t), s.dial(t)
	last.enter("presence-full", "ann")
	last.data("pusher_internal:subscription_succeeded", new(list))
	late.enter("presence-full", "bob")
	if got := string(late.Next().Data); !strings.Contains(got, "the channel is full") {
		t.Errorf("the 201st connection got %s", got)
	}
}

// A newcomer's list and the changes after it are whole, also when its script ends late.

func TestNothingFallsBetweenAListAndWhatFollows(t *testing.T) {
	stack.Integration(t)
	s := two
	a, b := s.dialPath(t, "/app/held"), s.dial(t)
	if err := os.WriteFile(s.held, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(s.held)
	a.enter("presence-late", "ann")
	stack.Wait(t, "ann in the list", func() bool { return s.redis.Do(t, "exists", "pusher:"+appID+":members:presence-late") == "1" })
	b.enter("presence-late", "bob")
	var l list
	if b.data("pusher_internal:subscription_succeeded", &l); l.Presence.Count != 2 {
		t.Errorf("bob got %v, want two members", l)
	}
	if err := os.Remove(s.held); err != nil {
		t.Fatal(err)
	}
	if a.data("pusher_internal:subscription_succeeded", &l); l.Presence.Count != 1 {
		t.Errorf("ann got %v, want one member", l)
	}
	var m struct {
		UserID string `json:"user_id"`
	}
	if a.data("pusher_internal:member_added", &m); m.UserID != "bob" {
		t.Errorf("ann was told of %v, want bob", m)
	}
}

// A disconnect event that PHP did not run leaves a member in the list. The next change removes it.

// Without Redis a server's request fails, and so does what a client needs Redis for.

// How pusher-js comes back, as the README's table has it.

// A page that has stopped reading is closed with the route's slow_code, and comes back.

// Every list is right in the end, whatever was restarted or killed while it changed.

// The page and the authorisation that the README has for a site without a framework.

func TestThePageOfTheREADME(t *testing.T) {
	stack.Integration(t)
	s := one
	text, err := os.ReadFile(filepath.Join(stack.Root(t), folder, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)<!-- run by test/pusher.TestThePageOfTheREADME -->\n```(js|php)\n(.*?)```\n").FindAllStringSubmatch(string(text), -1)
	if len(blocks) != 2 || blocks[0][1] != "js" || blocks[1][1] != "php" {
		t.Fatalf("the README has %d blocks, want the page and auth.php", len(blocks))
	}
	const session = "0123456789abcdef0123456789abcdef"
	if err := os.WriteFile(filepath.Join(s.fpm.Dir, "sessions", "sess_"+session), []byte(`user|s:3:"ann";`), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := stack.Scripts(t, map[string]string{"auth.php": strings.ReplaceAll(blocks[1][2], "/srv/wsfpm", stack.Root(t))})
	auth := stack.Nginx(t, fmt.Sprintf(`server { listen LISTEN; location = /auth.php { include /etc/nginx/fastcgi_params;
		fastcgi_param HTTP_COOKIE "PHPSESSID=%s"; fastcgi_param SCRIPT_FILENAME %s/auth.php; fastcgi_pass unix:%s; } }`, session, dir, s.fpm.Socket))
	program := s.node(t, "readme.mjs")
	_, port, _ := net.SplitHostPort(s.nginx.Addr)
	page := blocks[0][2]
	for old, new := range map[string]string{"my-key": appKey, "https://example.com": auth.URL(), "'example.com'": "'127.0.0.1'", "forceTLS: true": "forceTLS: false", "wsPort: 80": "wsPort: " + port} {
		if !strings.Contains(page, old) {
			t.Errorf("the page has no %s", old)
		}
		page = strings.ReplaceAll(page, old, new)
	}
	program.Env = append(program.Env, "PAGE="+page)
	last := ""
	lines(t, program, func(line []byte) { last = string(line) })
	if last != "ok" {
		t.Errorf("the program ended after %q", last)
	}
	s.quiet(t)
}

// lines runs a program and gives each of its lines to f.

func lines(t *testing.T, program *exec.Cmd, f func(line []byte)) {
	t.Helper()
	var complaints strings.Builder
	program.Stderr = &complaints
	out, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	for text := bufio.NewScanner(out); text.Scan(); {
		f(text.Bytes())
	}
	if err := program.Wait(); err != nil || complaints.Len() > 0 {
		t.Errorf("%v: %v %s", program.Args, err, complaints.String())
	}
}
