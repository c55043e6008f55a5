package pages

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"wsfpm/test/stack"
)

const moving = "docs/moving.md"

// login makes a session and returns its cookie.
func (s *site) login(data string) string {
	s.t.Helper()
	id := fmt.Sprintf("%032x", len(data))
	if err := os.WriteFile(filepath.Join(s.fpm.Dir, "sessions", "sess_"+id), []byte(data), 0o600); err != nil {
		s.t.Fatal(err)
	}
	return "PHPSESSID=" + id
}

// php runs a script of the site on the command line and returns what it prints.
func (s *site) php(file string) string {
	s.t.Helper()
	host, port, _ := net.SplitHostPort(s.redis.Addr)
	cmd := exec.Command(stack.Tool(s.t, "php-cli", "php"), filepath.Join(s.dir, file))
	cmd.Env = append(os.Environ(), "REDIS_HOST="+host, "REDIS_PORT="+port)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("php %s: %v: %s", file, err, out)
	}
	return string(out)
}

func TestMovingFromNginxAndLua(t *testing.T) {
	stack.Integration(t)
	s := &site{t: t, dir: stack.TempDir(t), redis: stack.Redis(t, stack.RedisOptions{})}
	handler, err := os.ReadFile(filepath.Join(stack.Root(t), "examples/php/origin/form.php"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("ws/form.php", string(handler))
	s.start(blocks(t, moving, "toml")[0])
	c := stack.Dial(t, s.URL+"/ws/form?page=p1", stack.DialOptions{})
	c.Send("name=Ann&n=2")
	c.Expect("greeting=Hello+Ann%21+Hello+Ann%21+&from=p1")
}

func TestMovingFromRatchet(t *testing.T) {
	s := open(t, moving, nil)
	one, two := stack.Dial(t, s.URL+"/ws/ratchet", stack.DialOptions{}), stack.Dial(t, s.URL+"/ws/ratchet", stack.DialOptions{})
	one.Send("hello")
	two.Expect("hello")
	two.Send("back")
	one.Expect("back") // and not its own
}

func TestMovingFromGatewayWorker(t *testing.T) {
	s := open(t, moving, nil)
	if r := stack.Refused(t, s.URL+"/ws/rooms", stack.DialOptions{}); r.Status != 401 {
		t.Errorf("without a login: got %d, want 401", r.Status)
	}
	ann := stack.DialOptions{Cookie: s.login(`user|s:3:"ann";`)}
	one, two := stack.Dial(t, s.URL+"/ws/rooms", ann), stack.Dial(t, s.URL+"/ws/rooms", ann)
	for _, c := range []*stack.Client{one, two} {
		c.Send(`{"type":"join","room":"tea"}`)
	}
	stack.Wait(t, "both to be in the room", func() bool { return s.redisValue("HGET", "ws:presence:channel:tea", "user:ann") == "2" })
	one.Send(`{"type":"say","text":"hi"}`)
	one.Expect(`{"type":"say","text":"hi"}`)
	two.Expect(`{"type":"say","text":"hi"}`)
	s.presence(one, two)
}

// presence reads what the table of calls reads.
func (s *site) presence(one, two *stack.Client) {
	s.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.Addr})
	defer rdb.Close()
	ctx := context.Background()
	ids, err := rdb.HKeys(ctx, "ws:presence:user:ann").Result()
	if err != nil || len(ids) != 2 || !strings.HasPrefix(ids[0], "conn:") {
		s.t.Fatalf("getClientIdByUid: got %v, %v, want two of conn:…", ids, err)
	}
	for command, want := range map[string]string{
		"EXISTS ws:presence:user:ann":      "1",
		"EXISTS ws:presence:user:bob":      "0",
		"PUBSUB NUMSUB ws:user:ann":        "[ws:user:ann 1]",
		"PUBSUB NUMSUB ws:" + ids[0]:       "[ws:" + ids[0] + " 1]",
		"HKEYS ws:presence:channel:tea":    "[user:ann]",
		"HLEN ws:presence:channel:tea":     "1",
		"HVALS ws:presence:channel:tea":    "[2]",
		"PUBLISH ws:" + ids[0] + " to-one": "1",
	} {
		if got := s.redisValue(strings.Fields(command)...); got != want {
			s.t.Errorf("%s: got %s, want %s", command, got, want)
		}
	}
	// Either of the two got it.
	s.redisValue("PUBLISH", "ws:command", `{"to": "channel:tea", "leave": ["tea"], "data": "ungrouped"}`)
	s.redisValue("PUBLISH", "ws:command", `{"to": "`+ids[0]+`", "data": "bye", "close": {"code": 4000}}`)
	closed := 0
	for _, c := range []*stack.Client{one, two} {
		first := string(c.Next().Data)
		if first == "to-one" {
			c.Expect("ungrouped")
			c.Expect("bye")
			c.ExpectClose(4000)
			closed++
		} else if first != "ungrouped" {
			s.t.Errorf("got %q, want what was sent to the group", first)
		}
	}
	if closed != 1 {
		s.t.Errorf("%d closed, want 1", closed)
	}
	stack.Wait(s.t, "the group to be empty", func() bool { return s.redisValue("EXISTS", "ws:presence:channel:tea") == "0" })
}

// redisValue is a command's answer as text.
func (s *site) redisValue(command ...string) string {
	s.t.Helper()
	rdb := redis.NewClient(&redis.Options{Addr: s.redis.Addr})
	defer rdb.Close()
	words := make([]any, len(command))
	for i, word := range command {
		words[i] = word
	}
	value, err := rdb.Do(context.Background(), words...).Result()
	if err != nil && err != redis.Nil {
		s.t.Fatalf("%v: %v", command, err)
	}
	return fmt.Sprint(value)
}

func TestMovingFromPusher(t *testing.T) {
	s := open(t, moving, nil)
	cookie := s.login(`user|s:3:"ann";orders|a:1:{i:0;i:7;}`)
	c := stack.Dial(t, s.URL+"/ws/orders", stack.DialOptions{Cookie: cookie})
	c.Send(`{"subscribe":"orders.8"}`)
	c.Expect(`{"event":"refused","data":"orders.8"}`)
	p := s.openPage(blocks(t, moving, "js")[0], cookie)
	stack.Wait(t, "the page to be in the channel", func() bool {
		return s.redisValue("PUBSUB", "NUMSUB", "ws:channel:orders.7") == "[ws:channel:orders.7 1]"
	})
	s.php("trigger.php")
	p.expect(`{"id":7}`)
}

func TestMovingFromPolling(t *testing.T) {
	s := open(t, moving, map[string]string{"ws/news.json": `["It was ordered"]`})
	p := s.openPage(blocks(t, moving, "js")[0], "")
	p.expect(`"It was ordered"`)
	s.php("publish.php")
	p.expect(`"It has been shipped"`)
	s.Restart(t)
	p.expect(`"It was ordered"`) // the page has come back
}

// calls are the public functions of GatewayWorker's Lib\Gateway, version 2025-02-15, but for
// setBusinessWorker, which its own worker calls.
const calls = `sendToAll sendToClient sendToCurrentClient isUidOnline isOnline getAllClientInfo getAllClientSessions getClientInfoByGroup
	getClientSessionsByGroup getAllClientIdCount getAllClientCount getClientIdCountByGroup getClientCountByGroup getClientIdListByGroup
	getAllClientIdList getClientIdByUid getUidListByGroup getUidCountByGroup getAllUidList getAllUidCount getUidByClientId getAllGroupIdList
	getAllGroupUidCount getAllGroupUidList getAllGroupClientIdList getAllGroupClientIdCount closeClient closeCurrentClient destoryClient
	destoryCurrentClient bindUid unbindUid joinGroup leaveGroup ungroup sendToUid sendToGroup setSocketSession setSession updateSession getSession`

func TestTheTableOfGatewayWorkerIsComplete(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(stack.Root(t), moving))
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "| `Gateway::` |")
	table, _, _ = strings.Cut(table, "\n\n")
	class, err := os.ReadFile(filepath.Join(stack.Root(t), "client/php/src/GatewayClient.php"))
	if err != nil {
		t.Fatal(err)
	}
	for _, call := range strings.Fields(calls) {
		if !regexp.MustCompile("(?m)^\\|[^|]*`" + call + `\b`).MatchString(table) {
			t.Errorf("the table does not have %s", call)
		}
		if !regexp.MustCompile("function " + call + `\(|'` + call + "'").Match(class) {
			t.Errorf("GatewayClient does not have %s", call)
		}
	}
}
