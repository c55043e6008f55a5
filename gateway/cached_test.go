package gateway

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/zap"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// cached switches a cache on.
func cached(c *config.Config) {
	c.Routes[0].Cache = 1 << 20
	c.Limits.MessagesPerSecond = 0
	c.Limits.ConnectionsPerAddress = 0
}

// forAll are the headers of an answer that may be kept.
const forAll = "Content-Type: text/plain\r\nCache-Control: public, max-age=60"

// counting answers messages with their text and number of the run, as the headers say.
func counting(header string) script {
	var runs atomic.Int64
	return func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return "Status: 204", ""
		}
		return header, fmt.Sprint(body, " ", runs.Add(1))
	}
}

// asks sends a text and wants the answer.
func (p *peer) asks(text, want string) {
	p.t.Helper()
	p.send(text)
	p.want(want)
}

func TestTheSecondMissIsStored(t *testing.T) {
	h := start(t, counting(forAll), cached)
	a, b := h.dial("/", nil), h.dial("/", nil)
	a.asks("x", "x 1")
	b.asks("x", "x 2")
	a.asks("x", "x 2")
	b.asks("x", "x 2")
	b.asks("y", "y 3")
	if s := h.Stats(); s.Cache.Hits != 2 || s.Cache.Misses != 3 || s.Cache.Bytes == 0 {
		t.Errorf("got %+v", s.Cache)
	}
	eventually(t, "the three that PHP ran to be counted, and no hit", func() bool { return h.counted("message", "ok") == 3 })
}

func TestWhatIsNotKept(t *testing.T) {
	const public = "Cache-Control: public, max-age=60"
	for header, why := range map[string]string{
		"": "", "Cache-Control: max-age=60": "", "Cache-Control: private, max-age=60": "", "Cache-Control: public, max-age=0": "",
		"Cache-Control: public": "without max-age", public + ", no-store": "both public and no-store",
		"Cache-Control: public, max-age=61":                     "max-age of 1m1s is more than the route's cache_max_age, 1m0s",
		public + "\r\nExpires: Sun, 29 Nov 2026 00:00:00 GMT":   "session.cache_limiter",
		public + "\r\nSet-Cookie: a=b":                          "Set-Cookie",
		public + "\r\nWS-User: 1":                               "WS-User",
		public + "\r\nws-state: 1":                              "ws-state",
		public + "\r\nWS-Join: a":                               "WS-Join",
		public + "\r\nWS-Publish: all":                          "WS-Publish",
		public + "\r\nAge: 1":                                   "Age",
		public + "\r\nStatus: 201":                              "status is 201",
		public + "\r\nStatus: 204":                              "status is 204",
		public + "\r\nVary: *":                                  "Vary is *",
		public + "\r\nVary: Accept-Encoding":                    "Vary names accept-encoding",
		public + "\r\nVary: WS-Seq":                             "Vary names ws-seq",
		public + "\r\nContent-Type: application/vnd.wsfpm+json": "it is not a body",
		public + "\r\nContent-Type: application/x-ndjson":       "",
	} {
		t.Run(header, func(t *testing.T) {
			h := start(t, func(params map[string]string, body string) (string, string) {
				if params["WS_EVENT"] != "message" || body == "mark" {
					return "Content-Type: text/plain", body
				}
				return header, `{"data":"x"}`
			}, cached)
			p := h.dial("/", nil)
			for range 4 {
				p.send("x")
			}
			p.send("mark")
			eventually(t, "all to run", func() bool { return len(h.seen("message")) == 5 })
			if hits := h.Stats().Cache.Hits; hits != 0 {
				t.Errorf("%d hits", hits)
			}
			logged := h.log.FilterMessage("answer not kept in the cache").All()
			if why == "" && len(logged) > 0 || why != "" && (len(logged) != 1 || !strings.Contains(fmt.Sprint(logged[0].ContextMap()), why)) {
				t.Errorf("logged %v, want one line with %q", logged, why)
			}
		})
	}
	for _, body := range []string{"", " ", "\xef\xbb\xbfx"} {
		h := start(t, func(map[string]string, string) (string, string) { return forAll, body }, func(c *config.Config) {
			cached(c)
			c.Routes[0].Events, c.Routes[0].Public = []string{config.EventMessage}, true
		})
		p := h.dial("/", nil)
		for range 4 {
			p.send("x")
		}
		eventually(t, "all to run", func() bool { return len(h.seen("message")) == 4 })
	}
}

func TestAHitKeepsItsPlace(t *testing.T) {
	gate := make(chan struct{})
	count := counting(forAll)
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "slow" {
			<-gate
			return "Content-Type: text/plain", "slow"
		}
		return count(params, body)
	}, cached)
	p := h.dial("/", nil)
	p.asks("x", "x 1")
	p.asks("x", "x 2")
	p.send("slow")
	p.send("x")
	p.send("x")
	eventually(t, "slow to run", func() bool { return len(h.seen("message")) == 3 })
	if hits := h.Stats().Cache.Hits; hits != 0 {
		t.Errorf("%d hits before their turn", hits)
	}
	close(gate)
	p.want("slow")
	p.want("x 2")
	p.want("x 2")
}

// held is a gateway with a key whose answers can be shared, and a client whose message for
// it runs until gate is closed.
func held(t *testing.T, answer func(run int64) (string, string), change func(*config.Config)) (h *harness, runner *peer, gate chan struct{}) {
	t.Helper()
	gate = make(chan struct{})
	var runs atomic.Int64
	h = start(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "message" {
			return "WS-Join: " + params["QUERY_STRING"], ""
		}
		n := runs.Add(1)
		if n < 3 {
			return forAll, fmt.Sprint(n)
		}
		if n == 3 {
			<-gate
		}
		return answer(n)
	}, func(c *config.Config) { cached(c); change(c) })
	runner = h.dial("/", nil)
	runner.asks("x", "1")
	runner.asks("x", "2")
	h.settings.Load().purge([]string{"/"})
	runner.send("x")
	eventually(t, "the run", func() bool { return len(h.seen("message")) == 3 })
	return h, runner, gate
}

// waiting sends x from n clients and waits until all wait for a run.
func (h *harness) waiting(n int) (all []*peer) {
	h.t.Helper()
	for range n {
		p := h.dial("/", nil)
		p.send("x")
		all = append(all, p)
	}
	eventually(h.t, "all to wait", func() bool { return strings.Count(stacks(), "cache.(*Cache).await") == n })
	return all
}

func numbered(n int64) (string, string) { return forAll, fmt.Sprint(n) }

func TestTheRunOutlivesItsClient(t *testing.T) {
	h, runner, gate := held(t, numbered, func(*config.Config) {})
	others := h.waiting(3)
	_ = runner.CloseNow()
	eventually(t, "the end to be noticed", func() bool { return h.hub.Len() == 3 })
	close(gate)
	for _, p := range others {
		p.want("3")
	}
	if got := h.Stats().Cache; got.Waits != 3 || got.Misses != 3 {
		t.Errorf("got %+v", got)
	}
}

func TestAPanicFreesThoseThatWait(t *testing.T) {
	var once sync.Once
	h, runner, gate := held(t, func(n int64) (string, string) {
		if n == 3 {
			return "Status: 500", ""
		}
		return numbered(n)
	}, func(*config.Config) {})
	defer h.Observe(func(e *Event) {
		if e.Outcome != "ok" {
			once.Do(func() { panic("a bug") })
		}
	})()
	others := h.waiting(3)
	close(gate)
	runner.wantClose(1011)
	for _, p := range others {
		p.want("4")
	}
}

func TestTheWaitCountsAgainstQueueWait(t *testing.T) {
	h, runner, gate := held(t, numbered, func(c *config.Config) {
		c.FPM["default"].QueueWait = config.Duration(50 * time.Millisecond)
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "failed"
	})
	p := h.dial("/", nil)
	p.asks("x", "failed")
	close(gate)
	runner.want("3")
	if n := len(h.log.FilterMessage("event failed").FilterField(zap.String("outcome", "overloaded")).All()); n != 1 {
		t.Errorf("%d events were overloaded, want 1", n)
	}
}

// A membership that changes while PHP runs makes the answer one of an unknown key.
func TestAChangeDuringTheRunIsNotStored(t *testing.T) {
	h, runner, gate := held(t, numbered, func(*config.Config) {})
	others := h.waiting(2)
	all := session.Command{To: []session.Address{session.All}, Join: []string{"new"}}
	if _, err := h.Push(t.Context(), []session.Command{all}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "all to join", func() bool { return h.hub.Count(&session.Command{To: []session.Address{session.Channel("new")}}) == 3 })
	close(gate)
	runner.want("3")
	got := map[string]bool{}
	for _, p := range others {
		_, text, err := p.Read(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		got[string(text)] = true
	}
	if !got["4"] || !got["5"] {
		t.Errorf("got %v, want runs of their own", got)
	}
	p := h.dial("/", nil)
	p.asks("x", "6")
}

// A client that left a channel while it waited gets no answer for members.
func TestAChangeDuringTheWaitLeadsToARun(t *testing.T) {
	h, runner, gate := held(t, numbered, func(*config.Config) {})
	known := h.connections()[0].id()
	waiter := h.waiting(1)[0]
	for _, c := range h.connections() {
		if c.id() == known {
			continue
		}
		joins := session.Command{To: []session.Address{session.Conn(c.id())}, Join: []string{"new"}}
		if _, err := h.Push(t.Context(), []session.Command{joins}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the join", func() bool { return len(c.session.Membership().Channels) == 1 })
	}
	close(gate)
	runner.want("3")
	waiter.want("4")
}

// deaf is a bus that takes nothing until the channel is closed.
type deaf struct {
	*bus.Bus
	until chan struct{}
}

func (d deaf) Publish(ctx context.Context, c session.Command) error {
	<-d.until
	return d.Bus.Publish(ctx, c)
}

// A client that has the reply to a change may tell another one, which gets no answer from
// before it, however long publishing takes.
func TestAnAnswersPurgePrecedesItsReply(t *testing.T) {
	price, until := atomic.Int64{}, make(chan struct{})
	h := startOn(t, func(params map[string]string, body string) (string, string) {
		switch {
		case params["WS_EVENT"] != "message":
			return "Status: 204", ""
		case body == "raise":
			return "Content-Type: application/vnd.wsfpm+json", fmt.Sprintf(`[{"data":"now %d"},{"to":"user:x","data":"news"},{"purge":"/shop"}]`, price.Add(1))
		}
		return forAll, fmt.Sprint(price.Load())
	}, cached, func(b *bus.Bus) Bus { return deaf{b, until} })
	defer close(until)
	seller, buyer := h.dial("/shop", nil), h.dial("/shop", nil)
	for range 3 {
		buyer.asks("price", "0")
	}
	seller.asks("raise", "now 1")
	buyer.asks("price", "1")
}

// silenced is a bus whose Redis does not answer.
type silenced struct{ *bus.Bus }

func (silenced) Publish(context.Context, session.Command) error { return os.ErrDeadlineExceeded }

// The node that runs a change does not answer with what was before it, although the others
// are not told.
func TestAPurgeThatIsNotPublishedCountsHere(t *testing.T) {
	var price atomic.Int64
	h := startOn(t, func(params map[string]string, body string) (string, string) {
		switch params["WS_EVENT"] {
		case "connect":
			return "Status: 204", ""
		case "disconnect":
			return "Content-Type: application/vnd.wsfpm+json", fmt.Sprintf(`[{"to":"user:x","data":"now %d"},{"purge":"/shop"}]`, price.Add(1))
		}
		return forAll, fmt.Sprint(price.Load())
	}, cached, func(b *bus.Bus) Bus { return silenced{b} })
	seller, buyer := h.dial("/shop", nil), h.dial("/shop", nil)
	for range 3 {
		buyer.asks("price", "0")
	}
	_ = seller.CloseNow()
	eventually(t, "the loss to be logged", func() bool { return h.log.FilterMessage("push was lost").Len() > 0 })
	buyer.asks("price", "1")
}

func TestAPurgeMeansRoutesByPath(t *testing.T) {
	for path, meant := range map[string][]string{
		"*":            {"*", "/a", "/a", "/ws/x", "/ws/{script}"},
		"/a":           {"*", "/a"},
		"/ws/{script}": {"*", "/ws/x", "/ws/{script}"},
	} {
		r := &route{Route: &config.Route{Path: path}}
		for _, purged := range meant {
			if !r.isMeant(purged) {
				t.Errorf("a purge of %s does not mean %s", purged, path)
			}
		}
		for _, other := range []string{"/a/b", "/b", "/ws/", "/ws/x/y", "/ws/../x"} {
			if path != "*" && r.isMeant(other) {
				t.Errorf("a purge of %s means %s", other, path)
			}
		}
	}
}

// Without a cache a message costs no allocation more than its call.
func TestAMessageWithoutACacheCostsNoAllocations(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "Status: 204", "" }, nil)
	h.dial("/", &websocket.DialOptions{})
	c := h.connections()[0]
	c.inbox.hold() // as the handler of a message does
	defer c.inbox.rest()
	e := event{kind: kindMessage, route: c.route(), body: []byte("x")}
	once := func(ask func(context.Context, event) (reply, error)) float64 {
		return testing.AllocsPerRun(300, func() {
			if _, err := ask(context.Background(), e); err != nil {
				t.Error(err)
			}
			c.awaitScript()
		})
	}
	if call, answer := once(c.call), once(c.answer); answer > call+0.9 { // both are rounded down
		t.Errorf("%v allocations, %v without the cache's check", answer, call)
	}
}
