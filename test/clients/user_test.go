package clients

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// A page that comes back as bob must not send what ann has written while it was away: bob would pay for it.
func TestThePageSendsNothingOfAnotherUser(t *testing.T) {
	stack.Integration(t)
	contract.Row(t, "9.owner")
	dir := stack.Scripts(t, map[string]string{"page.php": strings.Replace(payScript, "'42'", "$_GET['user']", 1)})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: stack.FPM(t, stack.FPMOptions{Children: 4}), Redis: stack.Redis(t, stack.RedisOptions{}).URL(),
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nonce = \"60s\"\n",
	})
	link := stack.Proxy(t, g.Listen)
	url := "ws://" + link.Addr + "/ws?user="
	p := openPageIn(t, []string{"NO_TIMERS=1"}, url+"ann", url+"bob")
	for _, name := range []string{"pay", "more"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.state("open")
	link.Reset()
	p.state("waiting")
	p.send(`"pay"`)
	p.send("retry")
	if e := p.ended(1); e.Failed != "user" {
		t.Errorf("got %+v", e)
	}
	p.send(`"more"`)
	if e := p.ended(2); fmt.Sprint(e.Reply) != "more: attempt 1" {
		t.Errorf("got %+v", e)
	}
	if _, err := os.Stat(filepath.Join(dir, "ran-pay")); err == nil {
		t.Error("PHP ran for bob")
	}
}

// A script that is told "ok" prints no state, and the page would add bob's messages to ann's state.
func TestAPageOfAnotherUserGetsTheState(t *testing.T) {
	stack.Integration(t)
	contract.Row(t, "6.user", "7.user")
	redis := stack.Redis(t, stack.RedisOptions{})
	dir := stack.Scripts(t, map[string]string{"page.php": `
if ($_SERVER['WS_EVENT'] !== 'connect') exit;
header('WS-User: ' . $_GET['user']);
if ($_SERVER['WS_RESUME'] !== 'ok') echo json_encode(['of' => $_GET['user']]);`})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: stack.FPM(t, stack.FPMOptions{Children: 4}), Redis: redis.URL(),
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nresume = true\n",
	})
	link := stack.Proxy(t, g.Listen)
	url := "ws://" + link.Addr + "/ws?user="
	p := openPage(t, url+"ann", url+"bob", url+"bob", url+"bob")
	message := func() string {
		return fmt.Sprint(p.next("a message", func(e pageEvent) bool { return e.Message != nil }).Message)
	}
	if got := message(); got != "map[of:ann]" {
		t.Fatalf("got %s", got)
	}
	link.Reset()
	redis.Do(t, "xadd", "ws:log", "*", "to", "user:bob", "data", "of bob, while away")
	if got := message(); got != "map[of:bob]" {
		t.Errorf("got %s, want the state of bob", got)
	}
	link.Reset()
	redis.Do(t, "xadd", "ws:log", "*", "to", "user:bob", "data", "missed")
	if got := message(); got != "missed" { // as the same user it resumes
		t.Errorf("got %s", got)
	}
}
