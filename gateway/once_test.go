package gateway

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redis"
	"wsfpm/test/fcgitest"
)

// onceStore is the store of a Redis that ends with the test.
func onceStore(t *testing.T) (store *redis.Once, server *redis.Embedded) {
	t.Helper()
	server, err := redis.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	client, err := redis.NewStore("redis://" + server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return redis.NewOnce(client), server
}

// startOnce runs a gateway whose first route runs messages once. Its clients are user 42.
func startOnce(t *testing.T, store *redis.Once, s script, change func(*config.Config)) *harness {
	t.Helper()
	return startMore(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return "WS-User: 42", ""
		}
		return s(params, body)
	}, func(c *config.Config) {
		c.Routes[0].Once = config.Duration(2 * time.Minute)
		c.Limits.MessagesPerSecond = 0
		if change != nil {
			change(c)
		}
	}, func(o *Options) { o.Once = store })
}

// dialOnce connects a client of wsfpm.v1 and reads its hello, whose once follows the text of user.
func (h *harness) dialOnce() *peer {
	h.t.Helper()
	p := h.dial("/", wrappedClient)
	_, hello, err := p.Read(within(h.t.(*testing.T), patience))
	if err != nil || !strings.Contains(string(hello), `","once":{"for":120,"most":10}}}`) {
		h.t.Fatalf("got %q, %v", hello, err)
	}
	return p
}

// attempts are the values of WS_ATTEMPT that PHP was called with.
func (h *harness) attempts() (list []string) {
	for _, e := range h.seen("message") {
		list = append(list, e["WS_MESSAGE_ID"]+" "+e["WS_ATTEMPT"])
	}
	return list
}

func TestARepeatedMessageRunsOnce(t *testing.T) {
	store, _ := onceStore(t)
	answer := func(params map[string]string, body string) (string, string) {
		return "WS-Join: paid", "paid " + body + " at " + params["WS_SEQ"]
	}
	a, b := startOnce(t, store, answer, nil), startOnce(t, store, answer, nil)
	p := a.dialOnce()
	p.send(`{"data":"no id"}`)
	p.want(`{"data":"paid no id at 1"}`)
	p.send(`{"id":"k7","data":"5 €"}`)
	p.want(`{"re":"k7","data":"paid 5 € at 2"}`)
	p.send(`{"id":"k7","data":"5 €"}`)
	p.want(`{"re":"k7","data":"paid 5 € at 2"}`)
	p.send(`{"id":"k7","data":"6 €"}`)
	p.want(`{"re":"k7","error":"mismatch"}`)
	_ = p.CloseNow()
	q := b.dialOnce()
	q.send(`{"id":"k7","data":"5 €"}`)
	q.want(`{"re":"k7","data":"paid 5 € at 2"}`)
	q.send(`{"id":"k8","data":"5 €"}`)
	q.want(`{"re":"k8","data":"paid 5 € at 2"}`)
	if got := strings.Join(a.attempts(), ", "); got != " , k7 1" {
		t.Errorf("the first node called PHP with %q", got)
	}
	if got := strings.Join(b.attempts(), ", "); got != "k8 1" {
		t.Errorf("the second node called PHP with %q", got)
	}
	if s := a.Stats().Once; s.First != 1 || s.Answered != 1 || s.Mismatch != 1 {
		t.Errorf("counted %+v", s)
	}
}

func TestAllRepliesToAMessageAreKept(t *testing.T) {
	store, _ := onceStore(t)
	answers := map[string][2]string{
		"none":  {"Status: 204", ""},
		"list":  {"Content-Type: application/vnd.wsfpm+json", `[{"data":"one"},{"base64":"AP8="},{"data":[3]}]`},
		"large": {html, strings.Repeat("x", 20)},
	}
	h := startOnce(t, store, func(_ map[string]string, body string) (string, string) {
		return answers[body][0], answers[body][1]
	}, func(c *config.Config) { c.Routes[0].OnceAnswer = 19 })
	p := h.dialOnce()
	for _, c := range []struct{ kind, first, again string }{
		{"none", `{"re":"$"}`, `{"re":"$"}`},
		{"list", `{"re":"$","more":true,"data":"one"} {"re":"$","more":true,"base64":"AP8="} {"re":"$","data":[3]}`, ""},
		{"large", `{"re":"$","kept":false,"data":"` + strings.Repeat("x", 20) + `"}`, `{"re":"$","kept":false}`},
	} {
		if c.again == "" {
			c.again = c.first
		}
		for _, want := range []string{c.first, c.again} {
			p.send(fmt.Sprintf(`{"id":"id-%s","data":"%[1]s"}`, c.kind))
			for _, one := range strings.Split(strings.ReplaceAll(want, "$", "id-"+c.kind), " {") {
				p.want("{" + strings.TrimPrefix(one, "{"))
			}
		}
	}
	if n := len(h.seen("message")); n != 3 {
		t.Errorf("PHP was called %d times", n)
	}
}

func TestOnlyUsersOfTheProtocolSendAgain(t *testing.T) {
	store, _ := onceStore(t)
	anonymous := startMore(t, func(_ map[string]string, body string) (string, string) { return html, body },
		func(c *config.Config) { c.Routes[0].Once = config.Duration(2 * time.Minute) },
		func(o *Options) { o.Once = store })
	p := anonymous.dialWrapped("/")
	for range 2 {
		p.send(`{"id":"k7","data":"x"}`)
		p.want(`{"re":"k7","data":"x"}`)
	}
	if n := len(anonymous.seen("message")); n != 2 {
		t.Errorf("without a user PHP was called %d times", n)
	}
	h := startOnce(t, store, echo, nil)
	plain := h.dial("/", nil)
	for range 2 {
		plain.send(`{"id":"k7","data":"x"}`)
		plain.want(`{"id":"k7","data":"x"}`)
	}
	off := startOnce(t, nil, echo, func(c *config.Config) { c.Routes[0].Once = 0 }).dialWrapped("/")
	for range 2 {
		off.send(`{"id":"k7","data":"x"}`)
		off.want(`{"re":"k7","data":"x"}`)
	}
}

func TestAFailedMessageSaysWhatHappened(t *testing.T) {
	store, server := onceStore(t)
	server2 := fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		body := string(r.Body)
		switch {
		case r.Params["WS_EVENT"] == "connect":
			w.Stdout("WS-User: 42\r\n\r\n")
		case r.Params["WS_ATTEMPT"] == "2" || body == "fine":
			w.Stdout("Status: 200\r\n\r\nattempt " + r.Params["WS_ATTEMPT"])
		case body == "refused":
			w.Stdout("Status: 422\r\n\r\nno")
		case body == "moved":
			w.Stdout("Status: 302\r\n\r\n")
		case body == "malformed":
			w.Stdout("WS-Nonsense: 1\r\n\r\n")
		case body == "channels":
			w.Stdout("WS-Join: a, b, c\r\n\r\njoined")
		case body == "died":
			w.Stdout("Status: 500\r\nWS-Failed: 1\r\n\r\n")
		case body == "cut stream":
			w.Stdout("Content-Type: application/x-ndjson\r\n\r\nwhole\nhal")
			w.Hangup()
		case body == "stream":
			w.Stdout("Content-Type: application/x-ndjson\r\n\r\none\ntwo")
		default: // cut
			w.Stdout("Status: 200\r\n\r\npart")
			w.Hangup()
		}
	}, fcgitest.Options{Workers: 8})
	t.Cleanup(server2.Close)
	h := startOnce(t, store, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = server2.Network, server2.Address
		c.Limits.Channels = 2
	})
	p := h.dialOnce()
	for _, c := range []struct{ body, first, again string }{
		{"fine", `{"re":"$","data":"attempt 1"}`, `{"re":"$","data":"attempt 1"}`},
		{"refused", `{"re":"$","error":"failed"}`, `{"re":"$","error":"failed"}`},
		{"moved", `{"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"malformed", `{"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"channels", `{"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"died", `{"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"cut", `{"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"cut stream", `{"re":"$","more":true,"data":"whole"} {"re":"$","error":"unknown"}`, `{"re":"$","data":"attempt 2"}`},
		{"stream", `{"re":"$","more":true,"data":"one"} {"re":"$","more":true,"data":"two"} {"re":"$","kept":false}`, `{"re":"$","kept":false}`},
	} {
		for _, want := range []string{c.first, c.again} {
			id := strings.ReplaceAll(c.body, " ", "-")
			p.send(fmt.Sprintf(`{"id":"%s","data":"%s"}`, id, c.body))
			for _, one := range strings.Split(strings.ReplaceAll(want, "$", id), " {") {
				p.want("{" + strings.TrimPrefix(one, "{"))
			}
		}
	}
	server.Close()
	p.send(`{"id":"redis-down","data":"fine"}`)
	p.want(`{"re":"redis-down","error":"busy"}`)
}

func TestAMessageThatWasNotSentIsBusy(t *testing.T) {
	store, _ := onceStore(t)
	h := startOnce(t, store, echo, func(c *config.Config) {
		f := *c.FPM["default"]
		f.Addr = t.TempDir() + "/none.sock"
		f.Network, f.QueueWait = "unix", config.Duration(time.Millisecond)
		c.FPM["down"] = &f
		c.Routes = append([]*config.Route{config.NewRoute("/down", "/srv/down.php")}, c.Routes...)
		c.Routes[0].FPM, c.Routes[0].Events, c.Routes[0].Public = "down", []string{config.EventMessage}, true
		c.Routes[0].Once = config.Duration(2 * time.Minute)
		c.Routes[0].DocumentRoot = "/srv"
	})
	p := h.dial("/down", wrappedClient)
	if _, _, err := p.Read(within(t, patience)); err != nil { // the hello
		t.Fatal(err)
	}
	user := "42"
	h.signIn(p, user)
	for range 2 {
		p.send(`{"id":"k7","data":"x"}`)
		p.want(`{"re":"k7","error":"busy"}`)
	}
	if s := h.Stats().Once; s.First != 2 || s.Second != 0 {
		t.Errorf("counted %+v", s)
	}
}

// signIn makes the harness's only connection one of a user.
func (h *harness) signIn(p *peer, user string) {
	h.t.Helper()
	eventually(h.t, "the client", func() bool { return len(h.clients()) == 1 }) // its hello may come before
	for _, c := range h.clients() {
		m := c.session.Membership()
		m.User = user
		if err := h.hub.Set(c.session, m); err != nil {
			h.t.Fatal(err)
		}
	}
}

func TestAClientThatComesBackGetsTheAnswer(t *testing.T) {
	store, _ := onceStore(t)
	var once sync.Once
	inside, finish := make(chan struct{}), make(chan struct{})
	slow := func(_ map[string]string, body string) (string, string) {
		once.Do(func() { close(inside) })
		<-finish
		return html, "paid"
	}
	a, b := startOnce(t, store, slow, nil), startOnce(t, store, slow, nil)
	p := a.dialOnce()
	p.send(`{"id":"k7","data":"pay"}`)
	<-inside
	_ = p.CloseNow()
	same, other := a.dialOnce(), b.dialOnce()
	same.send(`{"id":"k7","data":"pay"}`)
	other.send(`{"id":"k7","data":"pay"}`)
	eventually(t, "a wait at each node", func() bool { return waitsIn("(*Guard).acquire") && waitsIn("(*waiting).sleep") })
	close(finish)
	same.want(`{"re":"k7","data":"paid"}`)
	other.want(`{"re":"k7","data":"paid"}`)
	if n := len(a.seen("message")) + len(b.seen("message")); n != 1 {
		t.Errorf("PHP was called %d times", n)
	}
}

func TestMessagesBeyondTenWithoutAReplyAreRefused(t *testing.T) {
	store, _ := onceStore(t)
	inside, finish := make(chan struct{}), make(chan struct{})
	h := startOnce(t, store, func(_ map[string]string, body string) (string, string) {
		if body == "first" {
			close(inside)
			<-finish
		}
		return html, body
	}, nil)
	p := h.dialOnce()
	p.send(`{"id":"k0","data":"first"}`)
	<-inside
	for i := 1; i <= 11; i++ {
		p.send(`{"data":"no id"}`)
		p.send(fmt.Sprintf(`{"id":"k%d","data":"x"}`, i))
	}
	eventually(t, "all to be received", func() bool {
		c := h.clients()[0]
		c.inbox.mu.Lock()
		defer c.inbox.mu.Unlock()
		return len(c.inbox.waiting) == 22
	})
	close(finish)
	p.want(`{"re":"k0","data":"first"}`)
	for i := 1; i <= 11; i++ {
		p.want(`{"data":"no id"}`)
		if i < 10 {
			p.want(fmt.Sprintf(`{"re":"k%d","data":"x"}`, i))
		} else {
			p.want(fmt.Sprintf(`{"re":"k%d","error":"many"}`, i))
		}
	}
	p.send(`{"id":"k10","data":"x"}`)
	p.want(`{"re":"k10","data":"x"}`)
	if n := h.Stats().OnceMany; n != 2 {
		t.Errorf("counted %d", n)
	}
}

// A client that has a reply may send a further message at once: it is not one too many,
// although the event of the reply is not over.
func TestAMessageAfterAReplyIsNotTooMany(t *testing.T) {
	store, _ := onceStore(t)
	received := make(chan struct{})
	h := startOnce(t, store, func(params map[string]string, body string) (string, string) { return "X-A: b", body }, nil)
	first := true
	h.Observe(func(e *Event) {
		if e.Kind == "message" && first {
			first = false
			<-received // the reply is sent, and the event not over
		}
	})
	p := h.dialOnce()
	for i := range mostOnce {
		p.send(fmt.Sprintf(`{"id":"k%d","data":"x"}`, i))
	}
	p.want(`{"re":"k0","data":"x"}`)
	p.send(fmt.Sprintf(`{"id":"k%d","data":"x"}`, mostOnce))
	eventually(t, "all to be received", func() bool {
		c := h.clients()[0]
		c.inbox.mu.Lock()
		defer c.inbox.mu.Unlock()
		return len(c.inbox.waiting) == mostOnce
	})
	close(received)
	for i := 1; i <= mostOnce; i++ {
		p.want(fmt.Sprintf(`{"re":"k%d","data":"x"}`, i))
	}
}
