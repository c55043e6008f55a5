package companions

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// site is a gateway with presence, the log and an admin socket, whose route runs a script of testdata.
type site struct {
	*stack.GatewayServer
	t     *testing.T
	redis *stack.RedisServer
	fpm   *stack.FPMServer
}

// source is the folder of client/php's files.
func source(t *testing.T) string { return filepath.Join(stack.Root(t), "client/php/src") }

func open(t *testing.T, script string) *site {
	t.Helper()
	stack.Integration(t)
	s := &site{t: t, redis: stack.Redis(t, stack.RedisOptions{})}
	s.fpm = stack.FPM(t, stack.FPMOptions{Ini: map[string]string{"output_buffering": "65536"}})
	s.GatewayServer = stack.Gateway(t, stack.GatewayOptions{FPM: s.fpm, Redis: s.redis.URL(), Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws\"\nscript = %q\ndocument_root = %q\nparams = { CLIENT_PHP = %q, REDIS = %q }\n[presence]\nchannels = [\"*\"]\nusers = true\n",
		filepath.Join(stack.Root(t), "test/companions/testdata", script), filepath.Join(stack.Root(t), "test/companions/testdata"), source(t), s.redis.Addr)})
	return s
}

// enter connects a user, and takes the first message.
func (s *site) enter(user string) *stack.Client {
	s.t.Helper()
	c := stack.Dial(s.t, s.URL+"/ws?user="+user, stack.DialOptions{})
	c.Next()
	return c
}

// phpClient is a running testdata/client.php.
type phpClient struct {
	*stack.Dialogue
	t *testing.T
}

// startClient runs it; more is a token, then a timeout in seconds.
func startClient(t *testing.T, kind, at string, more ...string) *phpClient {
	t.Helper()
	if len(more) == 0 {
		more = []string{""}
	}
	args := append([]string{"testdata/client.php", source(t), kind, at}, more...)
	if !strings.Contains(kind, "redis") {
		args = append([]string{"-n"}, args...) // without extensions: PHP starts sooner, and Client needs none
	}
	return &phpClient{stack.StartDialogue(t, exec.Command(stack.Tool(t, "php-cli", "php"), args...)), t}
}

// call calls a method, given as JSON: `["push","all","x"]`.
func (p *phpClient) call(line string) string {
	p.t.Helper()
	answer, err := p.Ask(strings.ReplaceAll(line, "\n", " "))
	if err != nil {
		p.t.Fatalf("%.300s: %v", line, err)
	}
	return answer
}

// want calls a method whose result must be this.
func (p *phpClient) want(line, want string) {
	p.t.Helper()
	if got := p.call(line); got != want {
		p.t.Errorf("%s: got %.300s, want %s", line, got, want)
	}
}

// failure is an exception as testdata/client.php prints it.
type failure struct {
	Error, Message, File string
	Unsure               bool
}

// fails calls a method that must throw, with these words.
func (p *phpClient) fails(line, class, words string) failure {
	p.t.Helper()
	var f failure
	got := p.call(line)
	if json.Unmarshal([]byte(got), &f) != nil || f.Error != `Wsfpm\`+class || !strings.Contains(f.Message, words) {
		p.t.Errorf("%s: got %.300s, want %s with %q", line, got, class, words)
	}
	return f
}

func TestAnswersOfRealScripts(t *testing.T) {
	s := open(t, "site.php")
	if r := stack.Refused(t, s.URL+"/ws?refuse=1", stack.DialOptions{}); r.Status != 403 || r.Body != "not you" {
		t.Errorf("got %d %q, want the script's refusal", r.Status, r.Body)
	}
	c := stack.Dial(t, s.URL+"/ws?user=ann", stack.DialOptions{Protocols: []string{"a", "b"}})
	c.Expect(`{"type":"connect","offered":["a","b"],"resume":"new","at":true,"body":""}`)
	other := s.enter("bob")
	id := s.connection("ann")
	c.Send(`{"do":"facts"}`)
	c.Expect(`{"user":"ann","channels":["lobby","` + id + `"],"state":"a\nb","number":1,"binary":false}`)
	c.Send(`{"do":"binary"}`)
	c.ExpectBinary([]byte{0, 0xff})
	c.Send(`{"do":"stream"}`)
	c.Expect("one")
	c.Expect(`{"two":2}`)
	c.Expect("three")
	c.Send(`{"do":"say"}`)
	c.Expect("said")
	c.ExpectBinary([]byte{0, 0xfe})
	other.Expect("hello")
	c.Send(`{"do":"relay"}`)
	c.Expect("relayed")
	c.Send("c:1")
	other.Expect(`{"from":"user:ann","data":"c:1"}`)
	for do, words := range map[string]string{"name": "join: the name", "elsewhere": "is not in the channel elsewhere", "printed": "was printed before the answer", "resume": "missed messages"} {
		c.Send(`{"do":"` + do + `"}`)
		s.AwaitLog(t, "error", words, "site.php:")
	}
	c.Send(`{"do":"sent"}`)
	s.AwaitLog(t, "warn", "output began in", "site.php, line")
	c.Expect("a word")
	c.Send(`{"do":"close"}`)
	c.Expect("bye")
	if reason := c.ExpectClose(4001); reason != "signed out" {
		t.Errorf("got %q", reason)
	}
	other.Expect(`{"copied":1,"missed":0,"frames":[{"to":"channel:lobby","data":"c:1"}]}`)
	other.Expect(`{"left":"ann","code":4001,"why":"signed out","held":true}`)
}

// connection is the id of a user's connection.
func (s *site) connection(user string) string {
	s.t.Helper()
	return strings.TrimPrefix(strings.Trim(s.redis.Do(s.t, "HKEYS", "ws:presence:user:"+user), "[]"), "conn:")
}

// Each way to reach the gateway does the same.
func TestClientOverEachConnection(t *testing.T) {
	s := open(t, "site.php")
	for _, kind := range []struct{ name, at, more string }{
		{"phpredis", s.redis.Addr, ""},
		{"predis", s.redis.Addr, ""},
		{"a connection of its own", "redis://" + s.redis.Addr + "/0", ""},
		{"a connection of its own by a socket", "unix://" + s.redis.Socket(), ""},
		{"http", s.Admin, stack.AdminToken},
		{"http+unix", "http+unix://" + forward(t, s.Admin), stack.AdminToken},
	} {
		t.Run(kind.name, func(t *testing.T) {
			s := &site{GatewayServer: s.GatewayServer, t: t, redis: s.redis, fpm: s.fpm}
			user := strings.NewReplacer(" ", "-", "+", "-").Replace("ü " + kind.name)
			c := s.enter(user)
			defer c.Cut()
			php := startClient(t, kind.name, kind.at, kind.more)
			s.pushes(c, php, user)
			if !strings.HasPrefix(kind.name, "http") {
				s.questions(php, user)
			} else {
				php.fails(`["online","`+user+`"]`, "Failed", "connection to Redis")
			}
			php.want(`["disconnect","`+user+`",4001,"out"]`, "1")
			if reason := c.ExpectClose(4001); reason != "out" {
				t.Errorf("got %q", reason)
			}
			stack.Wait(t, "the user to be gone", func() bool {
				return s.redis.Do(t, "EXISTS", "ws:presence:user:"+user) == "0"
			})
			s.kicks(php, user)
		})
	}
}

// kicks ends a connection that is there, and one whose connect script has looked already, but not one that begins later.
func (s *site) kicks(php *phpClient, user string) {
	s.t.Helper()
	c := s.enter(user)
	dir := stack.TempDir(s.t)
	late := make(chan *stack.Client)
	go func() {
		defer close(late)
		late <- stack.Dial(s.t, s.URL+"/ws?wait="+dir+"&user="+user, stack.DialOptions{})
	}()
	stack.Wait(s.t, "the script to look", func() bool { _, err := os.Stat(dir + "/looked"); return err == nil })
	for _, line := range []string{`["kick",["` + user + `",7],4003,"removed"]`, `["kick","none"]`} {
		if receipt := php.call(line); !strings.Contains(receipt, "-") || strings.Contains(receipt, "error") {
			s.t.Errorf("%s: got %s, want an id", line, receipt)
		}
	}
	if reason := c.ExpectClose(4003); reason != "removed" {
		s.t.Errorf("got %q", reason)
	}
	if err := os.WriteFile(dir+"/go", nil, 0o644); err != nil {
		s.t.Fatal(err)
	}
	if c = <-late; c != nil {
		c.Next()
		c.ExpectClose(4003)
	}
	s.enter(user).Close(1000, "")
	if f := php.fails(`["kick","a,b"]`, "Refused", "kick: the name"); f.File != "client.php" {
		s.t.Errorf("a refusal names %s, want the caller's file", f.File)
	}
}

// pushes are all calls that send.
func (s *site) pushes(c *stack.Client, php *phpClient, user string) {
	s.t.Helper()
	id := s.connection(user)
	php.want(`["push","user:`+user+`","a text"]`, "1")
	c.Expect("a text")
	php.want(`["push","user:`+user+`",{"ü/":[1.0,null]}]`, "1")
	c.Expect(`{"ü/":[1.0,null]}`)
	php.want(`["push",["user:`+user+`","channel:lobby"],"once"]`, "1")
	c.Expect("once")
	php.want(`["push","conn:`+id+`",{"hex":"00ff"},[],true]`, "1")
	c.ExpectBinary([]byte{0, 0xff})
	php.call(`["push","all","not to it","user:` + user + `"]`)
	for _, line := range []string{`["store","user:` + user + `","kept"]`, `["store",["conn:` + id + `","all"],["kept"],["user:other","conn:none"]]`, `["store","conn:` + id + `",{"hex":"00fe"},[],true]`} {
		if receipt := php.call(line); !strings.Contains(receipt, "-") || strings.Contains(receipt, "error") {
			s.t.Errorf("%s: got %s, want an id", line, receipt)
		}
	}
	c.Expect("kept")
	c.Expect(`["kept"]`)
	c.ExpectBinary([]byte{0, 0xfe})
	php.want(`["join","user:`+user+`",["one",2]]`, "1")
	php.call(`["command",{"to":"channel:2","data":"in two"},{"to":"channel:2","leave":["2"]},{"to":"channel:2","data":"no"},{"to":"channel:one","data":"in one"}]`)
	c.Expect("in two")
	c.Expect("in one")
	php.call(`["purge","*"]`)
	f := php.fails(`["push","channel:a,b","x"]`, "Refused", "the name")
	if f.File != "client.php" {
		s.t.Errorf("a refusal names %s, want the caller's file", f.File)
	}
	php.fails(`["push","user:a",{"hex":"ff"}]`, "Refused", "UTF-8")
	php.fails(`["store","all",""]`, "Refused", "empty")
	php.fails(`["push","all","`+strings.Repeat("x", 1<<20+1)+`"]`, "Refused", "push_limit")
}

// questions are all calls that ask who is there.
func (s *site) questions(php *phpClient, user string) {
	s.t.Helper()
	other, stranger := s.enter(user), s.enter("")
	defer other.Cut()
	defer stranger.Cut()
	php.want(`["online","`+user+`"]`, "true")
	php.want(`["online","unknown-user"]`, "false")
	var ids []string
	if err := json.Unmarshal([]byte(php.call(`["connections","`+user+`"]`)), &ids); err != nil || len(ids) != 2 || strings.Contains(ids[0], ":") {
		s.t.Errorf("got %q, %v, want two ids", ids, err)
	}
	var members map[string]int
	if err := json.Unmarshal([]byte(php.call(`["members","lobby"]`)), &members); err != nil || len(members) != 2 || members["user:"+user] != 2 {
		s.t.Errorf("got %v, %v, want the user twice and a stranger", members, err)
	}
	php.want(`["count","lobby"]`, "2")
	php.want(`["count","nowhere"]`, "0")
	php.want(`["listeners","user:`+user+`"]`, "1")
	php.want(`["listeners","user:unknown-user"]`, "0")
	php.want(`["present","user"]`, `["`+user+`"]`)
	php.fails(`["command",{"to":"all","data":"x","durable":true}]`, "Refused", "store()")
	other.Close(1000, "")
	stranger.Close(1000, "")
	stack.Wait(s.t, "them to leave", func() bool { return php.call(`["members","lobby"]`) == `{"user:`+user+`":1}` })
}
