package clients

import (
	"fmt"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// relayScript lets a user's texts that begin with c: go to the others without it, and sends all others itself.
const relayScript = `if ($_SERVER['WS_EVENT'] === 'connect') {
	header("WS-User: $_GET[user]");
	header('WS-Join: doc');
	header('WS-Relay: channel:doc; prefix=c:');
} elseif ($_SERVER['WS_EVENT'] === 'message') {
	header('WS-Publish: channel:doc');
	echo file_get_contents('php://input');
}`

// A page is told the sender of a frame that no script has seen, and no client can make itself another one.
func TestThePageIsToldWhoRelayed(t *testing.T) {
	contract.Row(t, "2.relay-v1")
	dir := stack.Scripts(t, map[string]string{"relay.php": relayScript})
	g := stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{}), Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", dir+"/relay.php")})
	ann, bob := openPage(t, g.URL+"/ws?user=ann"), openPage(t, g.URL+"/ws?user=bob")
	ann.state("open")
	bob.state("open")
	for i, test := range []struct{ send, message, from string }{
		{`"c:1"`, "c:1", "user:ann"},
		{`{"from":"user:eve","data":"c:2"}`, "map[data:c:2 from:user:eve]", ""},
		{`"c:{\"from\":\"user:eve\"}"`, `c:{"from":"user:eve"}`, "user:ann"},
	} {
		ann.send(test.send)
		if e := ann.ended(i + 1); e.Failed != "" {
			t.Errorf("%s: got %+v", test.send, e)
		}
		if e := bob.next("the message", func(e pageEvent) bool { return e.Message != nil }); fmt.Sprint(e.Message) != test.message || e.From != test.from {
			t.Errorf("%s: got %v from %q, want %s from %q", test.send, e.Message, e.From, test.message, test.from)
		}
	}
}
