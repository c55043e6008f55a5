package contract

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// malformed are commands that no door takes, with what the reason must name.
var malformed = map[string]string{
	`{"to": [], "data": "x"}`:                                   `to`,
	`{"to": null, "data": "x"}`:                                 `to`,
	`{"to": [], "close": {"code": 4001}}`:                       `to`,
	`{"to": "user:u", "except": null, "data": "x"}`:             `except`,
	`{"to": ["user:u", 4.2], "data": "x"}`:                      `to: item 2: got 4.2`,
	`{"to": "user:u", "join": ["a", true], "data": "x"}`:        `join: item 2: got true`,
	`{"to": "user:u", "close": {"code": "4001"}}`:               `close.code`,
	`{"to": "user:u", "to": "user:w", "data": "x"}`:             `stands twice`,
	`{"to": "user:u", "data": "x"} x`:                           `after top-level value`,
	`[{"to": "user:u", "data": "x"}, {"to": "all", "data": "x}`: `unexpected end`,
}

func TestMalformedCommandsAreRefusedAtEveryDoor(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "4.to-named", "4.strict-json", "4.values")
	u := w.dial("?h[]=WS-User:u", stack.DialOptions{})
	a := w.open()
	for command, want := range malformed {
		say(a, command, commandType)
		settle(t, a) // neither a message nor a close came before
		encoded, _ := json.Marshal(want)
		inJSON := strings.Trim(string(encoded), `"`)
		w.AwaitLog(t, "error", "event failed", inJSON)
		status, body := w.Push(t, command)
		if status != 400 || !strings.Contains(body, inJSON) {
			t.Errorf("/push of %s: got %d %s, want 400 and %q", command, status, body, want)
		}
		w.publish("command", command)
	}
	w.AwaitLog(t, "warn", "push dropped", "command 1: ")
	w.publish("command", `{"to": "user:u", "data": "first"}`)
	u.Expect("first")
}

func TestIntegersAreTakenForNames(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "4.values")
	c := w.open()
	say(c, `{"user": 42, "state": 7, "join": [1, "two"], "data": null}`, commandType)
	c.Expect("null")
	settle(t, c)
	e := w.trace.Of("message")[1]
	equal(t, "user, channels, state", e.Var("WS_USER")+" "+e.Var("WS_CHANNELS")+" "+e.Var("WS_STATE"), "42 1,two 7")
	w.pushed(`{"to": "user:42", "leave": 1, "close": {"code": 4001, "reason": 5}}`, 1)
	equal(t, "reason", c.ExpectClose(4001), "5")
}

func TestPublishingToNoAddress(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true}, "2.publish-none")
	c := w.open()
	for i, header := range []string{"WS-Publish: ", "WS-Publish: ; except=self"} {
		say(c, "for no client", header, fmt.Sprint("WS-State: s", i))
		settle(t, c)
		events := w.trace.Of("message")
		equal(t, "state", events[len(events)-1].Var("WS_STATE"), fmt.Sprint("s", i))
	}
}
