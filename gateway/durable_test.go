package gateway

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/session"
)

// brokenLog is a real log that a test breaks.
type brokenLog struct {
	*durable.Log
	broken   atomic.Pointer[error]
	appended atomic.Int64           // calls
	after    func(session.Position) // called before Append returns
}

func (l *brokenLog) Append(ctx context.Context, commands []session.Command) ([]session.Position, error) {
	l.appended.Add(1)
	if err := l.broken.Load(); err != nil {
		return nil, &durable.AppendError{Stored: true, Err: *err}
	}
	at, err := l.Log.Append(ctx, commands)
	if err == nil && l.after != nil {
		l.after(at[len(at)-1])
	}
	return at, err
}

// startStored runs a gateway with a log of its own.
func startStored(t *testing.T, s script, change func(*config.Config)) (*harness, *brokenLog) {
	t.Helper()
	l := &brokenLog{Log: durable.New(durable.Config{})}
	h := startWith(t, s, change, func(b *bus.Bus) Bus { return b }, l)
	t.Cleanup(l.Close)
	return h, l
}

// says is a script whose answers to messages are the messages: header lines, an empty line,
// the body. Clients are in the channel room.
func says(params map[string]string, body string) (string, string) {
	if params["WS_EVENT"] != "message" {
		return "WS-Join: room\r\nWS-User: " + params["QUERY_STRING"], ""
	}
	header, answer, _ := strings.Cut(body, "\n\n")
	return strings.ReplaceAll(header, "\n", "\r\n"), answer
}

func resuming(c *config.Config) { c.Routes[0].Resume = true }

// stored reads the next message, which carries a position, and checks its data.
func (p *peer) stored(data string) session.Position {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, got, err := p.Read(ctx)
	if err != nil {
		p.t.Fatal(err)
	}
	var m struct {
		ID   string
		Data json.RawMessage
	}
	if err := json.Unmarshal(got, &m); err != nil {
		p.t.Fatalf("%v in %s", err, got)
	}
	at, err := session.ParsePosition(m.ID)
	if err != nil || string(m.Data) != data {
		p.t.Fatalf("got %s, %v, want %s with a position", got, err, data)
	}
	return at
}

// enters connects a client with wsfpm.v1 and reads its hello.
func (h *harness) enters(path string) *peer {
	h.t.Helper()
	p := h.dial(path, wrappedClient)
	ctx, cancel := context.WithTimeout(h.t.Context(), patience)
	defer cancel()
	if _, _, err := p.Read(ctx); err != nil {
		h.t.Fatal(err)
	}
	return p
}

func quoted(text string) string { return fmt.Sprintf(`{"data":%q}`, text) }

func TestADurablePublishIsStoredAndDelivered(t *testing.T) {
	h, l := startStored(t, says, nil)
	plain, wrapped := h.dial("/?a", nil), h.enters("/?b")
	plain.send("WS-Publish: channel:room; except=self; durable\n\nstored")
	at := wrapped.stored(`"stored"`)
	if list, _, _ := l.Since(session.Position{Milli: at.Milli, Seq: at.Seq, Tag: at.Tag}, nil, 1, nil); len(list) > 0 || l.Newest() != at {
		t.Errorf("the log is at %v, the client at %v", l.Newest(), at)
	}
	plain.send("WS-Publish: channel:room\n\nfast")
	plain.want("fast")
	wrapped.want(`{"data":"fast"}`)
	if l.appended.Load() != 1 {
		t.Errorf("%d appends", l.appended.Load())
	}
}

func TestAReloadThatSwitchesResumeOnCountsForWhatConnectionsPublish(t *testing.T) {
	h, l := startStored(t, says, nil)
	p := h.dial("/?b", nil)
	p.send("WS-Publish: channel:room\n\nfast")
	p.want("fast")
	h.reloaded(resuming)
	p.send("WS-Publish: channel:room\n\nstored")
	p.want("stored")
	if l.appended.Load() != 1 {
		t.Errorf("%d appends, want that after the reload", l.appended.Load())
	}
}

func TestOnARouteThatResumesWhatIsPublishedIsDurable(t *testing.T) {
	h, l := startStored(t, says, resuming)
	p := h.enters("/?b")
	p.stored("") // connect's body is empty: its position
	for _, answer := range []string{
		"WS-Publish: channel:room\n\nx",
		"Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"user:b","data":"x"}`,
	} {
		p.send(quoted(answer))
		p.stored(`"x"`)
	}
	p.send(quoted("Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"channel:room","data":"fast","durable":false}`))
	p.want(`{"data":"fast"}`)
	p.send(quoted("WS-Publish: channel:room; fast\n\ntyping"))
	p.want(`{"data":"typing"}`)
	p.send(quoted("Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"user:b","data":"moved","join":"other"}`))
	p.want(`{"data":"moved"}`)
	if l.appended.Load() != 2 {
		t.Errorf("%d appends", l.appended.Load())
	}
}

func TestAReplyPrecedesWhatItsAnswerStores(t *testing.T) {
	h, l := startStored(t, says, resuming)
	l.after = func(at session.Position) { // all shards have delivered the entry before the reply is queued
		for i := range 32 {
			probe := session.New(fmt.Sprint("probe", i), nil)
			eventually(t, "the delivery", func() bool { return !at.After(h.hub.Position(probe)) })
		}
	}
	p := h.enters("/?b")
	p.stored("")
	for i := range 50 {
		change := ""
		if i%2 == 0 {
			change = fmt.Sprintf(`{"state":"%d"},{"join":"room%d"},`, i, i%4)
		}
		p.send(quoted(fmt.Sprintf("Content-Type: application/vnd.wsfpm+json\n\n["+`{"to":"user:b","data":"stored %d"},%s{"data":"reply %d"}]`, i, change, i)))
		p.want(fmt.Sprintf(`{"data":"reply %d"}`, i))
		p.stored(fmt.Sprintf(`"stored %d"`, i))
	}
}

func TestAnAnswerThatIsNotStoredFailsAsAWhole(t *testing.T) {
	h, l := startStored(t, says, func(c *config.Config) {
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "sorry"
		c.Limits.ConnectionsPerUser = 1
	})
	p := h.dial("/?a", nil)
	why := errors.New("redis is away")
	l.broken.Store(&why)
	for _, answer := range []string{
		"WS-Publish: channel:room; durable\n\nx",
		"WS-User: b\nWS-Join: other\nWS-Publish: channel:room; durable\n\nx",
		"Content-Type: application/vnd.wsfpm+json\n\n" + `[{"to":"channel:room","data":"x","durable":true},{"to":"channel:room","data":"y"},{"data":"reply"}]`,
	} {
		p.send(answer)
		p.want("sorry")
	}
	l.broken.Store(nil)
	if logged := h.log.FilterMessageSnippet("failed").All(); len(logged) == 0 || !strings.Contains(fmt.Sprint(logged[0].ContextMap()), "may be stored") {
		t.Errorf("got %v", logged)
	}
	p.send("X-Nothing: 1\n\nuser and channels")
	p.want("user and channels")
	if e := h.seen("message"); e[3]["WS_USER"] != "a" || e[3]["WS_CHANNELS"] != "room" {
		t.Errorf("after the failures: user %q, channels %q", e[3]["WS_USER"], e[3]["WS_CHANNELS"])
	}
	other := h.dial("/?b", nil) // the user b is not counted
	other.send("WS-Publish: user:a; durable\n\nafter")
	p.want("after")
}

func TestACommandThatTheLogCannotHoldIsMalformed(t *testing.T) {
	h, l := startStored(t, says, func(c *config.Config) {
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "sorry"
	})
	p := h.dial("/?a", nil)
	for answer, want := range map[string]string{
		"WS-Publish: channel:room; except=channel:a; durable\n\nx":                               "conn: and user:",
		"Content-Type: application/vnd.wsfpm+json\n\n" + `{"to":"all","data":"","durable":true}`: "empty",
		"WS-Publish: channel:room; durable; fast\n\nx":                                           "both",
		"WS-Publish: channel:room; durably\n\nx":                                                 "durably",
	} {
		before := h.log.Len()
		p.send(answer)
		p.want("sorry")
		if got := fmt.Sprint(h.log.All()[before:]); !strings.Contains(got, want) {
			t.Errorf("%.80q: logged %s, want %s", answer, got, want)
		}
	}
	if l.appended.Load() > 0 {
		t.Errorf("%d appends", l.appended.Load())
	}
}

func TestWithoutALogADurablePublishFails(t *testing.T) {
	h := start(t, says, func(c *config.Config) {
		resuming(c) // without a log it does not resume
		c.Routes[0].OnError, c.Routes[0].ErrorMessage = config.OnErrorMessage, "sorry"
	})
	p := h.dial("/?a", nil)
	p.send("WS-Publish: channel:room; durable\n\nx")
	p.want("sorry")
	p.send("WS-Publish: channel:room\n\nfast")
	p.want("fast")
}

func TestAConnectWhoseEntriesAreNotStoredIsRefused(t *testing.T) {
	var header atomic.Pointer[string]
	h, l := startStored(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "connect" {
			return *header.Load(), "here"
		}
		return html, ""
	}, nil)
	join := "WS-Join: room\r\nWS-Publish: channel:room; durable"
	header.Store(&join)
	first := h.dial("/", nil)
	first.want("here")
	why := errors.New("redis is away")
	l.broken.Store(&why)
	_, answer, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil || answer.StatusCode != 503 || answer.Header.Get("Retry-After") == "" {
		t.Errorf("got %v, %v, want 503", answer, err)
	}
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	if e := h.seen("disconnect")[0]; e["WS_CLOSE_CODE"] != "1011" {
		t.Errorf("got code %s", e["WS_CLOSE_CODE"])
	}
	l.broken.Store(nil)
	h.dial("/", nil).want("here")
	first.want("here")
}

func TestTheAnswerToDisconnectIsStored(t *testing.T) {
	h, _ := startStored(t, func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] == "disconnect" {
			return "WS-Publish: channel:room; durable", "left"
		}
		return "WS-Join: room", ""
	}, nil)
	stays := h.enters("/")
	_ = h.dial("/", nil).CloseNow()
	stays.stored(`"left"`)
}

func TestACloseComesBehindWhatItsAnswerStores(t *testing.T) {
	h, _ := startStored(t, says, nil)
	p := h.enters("/?a")
	p.send(quoted("Content-Type: application/vnd.wsfpm+json\n\n" + `[{"to":"user:a","data":"stored","durable":true},{"data":"reply"},{"close":{"code":4001}}]`))
	p.want(`{"data":"reply"}`)
	p.stored(`"stored"`)
	p.wantClose(4001)
}

func TestAPushIsStoredWhenItSaysSo(t *testing.T) {
	h, l := startStored(t, says, nil)
	p := h.enters("/?a")
	commands, _, err := session.Decode([]byte(`[{"to":"user:a","data":1,"durable":true},{"to":"user:a","data":2},{"to":"all","data":3,"durable":true}]`), session.FromPush)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := h.Store(t.Context(), commands)
	if err != nil || len(stored.At) != 2 || stored.Delivered != 2 || len(stored.Rest) != 1 || l.appended.Load() != 1 {
		t.Fatalf("got %+v, %v", stored, err)
	}
	if one, three := p.stored(`"1"`), p.stored(`"3"`); one != stored.At[0] || three != stored.At[1] {
		t.Errorf("got %v, %v, want %v", one, three, stored.At)
	}
	if n, err := h.Push(t.Context(), commands); n != 3 || err != nil {
		t.Errorf("push: got %d, %v", n, err)
	}
	commands[0].Message = session.NewMessage(false, []byte(strings.Repeat("x", 1<<20+1)))
	wrong := new(PushError)
	if _, err = h.Push(t.Context(), commands); !errors.As(err, &wrong) || !strings.Contains(err.Error(), "redis.push_limit") {
		t.Errorf("got %v", err)
	}
}

func TestReadyWaitsForTheLog(t *testing.T) {
	l := durable.New(durable.Config{Store: never{}})
	h := startWith(t, says, nil, func(b *bus.Bus) Bus { return b }, l)
	t.Cleanup(l.Close)
	if err := h.Ready(); !errors.Is(err, durable.ErrNotLoaded) {
		t.Errorf("got %v", err)
	}
}

// never is a store that does not answer.
type never struct{ durable.Store }

func (never) Open(ctx context.Context) (durable.Line, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}
