package contract

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// envelope is a message of wsfpm.v1.
type envelope struct {
	ID    string
	Data  string
	Gap   bool
	Hello *hello
}

// next reads the next envelope, signs of life aside.
func next(t *testing.T, c *stack.Client) envelope {
	t.Helper()
	for {
		var e envelope
		text := c.Next().Data
		if err := json.Unmarshal(text, &e); err != nil {
			t.Fatalf("%.200s: %v", text, err)
		}
		if sign := (envelope{ID: e.ID}); e != sign {
			return e
		}
	}
}

// store appends a message to the test's log, as a site does, and returns the entry's id.
func (w *world) store(address, data string, more ...string) string {
	w.t.Helper()
	args := []any{"XADD", w.prefix + "log", "*", "to", address, "data", data}
	for _, field := range more {
		args = append(args, field)
	}
	return shared.redis.Do(w.t, args...)
}

// returns connects a client of wsfpm.v1 whose connect answers with a body and headers.
func (w *world) returns(resume, last, body string, headers ...string) *stack.Client {
	w.t.Helper()
	query := url.Values{"body": {body}, "h[]": headers}
	if last != "" {
		query.Set("ws_last", last)
	}
	c, first := w.wrapped("?"+query.Encode(), stack.DialOptions{})
	equal(w.t, "resume", first.Resume, resume)
	return c
}

// expect wants a message, and returns its position.
func expect(t *testing.T, c *stack.Client, data, id string) (position string) {
	t.Helper()
	e := next(t, c)
	if e.Data != data || !strings.HasPrefix(e.ID, id) {
		t.Fatalf("got %+v, want %s with the id %s", e, data, id)
	}
	return e.ID
}

// delivered waits until the node has delivered an entry to all of its clients.
func (w *world) delivered(id string) {
	w.t.Helper()
	stack.Wait(w.t, "the node's position", func() bool {
		c := w.returns("new", "", "state")
		defer c.Cut()
		return strings.HasPrefix(next(w.t, c).ID, id)
	})
}

const resuming = "resume = true\n"

// Both nodes read one log: a client returns to either.
func TestAClientReturnsToAnyNode(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, route: resuming}, "7.last", "7.envelope", "7.new", "7.ok", "7.php", "7.position", "5.resume")
	other := w.second(t, "other")
	join := "WS-Join: room"
	c := w.returns("new", "", "state", join)
	began := expect(t, c, "state", "")
	one := expect(t, c, "one", w.store("channel:room", "one"))
	c.Cut()
	ids := []string{w.store("channel:room", "two"), w.store("channel:elsewhere", "x"), w.store("all", "three")}
	c = other.returns("ok", one, "", join)
	expect(t, c, "two", ids[0])
	three := expect(t, c, "three", ids[2])
	expect(t, c, "four", w.store("channel:room", "four"))
	c = w.returns("ok", three, "printed", join)
	expect(t, c, "four", "")
	expect(t, c, "printed", "")
	events := w.trace.Await(t, "connect", 3)
	for i, want := range [][2]string{{"new", ""}, {"ok", one}, {"ok", three}} {
		equal(t, "WS_RESUME", events[i].Var("WS_RESUME"), want[0])
		equal(t, "WS_LAST", events[i].Var("WS_LAST"), want[1])
	}
	equal(t, "WS_POSITION", events[0].Var("WS_POSITION"), began)
}

func TestAPositionThatLeadsNowhereIsAGap(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, route: resuming + "gap_message = \"reload\""}, "7.gap", "7.last-garbled", "7.gap-first", "7.plain", "7.php")
	c := w.returns("new", "", "state", "WS-Join: room")
	began := expect(t, c, "state", "")
	for _, last := range []string{"x", "1-0-" + began[strings.LastIndex(began, "-")+1:], began[:strings.LastIndex(began, "-")] + "-0"} {
		expect(t, w.returns("gap", last, "state", "WS-Join: room"), "state", began)
	}
	c, first := w.wrapped("?ws_last=&body=state", stack.DialOptions{})
	equal(t, "an empty position", first.Resume, "gap")
	expect(t, c, "state", began)
	plain := w.dial("?body=state&ws_last=x", stack.DialOptions{})
	plain.Expect("reload")
	plain.Expect("state")

	w.store("channel:room", "one")
	plain = w.dial("?h[]=WS-Join:room&body=state&ws_last="+began, stack.DialOptions{})
	plain.Expect("one")
	plain.Expect("state")
}

func TestTheScriptDecidesWhatIsSentAgain(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, route: resuming}, "7.resume-header", "7.resume-no", "7.live", "7.was", "7.closes")
	c := w.returns("new", "", "state", "WS-Join: room")
	began := expect(t, c, "state", "")
	one := expect(t, c, "one", w.store("channel:room", "one"))
	two := expect(t, c, "two", w.store("channel:room", "two"))
	w.delivered(two)
	nothing := func(c *stack.Client) {
		t.Helper()
		c.Send(`{"data":"\n\nend"}`)
		expect(t, c, "end", "")
	}
	c = w.returns("ok", began, "", "WS-Join: room", "WS-Resume: "+one)
	expect(t, c, "two", two)
	nothing(c)
	c = w.returns("gap", began, "state", "WS-Join: room", "WS-Resume: no")
	expect(t, c, "state", two)
	nothing(c)
	nothing(w.returns("ok", began, "", "WS-Join: room; live"))
	c.Send(`{"id":"late","data":"WS-Resume: no\n\nx"}`)
	c.Expect(`{"re":"late","error":"failed"}`)

	former, first := w.wrapped("?h[]=WS-Join:room&body=state", stack.DialOptions{})
	expect(t, former, "state", two)
	mine := w.store("channel:room", "mine", "except", "conn:"+first.Conn)
	c, _ = w.wrapped("?h[]=WS-Join:room&ws_was="+first.Conn+"&ws_last="+two, stack.DialOptions{})
	nothing(c)
	expect(t, w.returns("ok", two, "", "WS-Join: room"), "mine", mine)

	bye := w.store("channel:room", "bye", "close", "4001 over")
	w.delivered(bye)
	c = w.returns("ok", two, "", "WS-Join: room")
	expect(t, c, "mine", mine)
	expect(t, c, "bye", bye)
	nothing(c)
}

// left reads all that a deaf client's system has still got, and returns the positions of the
// messages "<number> …", which must come in order.
func left(t *testing.T, c *stack.Client) (ids []string) {
	t.Helper()
	for {
		_, text, err := c.Conn.Read(t.Context())
		if err != nil {
			return ids
		}
		e := decode[envelope](t, text)
		if want := fmt.Sprint(len(ids), " "); strings.HasPrefix(e.Data, want) {
			ids = append(ids, e.ID)
		} else if e.Data != "" {
			t.Fatalf("got %.20s, want %s", e.Data, want)
		}
	}
}

// A client that reads nothing is closed, then reads what its system has, and comes back.
func TestASlowReaderComesBackForTheRest(t *testing.T) {
	t.Parallel()
	for limit, limits := range map[string]string{
		"queue":         "queue = \"256KiB\"\nwrite_timeout = \"1m\"",
		"write_timeout": "queue = 0\nqueue_messages = 0\nwrite_timeout = \"300ms\"",
	} {
		t.Run(limit, func(t *testing.T) {
			w := start(t, setup{script: "chatty.php", redis: true, route: resuming, options: stack.GatewayOptions{Limits: limits}}, "7.slow", "7.ok")
			slow := w.dial("?h[]=WS-Join:room", stack.DialOptions{Protocols: []string{"wsfpm.v1"}, Deaf: true})
			fine := w.returns("new", "", "state", "WS-Join: room")
			expect(t, fine, "state", "")
			var data, ids []string
			store := func() {
				data = append(data, fmt.Sprint(len(data), " ", strings.Repeat("x", 16<<10)))
				ids = append(ids, w.store("channel:room", data[len(data)-1]))
				expect(t, fine, data[len(data)-1], ids[len(ids)-1])
			}
			stack.WaitWithin(t, 2*stack.Patience, "the slow reader to be found", func() bool {
				store()
				return w.Metric(t, "wsfpm_limits_reached_total", `limit="`+limit+`"`) == 1
			})
			for range 5 {
				store() // while it is away
			}
			read := left(t, slow)
			if len(read) == 0 || len(read) == len(data) {
				t.Fatalf("read %d of %d messages, want some", len(read), len(data))
			}
			back := w.returns("ok", read[len(read)-1], "", "WS-Join: room")
			for i := len(read); i < len(data); i++ {
				expect(t, back, data[i], ids[i])
			}
			expect(t, back, "last", w.store("channel:room", "last"))
			equal(t, "closes with 4408", w.Metric(t, "wsfpm_connections_closed_total", `code="4408"`), 1)
		})
	}
}

// What is stored after the script has read the state follows its body.
func TestAMessageThatIsStoredWhilePHPRunsIsSent(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] !== 'connect') exit;
		header('WS-Join: room'); touch(__DIR__ . '/reading');
		for ($i = 0; $i < 3000 && !file_exists(__DIR__ . '/stored'); $i++) { usleep(10000); clearstatcache(); }
		echo 'state';`, redis: true, route: resuming}, "7.joins", "7.new")
	opened := make(chan *stack.Client, 1)
	go func() { opened <- stack.Dial(t, w.URL+"/ws", stack.DialOptions{Protocols: []string{"wsfpm.v1"}}) }()
	stack.Wait(t, "the script", func() bool { _, err := os.Stat(w.dir + "/reading"); return err == nil })
	id := w.store("channel:room", "meanwhile")
	if err := os.WriteFile(w.dir+"/stored", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := <-opened
	equal(t, "hello", next(t, c).Hello.Resume, "new")
	expect(t, c, "state", "")
	expect(t, c, "meanwhile", id)
}

// A log that has lost entries: those who are connected are told, before anything else comes.
func TestALostLogIsToldToAll(t *testing.T) {
	w := start(t, setup{script: "chatty.php", redis: true, route: resuming + "gap_message = \"reload\"",
		options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/ws/off\"\nscript = \"$DIR/chatty.php\"\n"}},
		"7.told", "7.gap-message", "7.off", "7.php-off", "5.gap-message")
	c := w.returns("new", "", "state", "WS-Join: room")
	began := expect(t, c, "state", "")
	plain := w.dial("?h[]=WS-Join:room", stack.DialOptions{})
	off, first := w.wrapped("/off?h[]=WS-Join:room&body=state&ws_last="+began, stack.DialOptions{})
	equal(t, "a route without resume", first.Resume, "off")
	expect(t, off, "state", "")
	offPlain := w.dial("/off?h[]=WS-Join:room", stack.DialOptions{})
	shared.redis.Do(t, "DEL", w.prefix+"log")
	stack.Wait(t, "the new log", func() bool { return shared.redis.Do(t, "XLEN", w.prefix+"log") != "0" })
	if e := next(t, c); !e.Gap {
		t.Errorf("got %+v, want a gap", e)
	}
	plain.Expect("reload")
	id := w.store("channel:room", "later")
	expect(t, c, "later", id)
	plain.Expect("later")
	expect(t, off, "later", id)
	offPlain.Expect("later")
	w.delivered(id)
	expect(t, w.returns("gap", began, "state"), "state", id)
	for _, e := range w.trace.Of("connect") {
		if e.Var("REQUEST_URI") != "" && strings.HasPrefix(e.Var("REQUEST_URI"), "/ws/off?") && e.Var("WS_LAST") != "" {
			equal(t, "WS_RESUME without resume", e.Var("WS_RESUME"), "gap")
		}
	}
}

func TestResumeKeysAreChecked(t *testing.T) {
	Row(t, "5.resume-age", "5.gap-message")
	for lines, want := range map[string]string{
		"resume = true\nresume_age = \"0s\"": "resume_age",
		"gap_message = \"x\"":                "gap_message",
	} {
		if out, code := checkConfig(t, lines); code == 0 || !strings.Contains(out, want) {
			t.Errorf("%q: got %d %s", lines, code, out)
		}
	}
	if out, code := checkConfig(t, fmt.Sprintf("resume = true\nresume_age = %q\ngap_message = %q", "5m", "x")); code != 0 {
		t.Errorf("got %d %s", code, out)
	}
}
