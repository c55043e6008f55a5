package contract

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// withHeaders is a query with which chatty.php answers connect with headers.
func withHeaders(lines ...string) string {
	var list []string
	for _, line := range lines {
		list = append(list, "h[]="+url.QueryEscape(line))
	}
	return "?" + strings.Join(list, "&")
}

var wrapping = stack.DialOptions{Protocols: []string{"wsfpm.v1"}}

// patient is a gateway that waits for a slow Redis: after redis.confirm a frame is lost.
var patient = stack.GatewayOptions{RedisTOML: "confirm = \"5s\"\n"}

// frames waits until so many frames had an outcome.
func (w *world) frames(outcome string, n float64) {
	w.t.Helper()
	stack.Wait(w.t, fmt.Sprintf("%v frames to be %s", n, outcome), func() bool {
		return w.Metric(w.t, "wsfpm_relayed_frames_total", `outcome="`+outcome+`"`) == n
	})
}

func TestFramesGoWithoutPHP(t *testing.T) {
	for _, redis := range []bool{false, true} {
		w := start(t, setup{script: "chatty.php", redis: redis, options: patient},
			"2.relay", "2.relay-prefix", "2.relay-raw", "2.relay-echo", "2.relay-v1", "2.relay-order")
		a := w.dial(withHeaders("WS-User: 1", "WS-Join: doc", "WS-Relay: channel:doc; binary; prefix=c:"), stack.DialOptions{})
		b := w.dial(withHeaders("WS-Join: doc", "WS-Relay: channel:doc; prefix={; echo; raw"), stack.DialOptions{})
		v := w.dial(withHeaders("WS-User: 3", "WS-Join: doc", "WS-Relay: channel:doc; prefix=c:"), wrapping)
		v.Next() // hello
		a.SendBinary([]byte{0, 255})
		b.ExpectBinary([]byte{0, 255})
		v.Expect(`{"from":"user:1","base64":"AP8="}`)
		a.Send(`c:"{`)
		b.Expect(`{"from":"user:1","data":"c:\"{"}`)
		v.Expect(`{"from":"user:1","data":"c:\"{"}`)
		v.Send(`{"id":"k7","data":"c:x"}`)
		v.Expect(`{"re":"k7"}`)
		a.Expect(`{"from":"user:3","data":"c:x"}`)
		b.Expect(`{"from":"user:3","data":"c:x"}`)
		b.Send(`{"from":"user:9"}`)
		b.Expect(`{"from":"user:9"}`)
		a.Expect(`{"from":"user:9"}`)
		if got := string(v.Next().Data); !regexp.MustCompile(`^\{"from":"conn:[^"]+","data":\{"from":"user:9"\}\}$`).MatchString(got) {
			t.Errorf("got %s", got)
		}
		say(a, "said", "WS-Publish: channel:doc")
		a.Send("c:after")
		b.Expect("said")
		b.Expect(`{"from":"user:1","data":"c:after"}`)
		equal(t, "message events", len(w.trace.Of("message")), 1)
		w.frames("sent", 5)
	}
}

func TestAScriptFixesTheAddress(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, options: patient}, "2.relay-address", "2.relay-fixed", "2.relay-end", "2.relay-ended", "2.relay-php")
	for _, bad := range []string{"all; binary", "self; binary", "channel:other; binary", "channel:doc", "channel:doc; binary; durable", "channel:doc; binary; rate=x"} {
		equal(t, bad, w.refused(withHeaders("WS-Join: doc", "WS-Relay: "+bad), stack.DialOptions{}).Status, 502)
	}
	a := w.dial(withHeaders("WS-User: 1", "WS-Join: doc", "WS-Relay: channel:doc; prefix={; binary"), stack.DialOptions{})
	b := w.dial(withHeaders("WS-User: 2", "WS-Join: doc, other"), stack.DialOptions{})
	forged := `{"to":"all","from":"user:9","data":"x","relay":"","close":{"code":4001}}`
	a.Send(forged)
	b.Expect(`{"from":"user:1","data":` + forged + `}`)
	a.SendBinary([]byte("\xff\xfewsfpm-frame\x01\x00\x06user:9\x00x"))
	b.ExpectBinary([]byte("\xff\xfewsfpm-frame\x01\x00\x06user:9\x00x"))
	for what, end := range map[string]func(){
		"an empty header": func() { say(a, "", "WS-Relay:") },
		"a command":       func() { w.publish("command", `{"to":"user:1","relay":""}`) },
		"an answer":       func() { say(b, `{"to":"user:1","relay":""}`, commandType) },
		"leaving":         func() { say(a, "", "WS-Leave: doc") },
		"others":          func() { w.publish("command", `{"to":"user:1","leave":["*"]}`) },
		"another user":    func() { say(a, "", "WS-User: 7") },
	} {
		say(a, "again", "WS-User: 1", "WS-Join: doc", "WS-Relay: channel:doc; prefix={; binary")
		a.Expect("again")
		a.Send("{1")
		b.Expect(`{"from":"user:1","data":"{1"}`)
		dropped := w.ended()
		end()
		stack.Wait(t, what+" to end the relay", func() bool {
			a.Send("{2")
			return w.ended() > dropped
		})
		say(b, "ended", "WS-Publish: user:2")
		skipTo(b, "ended") // frames that came before the end
		settle(t, a)
		dropped = w.ended()
		a.Send("{3")
		w.frames("ended", dropped+1)
		say(b, "nothing", "WS-Publish: user:2")
		b.Expect("nothing")
	}
	for _, e := range w.trace.Of("message") {
		if strings.HasPrefix(string(e.Body), "{") {
			t.Errorf("PHP got %s", e.Body)
		}
	}
	say(a, "off", "WS-Relay: php")
	a.Expect("off")
	a.SendBinary([]byte("\n\nto PHP"))
	a.Expect("to PHP")
}

// skipTo reads a client's messages up to one.
func skipTo(c *stack.Client, last string) {
	for string(c.Next().Data) != last {
	}
}

// ended is how many frames were dropped after the end of a relay.
func (w *world) ended() float64 {
	return w.Metric(w.t, "wsfpm_relayed_frames_total", `outcome="ended"`)
}

// A user who is banned, by either of the commands of docs/relay.md, is not heard any more.
func TestABanStopsTheFrames(t *testing.T) {
	const page = "relay.md"
	w := start(t, setup{script: "chatty.php", redis: true, options: patient}, "4.relay", "2.relay-nodes")
	far := w.second(t, "far")
	for _, line := range strings.Split(strings.TrimSpace(codeOf(t, page, "php", "$redis->publish")), "\n") {
		command := regexp.MustCompile(`'(\{.*\})'`).FindStringSubmatch(line)[1]
		b := far.dial(withHeaders("WS-Join: doc.5"), stack.DialOptions{})
		var tabs []*stack.Client
		for range 3 {
			tabs = append(tabs, w.dial(withHeaders("WS-User: 42", "WS-Join: doc.5", "WS-Relay: channel:doc.5; prefix=c"), stack.DialOptions{}))
		}
		for _, a := range tabs {
			a.Send("c1")
			b.Expect(`{"from":"user:42","data":"c1"}`)
		}
		w.publish("command", command)
		stack.Wait(t, "all frames to be dropped", func() bool {
			was := w.ended()
			for _, a := range tabs {
				a.Send("c2")
				say(a, "sync")
				skipTo(a, "sync")
			}
			return w.ended()-was == 3
		})
		w.publish("channel:doc.5", "end")
		skipTo(b, "end")
		dropped := w.ended()
		for _, a := range tabs {
			a.Send("c3")
		}
		w.frames("ended", dropped+3)
		for _, a := range tabs {
			say(a, "sync")
			skipTo(a, "sync")
			a.Close(1000, "")
		}
		w.publish("channel:doc.5", "end")
		b.Expect("end")
		b.Close(1000, "")
	}
}

func TestFramesAreThinnedAndSlowedDown(t *testing.T) {
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "relay_per_second = 20\nrelay_frame = \"10B\"\nmessages_per_second = 0"}},
		"2.relay-latest", "2.relay-rate", "2.relay-too-large", "5.limit-relay", "5.limit-relay-frame")
	b := w.dial(withHeaders("WS-Join: doc"), stack.DialOptions{})
	fast := w.dial(withHeaders("WS-Join: doc", "WS-Relay: channel:doc; prefix=c; raw; rate=1000"), stack.DialOptions{})
	fast.Send("c234567890")
	fast.Send("c2345678901")
	for i := range 30 {
		fast.Send(fmt.Sprint("c", i))
	}
	b.Expect("c234567890")
	for i := range 30 {
		b.Expect(fmt.Sprint("c", i))
	}
	w.counted("relay_frame", 1)
	w.frames("too_large", 1)
	if w.Metric(t, "wsfpm_limits_reached_total", `limit="relay_per_second"`) == 0 || w.Metric(t, "wsfpm_limits_reached_total", `limit="messages_per_second"`) != 0 {
		t.Error("31 frames did not wait for their own rate")
	}
	mouse := w.dial(withHeaders("WS-Join: doc", "WS-Relay: channel:doc; prefix=m; raw; latest=1s"), stack.DialOptions{})
	for i := range 20 {
		mouse.Send(fmt.Sprint("m", i))
	}
	b.Expect("m0")
	seen := 1
	for string(b.Next().Data) != "m19" {
		seen++
	}
	w.frames("replaced", float64(19-seen))
}

func TestTheScriptGetsCopiesOfFrames(t *testing.T) {
	w := start(t, setup{script: "chatty.php"}, "2.relay-copy", "2.relay-copy-missed", "2.relay-copy-end")
	a := w.dial(withHeaders("WS-Join: doc", "WS-Relay: channel:doc; binary; prefix=c; echo; copy=1s"), stack.DialOptions{})
	for i := range 40 {
		a.Send(fmt.Sprint("c", i))
		a.SendBinary([]byte{byte(i)})
	}
	for range 80 {
		a.Next()
	}
	copied := w.copies(80)
	if n := len(w.trace.Of("message")); n > 10 {
		t.Errorf("%d message events", n)
	}
	for i := range 40 {
		if copied[2*i].Data != fmt.Sprint("c", i) || copied[2*i].To != "channel:doc" || string(copied[2*i+1].Base64) != string([]byte{byte(i)}) {
			t.Errorf("copy %d: %+v %+v", i, copied[2*i], copied[2*i+1])
		}
	}
	for range 30 {
		a.SendBinary(make([]byte, 4<<10))
	}
	for range 30 {
		a.Next()
	}
	a.Send("c-last")
	a.Next()
	a.Close(1000, "")
	w.trace.Await(t, "disconnect", 1)
	events := w.trace.Events()
	last := events[len(events)-2]
	if missed := last.Var("WS_RELAY_MISSED"); last.Var("WS_EVENT") != "message" || !strings.Contains(string(last.Body), "c-last") || len(w.trace.Of("message")) == 1 && missed == "0" {
		t.Errorf("before the disconnect event came %v", last.Server)
	}
}

// Copies of many clients leave room for messages, and the newest of each client.
func TestCopiesLeaveRoomForMessages(t *testing.T) {
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "inbound_memory = \"256KiB\"\nrelay_per_second = 0"}}, "2.relay-copy-crowded")
	const clients, size = 8, 4 << 10
	var all []*stack.Client
	for n := range clients { // each alone: another's frame may come before the answer
		doc := fmt.Sprint("doc", n)
		c := w.dial(withHeaders("WS-Join: "+doc, "WS-Relay: channel:"+doc+"; binary; copy=1h"), stack.DialOptions{})
		for i := range 16 {
			c.SendBinary(append([]byte{byte(i)}, make([]byte, size-1)...))
		}
		settle(t, c)
		all = append(all, c)
	}
	if n := w.Metric(t, "wsfpm_inbound_bytes"); n < 64<<10 || n > 128<<10+clients*2*size {
		t.Errorf("%v bytes are held", n)
	}
	last := all[clients-1]
	last.Send(strings.Repeat("x", 60<<10))
	last.Close(1000, "")
	w.trace.Await(t, "disconnect", 1)
	if copies := w.trace.Of("message"); copies[len(copies)-1].Var("WS_RELAYED") != "1" || copies[len(copies)-1].Var("WS_RELAY_MISSED") != "15" {
		t.Errorf("the last client's copies: %v", copies[len(copies)-1].Server)
	}
}

// Nor do the newest ones of very many clients fill the memory: they would for as long as their
// spans.
func TestNewestCopiesLeaveRoomForMessages(t *testing.T) {
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{Limits: "inbound_memory = \"256KiB\"\nrelay_per_second = 0"}}, "2.relay-copy-crowded")
	const clients, size = 80, 4 << 10
	for n := range clients { // each alone: another's frame may come before the answer
		doc := fmt.Sprint("doc", n)
		c := w.dial(withHeaders("WS-Join: "+doc, "WS-Relay: channel:"+doc+"; binary; copy=1h"), stack.DialOptions{})
		c.SendBinary(make([]byte, size))
		settle(t, c)
	}
	if n := w.Metric(t, "wsfpm_inbound_bytes"); n < 128<<10 || n > 2*256<<10/3+2*size {
		t.Errorf("%v bytes are held", n)
	}
}

// copied is one frame in the body of a message event with copies.
type copied struct {
	To, Data string
	Base64   []byte
}

// copies waits until scripts have got so many copies, and returns them.
func (w *world) copies(n int) (list []copied) {
	w.t.Helper()
	stack.Wait(w.t, fmt.Sprint(n, " copies"), func() bool {
		list = nil
		for _, e := range w.trace.Of("message") {
			if e.Var("WS_RELAYED") == "" {
				continue
			}
			frames := decode[[]copied](w.t, e.Body)
			if e.Var("WS_RELAYED") != fmt.Sprint(len(frames)) || e.Var("CONTENT_TYPE") != "application/json" {
				w.t.Errorf("%d frames with %v", len(frames), e.Server)
			}
			list = append(list, frames...)
		}
		return len(list) >= n
	})
	return list
}

// Frames that are lost, or may be, send their room away once Redis is back.
func TestAfterAnOutageTheRoomSynchronises(t *testing.T) {
	stack.Integration(t)
	link := stack.Proxy(t, shared.redis.Addr)
	prefix := newPrefix()
	w := start(t, setup{script: "chatty.php", options: stack.GatewayOptions{
		Redis: "redis://" + link.Addr, RedisTOML: fmt.Sprintf("prefix = %q\nconfirm = \"5s\"\n", prefix),
	}}, "2.relay-lost")
	w.prefix = prefix
	relays := withHeaders("WS-Join: doc", "WS-Relay: channel:doc; binary")
	a, b := w.dial(relays, stack.DialOptions{}), w.dial(relays, stack.DialOptions{})
	reader, other := w.dial(withHeaders("WS-Join: doc"), stack.DialOptions{}), w.dial(withHeaders("WS-Join: x"), stack.DialOptions{})
	a.SendBinary([]byte("1"))
	b.ExpectBinary([]byte("1"))
	reader.ExpectBinary([]byte("1"))
	w.frames("sent", 1) // Redis's answer comes after the frame
	link.Cut()
	stack.Wait(t, "the node to notice", func() bool { return !w.Ready() })
	a.SendBinary([]byte("2"))
	w.frames("lost", 1)
	settle(t, a)
	link.Mend()
	for _, c := range []*stack.Client{a, b, reader} {
		equal(t, "reason", c.ExpectClose(1012), "relayed frames were lost")
	}
	settle(t, other)
	stack.Wait(t, "the count", func() bool { return w.Metric(t, "wsfpm_relay_resyncs_total") == 3 })
	quiet := w.dial(withHeaders("WS-Join: y", "WS-Relay: channel:y; binary"), stack.DialOptions{})
	link.Reset() // nothing is lost that this node knows of
	quiet.ExpectClose(1012)
	settle(t, other)
}

// A payload that is no frame of this version is dropped, as is every frame by versions before:
// it is not UTF-8.
func TestAFrameOfAnotherVersionIsDropped(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, options: patient}, "2.relay-versions")
	b := w.dial(withHeaders("WS-Join: doc"), stack.DialOptions{})
	w.publish("channel:doc", "\xff\xfewsfpm-frame\x02\x00\x06user:9\x00x")
	w.publish("channel:doc", "\xff\xfewsfpm-frame\x01\x07\x06user:9\x00x")
	w.publish("channel:doc", "\xff\xfewsfpm-frame\x01\x00\x06user:9\x00x")
	b.Expect("x")
	equal(t, "not UTF-8", w.Metric(t, "wsfpm_pushes_dropped_total", `reason="not_utf8"`), 1)
	equal(t, "not known", w.Metric(t, "wsfpm_pushes_dropped_total", `reason="command"`), 1)
}

func TestTheBlockOfTheRelays(t *testing.T) {
	code := codeOf(t, "relay.md", "php", "// ws/doc.php")
	w := start(t, setup{redis: true, scripts: map[string]string{"doc.php": signedIn + code},
		options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/ws/{script}\"\nroot = \"$DIR\"\n"}})
	dial := func(as, doc string) *stack.Client {
		return stack.Dial(t, w.URL+"/ws/doc?doc="+doc, stack.DialOptions{Header: header("X-As", as)})
	}
	a, b, other := dial("42", "5"), dial("7", "5"), dial("42", "6")
	a.Send(`c:{"x":10,"y":20}`)
	b.Expect(`{"from":"user:42","data":"c:{\"x\":10,\"y\":20}"}`)
	other.Send("c:1")
	b.Send("c:2")
	a.Expect(`{"from":"user:7","data":"c:2"}`)
	equal(t, "not signed in", stack.Refused(t, w.URL+"/ws/doc?doc=5", stack.DialOptions{}).Status, 401)
}

// signedIn begins a script with the session of the user that a client claims to be.
const signedIn = `if ($_SERVER['WS_EVENT'] === 'connect' && isset($_SERVER['HTTP_X_AS'])) {
	session_id('as' . $_SERVER['HTTP_X_AS']);
	session_start();
	$_SESSION['user'] = $_SERVER['HTTP_X_AS'];
	session_write_close();
}
`
