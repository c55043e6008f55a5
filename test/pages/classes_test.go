package pages

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

const classes = "docs/php.md"

// withClasses puts client/php where its documentation has it, beside the folder ws.
func (s *site) withClasses() *site {
	s.t.Helper()
	if err := os.Symlink(filepath.Join(stack.Root(s.t), "client/php"), filepath.Join(s.dir, "wsfpm")); err != nil {
		s.t.Fatal(err)
	}
	return s
}

func TestTheHandlerOfTheClasses(t *testing.T) {
	s := open(t, classes, nil).withClasses()
	if r := stack.Refused(t, s.URL+"/ws/chat", stack.DialOptions{}); r.Status != 401 || r.Body != "log in first" {
		t.Errorf("without a login: got %d %q", r.Status, r.Body)
	}
	ann := stack.Dial(t, s.URL+"/ws/chat", stack.DialOptions{Cookie: s.session("ann")})
	ann.Expect(`{"hello":"ann"}`)
	bob := stack.Dial(t, s.URL+"/ws/chat", stack.DialOptions{Cookie: s.session("bobby")})
	bob.Expect(`{"hello":"bobby"}`)
	ann.Send(`{"text":"hi"}`)
	ann.Expect(`{"sent":1}`)
	bob.Expect(`{"from":"ann","text":"hi"}`)
	ann.Send("no JSON")
	ann.Expect(`{"sent":2}`)
}

func TestTheStreamOfTheClasses(t *testing.T) {
	s := open(t, classes, nil).withClasses()
	c := stack.Dial(t, s.URL+"/ws/count", stack.DialOptions{})
	c.Send("2")
	c.Expect(`{"line":1}`)
	c.Expect(`{"line":2}`)
}

// member is a script of a client that gives its user and joins the lobby.
const member = `<?php if ($_SERVER['WS_EVENT'] !== 'connect') exit; header('WS-Join: lobby'); header("WS-User: $_GET[user]"); echo 'here';`

// members runs a gateway with the page's script and two connections of 42 and one of 7.
func members(t *testing.T) (s *site, clients []*stack.Client) {
	t.Helper()
	s = newSite(t).withClasses()
	s.write("ws/member.php", member)
	s.keep("")
	for _, user := range []string{"42", "42", "7"} {
		c := stack.Dial(t, s.URL+"/ws/member?user="+user, stack.DialOptions{})
		c.Expect("here")
		clients = append(clients, c)
	}
	return s, clients
}

func TestThePushesOfTheClasses(t *testing.T) {
	s, clients := members(t)
	php := blocks(t, classes, "php")
	s.write("push.php", php[0]+"\necho $id;")
	if id := s.php("push.php"); !strings.Contains(id, "-") {
		t.Errorf("the receipt is %q", id)
	}
	one, seven := clients[0], clients[2]
	one.Expect(`{"order":"shipped"}`)
	one.Expect(`{"order":"shipped"}`)
	seven.Expect("a text")
	if reason := seven.ExpectClose(4001); reason != "signed out" {
		t.Errorf("got %q", reason)
	}
	stack.Wait(t, "42 to be among the orders", func() bool { return s.redisValue("HGET", "ws:presence:channel:orders", "user:42") == "2" })
	host, port, _ := net.SplitHostPort(s.redis.Addr)
	before := fmt.Sprintf("<?php use Wsfpm\\Client; require __DIR__ . '/wsfpm/src/Client.php'; require 'Predis/autoload.php'; $token = '%s';\n"+
		"$predis = new Predis\\Client(['host' => '%s', 'port' => %s], ['prefix' => 'site:']);\n", stack.AdminToken, host, port)
	for _, line := range strings.Split(strings.TrimSpace(php[1]), "\n") {
		line = strings.NewReplacer(":secret@127.0.0.1:6379", s.redis.Addr, "http://127.0.0.1:8081", s.Admin).Replace(line)
		s.write("way.php", before+line+"\n$ws->push('user:42', 'this way');")
		s.php("way.php")
		one.Expect("this way")
	}
}

func TestTheQuestionsOfTheClasses(t *testing.T) {
	s, _ := members(t)
	code := "<?php require __DIR__ . '/wsfpm/src/Client.php'; $ws = new Wsfpm\\Client('redis://" + s.redis.Addr + "');\n"
	for line := range strings.Lines(blocks(t, classes, "php")[0]) {
		command, _, _ := strings.Cut(line, ";")
		code += "$answer = " + command + "; echo json_encode(is_array($answer) && array_is_list($answer) ? count($answer) : $answer), \"\\n\";\n"
	}
	s.write("ask.php", code)
	if got, want := s.php("ask.php"), "true\n2\n{\"user:42\":2,\"user:7\":1}\n2\n1\n"; got != want && got != strings.Replace(want, `"user:42":2,"user:7":1`, `"user:7":1,"user:42":2`, 1) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGatewayWorkersNames(t *testing.T) {
	s, clients := members(t)
	id := strings.TrimPrefix(strings.Fields(strings.Trim(s.redisValue("HKEYS", "ws:presence:user:7"), "[]"))[0], "conn:")
	code := strings.Replace(blocks(t, moving, "php")[0], "127.0.0.1:6379", s.redis.Addr, 1)
	code = strings.Replace(code, "'tea'", "'lobby'", 1) // in which these clients are
	s.write("push.php", fmt.Sprintf("<?php namespace Site;\nrequire __DIR__ . '/wsfpm/src/GatewayClient.php';\n$json = '{}'; $address = $text = ''; $client_id = '%s';\n"+
		"function mail(...$mail) { echo 'mailed'; }\n%s\nGateway::closeClient($client_id);", id, code))
	if out := s.php("push.php"); out != "" {
		t.Errorf("7 is online, and PHP printed %q", out)
	}
	for _, c := range clients[:2] {
		c.Expect("{}")
		c.Expect("{}")
	}
	clients[2].ExpectClose(4000) // without a message
	stack.Wait(t, "7 to be gone", func() bool { return s.redisValue("EXISTS", "ws:presence:user:7") == "0" })
	if out := s.php("push.php"); out != "mailed" {
		t.Errorf("7 is away, and PHP printed %q", out)
	}
}
