package clients

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// resumeScript has clients in one room, and prints a state to those that need it.
const resumeScript = `
if ($_SERVER['WS_EVENT'] !== 'connect') exit;
header('WS-Join: room');
if ($_SERVER['WS_RESUME'] !== 'ok') echo json_encode(['state' => $_SERVER['WS_RESUME']]);`

// A page between two nodes, of which one is killed, gets every stored message once and in
// order, also those that are stored while it is away.
func TestThePageMissesNothing(t *testing.T) {
	t.Parallel()
	stack.Integration(t)
	contract.Row(t, "7.ok", "7.envelope", "7.last")
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	redis := stack.Redis(t, stack.RedisOptions{})
	dir := stack.Scripts(t, map[string]string{"page.php": resumeScript})
	var nodes []*stack.GatewayServer
	var links []*stack.Link
	var urls []string
	for range 2 {
		g := stack.Gateway(t, stack.GatewayOptions{
			FPM: fpm, Redis: redis.URL(), Limits: "ping_interval = \"500ms\"\ncontrol_rate = 0",
			Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nresume = true\n",
		})
		link := stack.Proxy(t, g.Listen)
		nodes, links = append(nodes, g), append(links, link)
		urls = append(urls, "ws://"+link.Addr+"/ws")
	}
	p := openPage(t, urls...)
	message := func() string {
		return fmt.Sprint(p.next("a message", func(e pageEvent) bool { return e.Message != nil }).Message)
	}
	if got := message(); got != "map[state:new]" {
		t.Fatalf("connect's body: got %s", got)
	}
	client := redis.Client(t)
	stored, read := 0, 0
	store := func(until int) {
		for ; stored < until; stored++ {
			if err := client.Do(t.Context(), "XADD", "ws:log", "*", "to", "channel:room", "data", fmt.Sprintf(`{"n":%d}`, stored)).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	take := func(until int) {
		t.Helper()
		for ; read < until; read++ {
			if got, want := message(), fmt.Sprintf("map[n:%d]", read); got != want {
				t.Fatalf("got %s, want %s", got, want)
			}
		}
	}
	for _, cut := range []func(){links[0].Reset, links[1].Reset, nodes[rand.IntN(2)].Kill, links[0].Reset, links[1].Reset, func() {}} {
		store(read + 100)
		take(read + 50)
		cut()
		store(stored + 100) // while the page is away, or not
		take(stored)
	}
}
