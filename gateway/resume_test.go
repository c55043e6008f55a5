package gateway

import (
	"fmt"
	"net/url"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/config"
	"wsfpm/session"
)

func TestAClientThatComesBackGetsWhatItMissed(t *testing.T) {
	rows(t, "7.last", "7.position", "7.envelope", "7.new", "7.ok", "7.php", "5.resume")
	l := startLogged(t, nil)
	first := l.position()
	p := l.comesBack("", "new")
	l.told("new", "", first)
	p.want(wrap(first, "state"))
	l.store("one")
	one := l.position()
	p.want(wrap(one, "one"))
	_ = p.CloseNow()
	l.store("two")
	two := l.position()
	l.store("three")
	three := l.position()
	l.answer = func(map[string]string) (string, string) { return "WS-Join: room", "" }
	p = l.comesBack("?a=b&ws_last="+one, "ok")
	l.told("ok", one, three)
	p.want(wrap(two, "two"))
	p.want(wrap(three, "three"))
	l.store("four")
	p.want(wrap(l.position(), "four"))

	l.answer = func(map[string]string) (string, string) { return "WS-Join: room", "printed" }
	p = l.comesBack("?ws_last="+three, "ok")
	p.want(wrap(l.position(), "four"))
	p.want(`{"data":"printed"}`)
}

func TestAPlaceThatIsNotKnownIsAGap(t *testing.T) {
	rows(t, "7.last-garbled", "7.gap")
	l := startLogged(t, nil)
	l.store("one")
	now := l.position()
	other := strings.Replace(now, "8ebb67", "8ebb68", 1)
	for _, query := range []string{"ws_last=", "ws_last", "ws_last=x", "ws_last=%zz", "ws%5Flast=x", "ws_last=" + other, "ws_last=1-0-8ebb67",
		"ws_last=" + now + "&ws_last=" + now, "ws_last=" + now + "0"} {
		p := l.comesBack("?"+query, "gap")
		last := ""
		if strings.Contains(query, other) || strings.Contains(query, "=1-0") {
			last = strings.TrimPrefix(query, "ws_last=")
		}
		l.told("gap", last, now)
		p.want(wrap(now, "state"))
	}
	l.answer = func(map[string]string) (string, string) { return "WS-Join: room", "" }
	l.comesBack("?ws_last=", "gap").want(fmt.Sprintf(`{"id":%q}`, now))
}

func TestWhatComesWhilePHPRunsFollowsItsAnswer(t *testing.T) {
	rows(t, "7.joins")
	l := startLogged(t, nil)
	began := l.position()
	l.during = func() { l.store("meanwhile") }
	p := l.comesBack("", "new")
	p.want(wrap(began, "state"))
	p.want(wrap(l.position(), "meanwhile"))

	began = l.position()
	p = l.comesBack("?ws_last="+began, "ok")
	p.want(wrap(l.position(), "meanwhile"))
	p.want(`{"data":"state"}`)
}

// PHP took the client's place for known, and prints no state. The page must connect again.
func TestAGapThatPHPDoesNotKnowOfIsTold(t *testing.T) {
	rows(t, "7.told", "7.gap-message")
	l := startLogged(t, func(c *config.Config) { c.Routes[0].GapMessage = "reload" })
	began := l.position()
	l.during = func() { l.store("one"); l.store("two"); l.log.lose() }
	p := l.comesBack("?ws_last="+began, "gap")
	l.told("ok", began, began)
	p.want(`{"gap":true}`)
	p.want(`{"data":"state"}`)

	plain := l.dial("/", nil)
	plain.want("reload")
	plain.want("state")
}

func TestAPlainClientComesBack(t *testing.T) {
	rows(t, "7.plain", "7.gap-first")
	l := startLogged(t, func(c *config.Config) { c.Routes[0].GapMessage = "reload" })
	began := l.position()
	p := l.dial("/", nil)
	p.want("state")
	l.store("one")
	p.want("one")
	p = l.dial("/?ws_last="+began, nil)
	p.want("one")
	p.want("state")
	p = l.dial("/?ws_last=old", nil)
	p.want("reload")
	p.want("state")
	l.log.lose()
	l.fanout.Gap(l.log.Newest(), true)
	l.store("two")
	p.want("two") // it entered after the loss
}

func TestAGapIsToldBeforeTheNextMessage(t *testing.T) {
	rows(t, "7.told", "7.gap-message", "5.gap-message")
	for _, test := range []struct {
		name, gap string
		resume    bool
		plain     []string
		wrapped   []string
	}{
		{"a message", "reload", true, []string{"reload", "next"}, []string{`{"gap":true}`}},
		{"none for plain clients", "", true, []string{"next"}, []string{`{"gap":true}`}},
		{"no resume", "", false, []string{"next"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := startLogged(t, func(c *config.Config) { c.Routes[0].GapMessage, c.Routes[0].Resume = test.gap, test.resume })
			plain := l.dial("/", nil)
			plain.want("state")
			resume := map[bool]string{true: "new", false: "off"}[test.resume]
			wrapped := l.comesBack("", resume)
			wrapped.want(map[bool]string{true: wrap(l.position(), "state"), false: `{"data":"state"}`}[test.resume])
			l.log.add(0, &session.Command{}) // another history's, say
			l.fanout.Gap(l.log.Newest(), true)
			l.store("next")
			for _, want := range test.plain {
				plain.want(want)
			}
			for _, want := range append(test.wrapped, wrap(l.position(), "next")) {
				wrapped.want(want)
			}
		})
	}
}

func TestTheScriptBoundsWhatIsReplayed(t *testing.T) {
	rows(t, "7.resume-header", "7.resume-no", "7.live")
	l := startLogged(t, nil)
	zero := l.position()
	l.store("one")
	one := l.position()
	l.store("two")
	two := l.position()
	header := ""
	l.answer = func(map[string]string) (string, string) { return header + "WS-Join: room", "" }
	next := func(p *peer, want ...string) {
		t.Helper()
		for _, text := range want {
			p.want(text)
		}
		p.send(`{"data":"end"}`)
		p.want(`{"data":"end"}`)
	}
	next(l.comesBack("?ws_last="+zero, "ok"), wrap(one, "one"), wrap(two, "two"))
	header = "WS-Resume: " + one + "\r\n"
	next(l.comesBack("?ws_last="+zero, "ok"), wrap(two, "two"))
	next(l.comesBack("?ws_last="+two, "ok"))
	next(l.comesBack("", "new"), fmt.Sprintf(`{"id":%q}`, two))
	header = "WS-Resume: no\r\n"
	next(l.comesBack("?ws_last="+zero, "gap"), fmt.Sprintf(`{"id":%q}`, two))
	next(l.comesBack("", "new"), fmt.Sprintf(`{"id":%q}`, two))
	header = "WS-Resume: " + strings.Replace(two, "8ebb67", "000000", 1) + "\r\n"
	next(l.comesBack("?ws_last="+zero, "gap"), `{"gap":true}`)

	header = ""
	l.answer = func(map[string]string) (string, string) { return "WS-Join: room; live\r\nWS-Join: other", "" }
	next(l.comesBack("?ws_last="+zero, "ok"))
}

func TestResumeIsForConnectOnly(t *testing.T) {
	l := startLogged(t, nil)
	l.answer = func(map[string]string) (string, string) { return "WS-Resume: no", "" }
	h := start(t, func(params map[string]string, _ string) (string, string) {
		if params["WS_EVENT"] == "message" {
			return "WS-Resume: no", "x"
		}
		return html, ""
	}, nil)
	p := h.dialWrapped("/")
	p.send(`{"id":"a","data":1}`)
	p.want(`{"re":"a","error":"failed"}`)
}

func TestTheFormerConnectionGetsNoEchoes(t *testing.T) {
	rows(t, "7.was")
	l := startLogged(t, nil)
	p := l.comesBack("", "new")
	began := l.position()
	p.want(wrap(began, "state"))
	id := l.seen("connect")[0]["WS_CONNECTION"]
	l.store("mine", session.Conn(id))
	l.store("others'")
	p.want(wrap(l.position(), "others'"))
	back := l.comesBack("?ws_was="+id+"&ws_last="+began, "ok")
	back.want(wrap(l.position(), "others'"))
	back.want(`{"data":"state"}`)
	l.store("mine again", session.Conn(id))
	l.store("last")
	back.want(wrap(l.position(), "last"))
	c := session.Command{To: []session.Address{session.Conn(id)}, Message: session.NewMessage(false, []byte("to the former"))}
	if _, err := l.Push(t.Context(), []session.Command{c}); err != nil {
		t.Fatal(err)
	}
	p.want(wrap(l.position(), "last"))
	p.want(`{"data":"to the former"}`)
	back.send(`{"data":"end"}`)
	back.want(`{"data":"end"}`)
}

func TestOldMessagesAreNotReplayed(t *testing.T) {
	rows(t, "7.age", "5.resume-age")
	l := startLogged(t, func(c *config.Config) { c.Routes[0].ResumeAge = config.Duration(5 * time.Minute) })
	log := newFakeLog()
	*l.log = fakeLog{tag: log.tag, before: log.before}
	room := []session.Address{session.Channel("room")}
	var at []string
	for _, age := range []time.Duration{20 * time.Minute, 10 * time.Minute, 2 * time.Minute} {
		l.log.add(age, &session.Command{To: room, Message: session.NewMessage(false, []byte(age.String()))})
		at = append(at, l.position())
	}
	l.reached()
	l.comesBack("?ws_last="+at[0], "gap")
	l.comesBack("?ws_last="+at[1], "ok").want(wrap(at[2], "2m0s"))
	l.comesBack("?ws_last="+at[2], "ok")
	// A log in which nothing happens keeps every client's place.
	*l.log = fakeLog{tag: log.tag, before: log.before}
	l.log.add(time.Hour/2, &session.Command{})
	l.reached()
	l.comesBack("?ws_last="+l.position(), "ok")
}

func TestAClientMayBeAheadOfThisProcess(t *testing.T) {
	l := startLogged(t, nil)
	ahead := l.log.Newest()
	ahead.Seq++
	l.log.ahead = func() {
		l.log.mu.Lock()
		l.log.entries = append(l.log.entries, &session.Command{At: ahead})
		l.log.mu.Unlock()
		l.reached()
	}
	l.comesBack("?ws_last="+ahead.String(), "ok")
	l.told("ok", ahead.String(), ahead.String()) // the connect event begins after the wait
	l.log.ahead = nil
	ahead.Seq++
	l.comesBack("?ws_last="+ahead.String(), "gap")
}

func TestAPositionFromBeforeResumeWasSwitchedOnIsAGap(t *testing.T) {
	rows(t, "7.switched")
	l := startLogged(t, nil)
	l.store("one")
	one := l.position()
	l.reloaded(func(c *config.Config) { c.Routes[0].MessageLimit = 5 })
	l.comesBack("?ws_last="+one, "ok")
	l.reloaded(func(c *config.Config) { c.Routes[0].Resume = false })
	l.reloaded(func(c *config.Config) { c.Routes[0].Resume = true })
	l.comesBack("?ws_last="+one, "gap")
	l.store("two")
	two := l.position()
	l.reloaded(func(c *config.Config) { c.Routes[0].MessageLimit = 6 })
	l.comesBack("?ws_last="+two, "ok")
	l.comesBack("?ws_last="+one, "gap")
}

func TestARouteWithoutResumeNamesNoPlace(t *testing.T) {
	rows(t, "7.off", "7.php-off")
	l := startLogged(t, func(c *config.Config) {
		c.Routes[0].Resume = false
		c.Limits.PingInterval, c.Limits.ControlRate = config.Duration(20*time.Millisecond), 0
	})
	p := l.dial("/?ws_last="+l.position(), wrappedClient)
	l.told("gap", l.position(), l.position())
	_, hello, err := p.Read(within(t, patience))
	if err != nil || !strings.Contains(string(hello), `"resume":"off"`) {
		t.Fatalf("got %q, %v", hello, err)
	}
	p.want(`{"data":"state"}`)
	p.want(`{}`)
}

func TestAPageIsToldItsPlace(t *testing.T) {
	l := startLogged(t, func(c *config.Config) {
		c.Limits.PingInterval, c.Limits.ControlRate = config.Duration(20*time.Millisecond), 0
	})
	p := l.dial("/", wrappedClient)
	l.log.add(0, &session.Command{To: []session.Address{session.Channel("elsewhere")}})
	l.reached()
	want := fmt.Sprintf(`{"id":%q}`, l.position())
	eventually(t, "the newest position", func() bool {
		_, got, err := p.Read(within(t, patience))
		if err != nil {
			t.Fatal(err)
		}
		return string(got) == want
	})
	_ = p.Close(websocket.StatusNormalClosure, "")
}

func TestAClientGetsAllThatItMissedOrNothing(t *testing.T) {
	rows(t, "7.most")
	l := startLogged(t, func(c *config.Config) { c.Limits.Queue = 10_000 })
	began := l.position()
	l.store(strings.Repeat("x", 9000))
	p := l.comesBack("?ws_last="+began, "ok")
	p.want(wrap(l.position(), strings.Repeat("x", 9000)))
	l.store(strings.Repeat("x", 12_000))
	l.comesBack("?ws_last="+began, "gap").want(`{"gap":true}`)

	began = l.position()
	for range 1000 {
		l.log.add(0, &session.Command{To: []session.Address{session.All}, Message: session.NewMessage(false, nil)})
	}
	l.reached()
	p = l.comesBack("?ws_last="+began, "ok")
	for range 1000 {
		if _, _, err := p.Read(within(t, patience)); err != nil {
			t.Fatal(err)
		}
	}
	p.want(`{"data":"state"}`)
	l.log.add(0, &session.Command{To: []session.Address{session.All}, Message: session.NewMessage(false, nil)})
	l.reached()
	l.comesBack("?ws_last="+began, "gap").want(`{"gap":true}`)
	l.comesBack("?ws_last=x", "gap")
	if got := l.Stats().Resumes; got["ok"] != 2 || got["gap"] != 1 || got["late_gap"] != 2 {
		t.Errorf("counted %v", got)
	}
}

func TestAnOldCloseDoesNotCloseAClientThatComesBack(t *testing.T) {
	rows(t, "7.closes")
	l := startLogged(t, nil)
	began := l.position()
	room := []session.Address{session.Channel("room")}
	l.log.add(0, &session.Command{To: room, Message: session.NewMessage(false, []byte("bye")), Close: &session.Close{Code: 4001}})
	l.reached()
	p := l.comesBack("?ws_last="+began, "ok")
	p.want(wrap(l.position(), "bye"))
	p.want(`{"data":"state"}`)
	began = l.position()
	l.during = func() {
		l.log.add(0, &session.Command{To: room, Message: session.NewMessage(false, []byte("now")), Close: &session.Close{Code: 4001}})
		l.reached()
	}
	p = l.comesBack("?ws_last="+began, "ok")
	p.want(wrap(l.position(), "now"))
	p.wantClose(4001)
}

// The name stays as long as the connection, the query does not.
func TestAFormerConnectionKeepsNoQueryInMemory(t *testing.T) {
	const size, clients = 1 << 20, 16
	var were [clients]string
	before := inUse()
	for i := range were {
		were[i] = parseReturning("ws_was=n-1&pad=" + strings.Repeat("x", size)).was
	}
	if grown := int64(inUse()) - int64(before); grown > size*clients/2 || were[0] != "n-1" {
		t.Errorf("%d clients named %q keep %d bytes", clients, were[0], grown)
	}
	runtime.KeepAlive(&were)
}

// Whatever a client writes into its query, a position is one, and the rest is a gap.
func FuzzParseReturning(f *testing.F) {
	for _, query := range []string{"", "a=b", "ws_last=17-2-8ebb67", "ws_last=&ws_was=n-1", "ws%5flast=%zz", "ws_last=1-0-0&ws_last=1-0-0", "ws_was=%2c"} {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		r := parseReturning(query)
		if !r.last.IsZero() && !r.asked {
			t.Errorf("%q: got %v, which was not asked for", query, r.last)
		}
		if again, err := session.ParsePosition(r.last.String()); !r.last.IsZero() && (err != nil || again != r.last) {
			t.Errorf("%q: got %v, which is read as %v, %v", query, r.last, again, err)
		}
		if r.was != "" && session.CheckName(r.was) != nil {
			t.Errorf("%q: got the former connection %q", query, r.was)
		}
		if plain, err := url.ParseQuery(query); err == nil && plain.Has("ws_last") != r.asked {
			t.Errorf("%q: asked is %v", query, r.asked)
		}
	})
}
