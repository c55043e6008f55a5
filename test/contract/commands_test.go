package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

const commandType = "Content-Type: application/vnd.wsfpm+json"

func TestToExceptAndSelf(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "4.to", "4.self")
	a := w.dial("?h[]=WS-Join:lobby&h[]=WS-User:1", stack.DialOptions{})
	b := w.dial("?h[]=WS-Join:lobby&h[]=WS-User:2", stack.DialOptions{})
	c := w.dial("?h[]=WS-Join:lobby&h[]=WS-User:3", stack.DialOptions{})
	say(a, `{"to":["user:2","channel:lobby"],"except":["self","user:3"],"data":"for 2"}`, commandType)
	b.Expect("for 2")
	say(a, `{"to":"channel:lobby","except":"self","data":"for others"}`, commandType)
	b.Expect("for others")
	c.Expect("for others")
	say(a, `{"data":"for me","user":"9","state":"s","join":["mine"],"leave":["lobby"]}`, commandType)
	a.Expect("for me")
	settle(t, a)
	e := w.trace.Of("message")[3]
	equal(t, "user, channels, state", e.Var("WS_USER")+" "+e.Var("WS_CHANNELS")+" "+e.Var("WS_STATE"), "9 mine s")
	say(a, `{"to":"user:2","user":"3","data":"x"}`, commandType) // user stands only without to
	settle(t, a)
	b.ExpectNothing(quiet)
}

func TestData(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "4.data", "4.base64", "4.data-or-base64")
	c := w.open()
	for command, want := range map[string]string{
		`{"data":"text"}`:                     "text",
		`{"data":{"any":  "json",  "n":[1]}}`: `{"any":"json","n":[1]}`,
		`{"data":12345678901234567890}`:       "12345678901234567890",
		`{"data": true}`:                      "true",
		`{"data":"gr\u00fc\u00df"}`:           "grüß",
	} {
		say(c, command, commandType)
		c.Expect(want)
	}
	say(c, `{"base64":"AAEC"}`, commandType)
	c.ExpectBinary([]byte{0, 1, 2})
	for _, bad := range []string{`{"data":"x","base64":"AAEC"}`, `{"base64":"%"}`, `{"data":"x","data":"y","unknown":1}`, `{"nonsense":1}`, `[1]`, `{`, `{"data":"x"} x`} {
		say(c, bad, commandType)
		settle(t, c)
	}
	say(c, `{"join":["a"]}`, commandType) // neither
	settle(t, c)
}

func TestOrderInOneCommand(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "4.order", "4.join-leave", "4.close")
	a, b := w.open(), w.dial("?h[]=WS-User:b&h[]=WS-Join:old", stack.DialOptions{})
	for i := range 10 {
		room := fmt.Sprint("room", i)
		say(a, fmt.Sprintf(`{"to":"user:b","join":[%q],"leave":["old"],"data":"welcome"}`, room), commandType)
		b.Expect("welcome")
		equal(t, "subscribers when the data is there", w.publish("channel:"+room, "hi"), 1)
		b.Expect("hi")
	}
	say(a, `{"to":"user:b","close":{"code":4001,"reason":"signed out"},"data":"last words","join":["x"]}`, commandType)
	b.Expect("last words")
	equal(t, "reason", b.ExpectClose(4001), "signed out")
}

func TestWhatFollowsAJoinArrives(t *testing.T) {
	for _, redis := range []bool{false, true} {
		w := start(t, setup{script: "chatty.php", redis: redis}, "4.after-join")
		a, b := w.open(), w.dial("?h[]=WS-User:b", stack.DialOptions{})
		for i := range 20 {
			room := fmt.Sprint("room", i)
			status, _ := w.Push(t, fmt.Sprintf(`[{"to":"user:b","join":[%q],"data":"in"},{"to":"channel:%s","data":"pushed"}]`, room, room))
			equal(t, "status", status, 200)
			b.Expect("in")
			b.Expect("pushed")
			room = fmt.Sprint("other", i)
			say(a, fmt.Sprintf(`[{"to":"user:b","join":[%q],"data":"in"},{"to":"channel:%s","data":"said"}]`, room, room), commandType)
			b.Expect("in")
			b.Expect("said")
		}
	}
}

func TestCommandsOfAllProgramsHaveOneOrder(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "4.command-order")
	b := w.dial("?h[]=WS-User:b", stack.DialOptions{})
	for i := range 50 {
		room := fmt.Sprint("room", i)
		for _, command := range []string{ // each by a connection of its own
			`{"to":"user:b","join":[%q],"data":"in"}`,
			`{"to":"channel:%s","data":"said"}`,
			`{"to":"user:b","leave":[%q],"data":"out"}`,
			`{"to":"channel:%s","data":"too late"}`,
		} {
			w.publish("command", fmt.Sprintf(command, room))
		}
	}
	for range 50 {
		for _, text := range []string{"in", "said", "out"} {
			b.Expect(text)
		}
	}
}

func TestAThousandAddresses(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "4.address-limit")
	a := w.dial("?h[]=WS-User:u0", stack.DialOptions{})
	command := func(n int) string {
		var to []string
		for i := range n {
			to = append(to, fmt.Sprint("user:u", i))
		}
		text, _ := json.Marshal(map[string]any{"to": to, "data": "x"})
		return string(text)
	}
	w.pushed(command(1000), 1)
	a.Expect("x")
	if status, _ := w.Push(t, command(1001)); status != 400 && status != 422 {
		t.Errorf("1001 addresses: got %d, want 400", status)
	}
	a.ExpectNothing(quiet)
}

func TestUnknownFieldsByDoor(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "4.unknown-strict", "4.unknown-lenient")
	c := w.dial("?h[]=WS-User:u", stack.DialOptions{})
	const command = `{"to":"user:u","data":"x","later":1}`
	say(c, command, commandType)
	settle(t, c)
	if status, body := w.Push(t, command); status/100 != 4 || !strings.Contains(body, "later") {
		t.Errorf("/push: got %d %s, want 400 that names the field", status, body)
	}
	w.publish("command", command)
	c.Expect("x")
	w.AwaitLog(t, "warn", "later")
}
