package contract

import (
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// rejected wants the answer with these headers to be malformed: neither its
// body nor its user arrives.
func rejected(t *testing.T, c *stack.Client, headers ...string) {
	t.Helper()
	say(c, "body of a malformed answer", headers...)
	say(c, "next")
	f := c.Next()
	if string(f.Data) != "next" {
		t.Errorf("%q: got %s, want the answer to be malformed", headers, f)
		c.Next()
	}
}

func TestHeaderNamesInAnyCase(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.header-case")
	c := w.open()
	say(c, "", "ws-user: 7", "wS-jOIN: x", "content-TYPE: text/plain")
	settle(t, c)
	events := w.trace.Of("message")
	equal(t, "WS_USER", events[1].Var("WS_USER"), "7")
	equal(t, "WS_CHANNELS", events[1].Var("WS_CHANNELS"), "x")
}

func TestUnknownAndRepeatedHeadersAreMalformed(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.unknown-ws", "2.whole-value", "2.encoding", "2.failure")
	c := w.open()
	rejected(t, c, "WS-Usr: 7")
	rejected(t, c, "WS-User: 7", "WS-User: 8")
	rejected(t, c, "WS-State: a", "WS-State: b")
	rejected(t, c, "WS-Close: 4001 a", "WS-Close: 4001 a")
	rejected(t, c, "Content-Encoding: gzip")
	rejected(t, c, "WS-Join: ok", "WS-Nonsense: 1")
	say(c, "identity", "Content-Encoding: identity")
	c.Expect("identity")
	w2 := start(t, setup{script: `header('WS-Protocol: a'); header('WS-Protocol: b', false);`}, "2.whole-value")
	equal(t, "two WS-Protocol", w2.refused("", stack.DialOptions{Protocols: []string{"a", "b"}}).Status, 502)
}

func TestWSAcceptIsOneOrNothing(t *testing.T) {
	w := start(t, setup{script: `if (isset($_GET['accept'])) header('WS-Accept: ' . $_GET['accept']);`}, "2.accept-value")
	for _, value := range []string{"0", "no", ""} {
		equal(t, "WS-Accept: "+value, w.refused("?accept="+value, stack.DialOptions{}).Status, 502)
	}
	w.AwaitLog(t, "", "want 1 or no such header")
	w.dial("?accept=1", stack.DialOptions{}).Close(1000, "")
	c := start(t, setup{script: "chatty.php"}, "2.accept-value").open()
	rejected(t, c, "WS-Accept: 0")
}

func TestListsWithCommasOrRepeated(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.lists", "2.whole-value")
	c := w.open()
	say(c, "", "WS-Join: a, b", "WS-Join: c,d ,  e")
	say(c, "", "WS-Leave: a", "WS-Leave: d, e", "WS-User: x y")
	say(c, "once each", "WS-Publish: channel:b", "WS-Publish: channel:c")
	c.Expect("once each")
	settle(t, c)
	events := w.trace.Of("message")
	equal(t, "joined", events[1].Var("WS_CHANNELS"), "a,b,c,d,e")
	equal(t, "left", events[2].Var("WS_CHANNELS"), "b,c")
	equal(t, "WS_USER is a whole value", events[2].Var("WS_USER"), "x y")
}

func TestNames(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.names")
	c := w.open()
	long := strings.Repeat("n", 200)
	for _, good := range []string{"a", "grüße", "a b", "a:b/c#d", "{x}", "東京", long} {
		say(c, "to "+good, "WS-Leave: *", "WS-Join: "+good, "WS-User: "+good)
		c.Expect("to " + good)
		say(c, "push", "WS-Publish: channel:"+good)
		c.Expect("push")
	}
	for _, bad := range []string{long + "n", "a;b", "a*", "\x01", "a\x7fb", "\xff\xfe", "\xc3"} {
		for _, header := range []string{"WS-Join: ", "WS-User: "} {
			// The client's message is text; the script decodes what is not UTF-8.
			c.SendBinary([]byte(header + bad + "\n\nmalformed"))
			say(c, "next")
			if f := c.Next(); string(f.Data) != "next" {
				t.Errorf("%s%q: got %s, want it to be malformed", header, bad, f)
				c.Next()
			}
		}
	}
	rejected(t, c, "WS-User: a,b")
}

func TestChannelLimit(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.channel-limit")
	c := w.open()
	var names []string
	for i := range 64 {
		names = append(names, fmt.Sprint("c", i))
	}
	say(c, "64", "WS-Join: "+strings.Join(names, ","))
	c.Expect("64")
	rejected(t, c, "WS-Join: one-more")
	say(c, "swap", "WS-Leave: c0", "WS-Join: one-more")
	c.Expect("swap")
	w2 := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "channels = 2"}}, "2.channel-limit")
	rejected(t, w2.open(), "WS-Join: a,b,c")
}

func TestChannelNamesFitOneParameter(t *testing.T) {
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "channels = 0"}, route: `message_limit = "128KiB"`}, "2.channel-names")
	c := w.open()
	names := func(from, to int) (list []string) {
		for i := from; i < to; i++ {
			list = append(list, fmt.Sprintf("%0199d", i))
		}
		return list
	}
	say(c, "200 channels", "WS-Join: "+strings.Join(names(0, 200), ","))
	c.Expect("200 channels")
	say(c, "307 channels", "WS-Join: "+strings.Join(names(200, 307), ","))
	c.Expect("307 channels")
	rejected(t, c, "WS-Join: "+names(307, 308)[0])
	w.AwaitLog(t, "error", "event failed", "WS_CHANNELS")
	c.Close(1000, "")
	equal(t, "channels at the end", w.trace.Await(t, "disconnect", 1)[0].Var("WS_CHANNELS"), strings.Join(names(0, 307), ","))
}

func TestTextMustBeUTF8(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.utf8")
	c := w.open()
	c.SendBinary([]byte("\n\nbad \xff\xfe"))
	settle(t, c)
	c.SendBinary([]byte("Content-Type: application/octet-stream\n\nbad \xff\xfe"))
	c.ExpectBinary([]byte("bad \xff\xfe"))
}
