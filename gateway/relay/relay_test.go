package relay

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"wsfpm/gateway/envelope"
	"wsfpm/session"
)

// begin is the time at which tests begin.
var begin = time.Unix(1_800_000_000, 0)

func at(ms int) time.Time { return begin.Add(time.Duration(ms) * time.Millisecond) }

func text(s string) Frame { return Frame{Data: []byte(s)} }

func TestOnlyTheNewestOfASpanIsSent(t *testing.T) {
	r := &session.Relay{To: session.Channel("doc"), Prefix: "c", Latest: 50}
	var l Lane
	var sent []string
	offer := func(ms int, s string) {
		if f, _, found := l.Due(at(ms)); found {
			sent = append(sent, fmt.Sprintf("%d:%s", ms, f.Data))
		}
		if s == "" {
			return
		}
		if now, _ := l.Offer(text(s), r, at(ms)); now {
			sent = append(sent, fmt.Sprintf("%d:%s", ms, s))
		}
	}
	offer(0, "c1")
	offer(10, "c2")
	offer(49, "c3")
	if got := l.Next(); !got.Equal(at(50)) {
		t.Errorf("due at %v, want the end of the span", got.Sub(begin))
	}
	offer(50, "c4")
	offer(100, "")
	offer(149, "")
	offer(200, "c5")
	if want := []string{"0:c1", "50:c3", "100:c4", "200:c5"}; !slices.Equal(sent, want) {
		t.Errorf("got %v, want %v", sent, want)
	}
	if !l.Next().IsZero() {
		t.Error("something is due")
	}
}

func TestCopiesAreTheNewestFrames(t *testing.T) {
	r := &session.Relay{To: session.Channel("doc"), Copy: 5000}
	var l Lane
	const most = 4 * (3 + Overhead)
	for i := range 10 {
		l.Sent(Frame{Binary: i%2 == 0, Data: fmt.Appendf(nil, "%03d", i)}, r, at(i), most)
	}
	if n := l.Bytes(); n != most {
		t.Errorf("%d bytes, want %d", n, most)
	}
	if _, found := l.Copies(at(4999), false); found || !l.Next().Equal(at(5000)) {
		t.Error("the copies are due too early")
	}
	c, found := l.Copies(at(5000), false)
	body, err := c.Body()
	want := `[{"to":"channel:doc","base64":"MDA2"},{"to":"channel:doc","data":"007"},{"to":"channel:doc","base64":"MDA4"},{"to":"channel:doc","data":"009"}]`
	if !found || err != nil || string(body) != want || c.Missed != 6 || l.Bytes() != 0 || c.Len() != 4 {
		t.Errorf("got %s, %+v, %v, want %s", body, c, err, want)
	}
	l.Sent(text("x"), r, at(6000), 12)
	if !l.Next().Equal(at(11_000)) {
		t.Errorf("the next copy is due at %v", l.Next().Sub(begin))
	}
	if _, found := l.Copies(at(6001), true); !found {
		t.Error("the end of the connection has no copies")
	}
	l.Sent(text("larger than the room"), r, at(7000), 12)
	if c, _ := l.Copies(at(7000), true); c.Len() != 1 || c.Missed != 0 {
		t.Error("a single frame always fits")
	}
}

// The reader may use its memory again as soon as a message has ended: the lane keeps copies, and
// the command has one. Of a frame that is sent at once, without copies for the script, the lane
// makes none.
func TestNothingRefersToTheReadersMemory(t *testing.T) {
	r := &session.Relay{To: session.Channel("doc"), Prefix: "c", Latest: 50, Copy: 5000}
	data := []byte("c1")
	var l Lane
	c := Command(Frame{Data: data}, r, session.Conn("a"), "a")
	l.Sent(Frame{Data: data}, r, at(0), 1<<10)
	l.Offer(Frame{Data: data}, r, at(0)) // it is sent at once, and begins a span
	l.Offer(Frame{Data: data}, r, at(1))
	end := make(chan struct{})
	go func() { // the next message
		defer close(end)
		copy(data, "xx")
	}()
	if got := string(c.Message.Data()); !strings.Contains(got, `"c1"`) {
		t.Errorf("sent on: %s", got)
	}
	held, _, found := l.Due(at(50))
	if !found || string(held.Data) != "c1" {
		t.Errorf("held: %q, %v", held.Data, found)
	}
	l.Sent(held, r, at(50), 1<<10)
	copies, _ := l.Copies(at(5000), false)
	if body, err := copies.Body(); err != nil || strings.Count(string(body), `"c1"`) != 2 {
		t.Errorf("copied: %s, %v", body, err)
	}
	<-end

	plain := &session.Relay{To: session.Channel("doc"), Prefix: "c"}
	if n := testing.AllocsPerRun(100, func() {
		if send, _ := l.Offer(Frame{Data: data}, plain, at(6000)); !send {
			t.Error("the frame waits")
		}
		l.Sent(Frame{Data: data}, plain, at(6000), 1<<10)
	}); n != 0 {
		t.Errorf("%v allocations for a frame that is sent at once", n)
	}
}

// Whatever a client sends: it goes where the script said, from the client, and what others get
// as text is the object around it, unless the script wants it raw.
func FuzzCommand(f *testing.F) {
	f.Add([]byte(`c:{"from":"user:1"}`), false, false, true, "7")
	f.Add([]byte(`{"from":"user:1","data":1}`), false, false, false, "")
	f.Add([]byte(`{"to":"all","relay":""}`), true, false, false, "x")
	f.Add([]byte(`","from":"user:9","x":"`), false, true, false, "\u2028")
	f.Fuzz(func(t *testing.T, data []byte, binary, raw, echo bool, user string) {
		if !binary && !utf8.Valid(data) {
			t.Skip("package ws refuses such text")
		}
		from := session.Conn("n-1")
		if session.CheckName(user) == nil {
			from = session.User(user)
		}
		r := &session.Relay{To: session.Channel("doc"), Binary: true, Prefix: "c", Raw: raw, Echo: echo}
		c := Command(Frame{Binary: binary, Data: data}, r, from, "n-1")
		h := c.Message.Head()
		switch {
		case !slices.Equal(c.To, []session.Address{r.To}), echo != (len(c.Except) == 0), h.From != from.String():
			t.Fatalf("%q goes to %v from %q", data, c.To, h.From)
		case !echo && c.Except[0] != session.Conn("n-1"), !h.At.IsZero(), h.Re != "", h.Raw != nil:
			t.Fatalf("%q has the head %+v", data, h)
		case len(c.Join)+len(c.Leave)+len(c.Purge) > 0, c.Close != nil, c.User != nil, c.State != nil, c.Relay != nil:
			t.Fatalf("%q does more: %+v", data, c)
		}
		if plain := string(c.Message.Data()); (raw || binary) && plain != string(data) {
			t.Fatalf("%q became %q", data, plain)
		} else if !raw && !binary {
			checkWrapped(t, plain, data, from)
		}
		wrapped := string(envelope.Append(nil, c.Message))
		if !binary {
			checkWrapped(t, wrapped, data, from)
		} else if !strings.HasPrefix(wrapped, `{"from":`) {
			t.Fatalf("%q became %q", data, wrapped)
		}
	})
}

// checkWrapped checks the text {"from":…,"data":…}.
func checkWrapped(t *testing.T, got string, data []byte, from session.Address) {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(got), &m); err != nil || len(m) != 2 || strings.Count(got, `"from":`) < 1 {
		t.Fatalf("%q became %q: %v", data, got, err)
	}
	var who, payload string
	if err := json.Unmarshal(m["from"], &who); err != nil || who != from.String() {
		t.Fatalf("%q became %q, from %q", data, got, who)
	}
	if json.Unmarshal(m["data"], &payload) != nil {
		payload = string(m["data"])
		if strings.TrimSpace(string(data)) != payload {
			t.Fatalf("%q became %q", data, got)
		}
	} else if payload != string(data) && m["data"][0] == '"' {
		t.Fatalf("%q became %q", data, got)
	}
}
