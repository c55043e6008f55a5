package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/session"
)

// fakeLog is a log in memory.
type fakeLog struct {
	mu      sync.Mutex
	entries []*session.Command
	before  session.Position // of the entry before the first
	tag     session.Tag
	ahead   func() // called by Await for a position that is not there yet
}

func newFakeLog() *fakeLog {
	tag, _ := session.ParseTag("8ebb67")
	l := &fakeLog{tag: tag}
	l.before = session.Position{Milli: uint64(time.Now().Add(-time.Hour).UnixMilli()), Tag: tag}
	l.add(time.Minute, &session.Command{})
	return l
}

// add stores an entry of some age.
func (l *fakeLog) add(age time.Duration, c *session.Command) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := l.newestLocked()
	at := session.Position{Milli: uint64(time.Now().Add(-age).UnixMilli()), Tag: l.tag}
	if at.Milli <= last.Milli {
		at.Milli, at.Seq = last.Milli, last.Seq+1
	}
	c.At = at
	if c.Message != nil {
		c.Message = session.NewMessageWith(session.Head{At: at}, c.Message.Binary(), c.Message.Data())
	}
	l.entries = append(l.entries, c)
}

// lose drops all entries but the newest.
func (l *fakeLog) lose() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = l.entries[len(l.entries)-1:]
	l.before = session.Position{}
}

func (l *fakeLog) newestLocked() session.Position {
	if len(l.entries) == 0 {
		return l.before
	}
	return l.entries[len(l.entries)-1].At
}

// Listen implements Log.
func (l *fakeLog) Listen(durable.Listener) {}

// Append implements Log.
func (l *fakeLog) Append(context.Context, []session.Command) ([]session.Position, error) {
	return nil, errors.New("not stored")
}

// Shut implements Log.
func (l *fakeLog) Shut() bool { return false }

// Ready implements Log.
func (l *fakeLog) Ready() error { return nil }

// Newest implements Log.
func (l *fakeLog) Newest() session.Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.newestLocked()
}

// Since implements Log.
func (l *fakeLog) Since(after session.Position, to []session.Address, most int, list []*session.Command) ([]*session.Command, session.Position, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from := l.behindLocked(after)
	if from < 0 {
		return list, l.newestLocked(), false
	}
	for _, c := range l.entries[from:] {
		if !slices.ContainsFunc(c.To, func(a session.Address) bool { return slices.Contains(to, a) }) {
			continue
		}
		if most--; most < 0 {
			return list, list[len(list)-1].At, true
		}
		list = append(list, c)
	}
	return list, l.newestLocked(), true
}

// behindLocked is the number of the entry behind a position, -1 if that is not known.
func (l *fakeLog) behindLocked(p session.Position) int {
	if p == l.before {
		return 0
	}
	i := slices.IndexFunc(l.entries, func(c *session.Command) bool { return c.At == p })
	if i < 0 {
		return -1
	}
	return i + 1
}

// Age implements Log.
func (l *fakeLog) Age(p session.Position) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := l.behindLocked(p); i >= 0 && i < len(l.entries) {
		return time.Since(time.UnixMilli(int64(l.entries[i].At.Milli)))
	}
	return 0
}

// Await implements Log.
func (l *fakeLog) Await(_ context.Context, p session.Position) bool {
	if p.After(l.Newest()) && l.ahead != nil {
		l.ahead()
	}
	return !p.After(l.Newest())
}

// logged is a gateway with a log.
type logged struct {
	*harness
	log    *fakeLog
	during func() // called while the connect script runs
	answer func(params map[string]string) (header, body string)
}

// startLogged runs a gateway whose route resumes. Clients are in the channel room.
func startLogged(t *testing.T, change func(*config.Config)) *logged {
	t.Helper()
	l := &logged{log: newFakeLog(), during: func() {}}
	l.answer = func(map[string]string) (string, string) { return "WS-Join: room", "state" }
	script := func(params map[string]string, body string) (string, string) {
		if params["WS_EVENT"] != "connect" {
			return html, body
		}
		l.during()
		return l.answer(params)
	}
	l.harness = startWith(t, script, func(c *config.Config) {
		c.Routes[0].Resume = true
		if change != nil {
			change(c)
		}
	}, func(b *bus.Bus) Bus { return b }, l.log)
	l.reached()
	return l
}

// store adds a message for the room, and delivers it.
func (l *logged) store(text string, except ...session.Address) {
	c := &session.Command{To: []session.Address{session.Channel("room")}, Except: except, Message: session.NewMessage(false, []byte(text))}
	l.log.add(0, c)
	l.fanout.Deliver(c)
	l.reached()
}

// reached passes the newest position to all shards, and waits for it.
func (l *logged) reached() {
	newest := l.log.Newest()
	l.fanout.Reached(newest)
	for i := range 64 {
		s := session.New(fmt.Sprint("probe", i), nil)
		eventually(l.t, "the position", func() bool { return l.hub.Position(s) == newest })
	}
}

// position is the newest one's text.
func (l *logged) position() string { return l.log.Newest().String() }

// comesBack connects a client with wsfpm.v1, whose first message is a hello.
func (l *logged) comesBack(query, resume string) *peer {
	l.t.Helper()
	p := l.dial("/"+query, wrappedClient)
	events := l.seen("connect")
	p.want(fmt.Sprintf(`{"hello":{"conn":"%s","resume":%q,"ping":25}}`, events[len(events)-1]["WS_CONNECTION"], resume))
	return p
}

// told checks what PHP got with the last connect event.
func (l *logged) told(resume, last, position string) {
	l.t.Helper()
	events := l.seen("connect")
	e := events[len(events)-1]
	if e["WS_RESUME"] != resume || e["WS_LAST"] != last || e["WS_POSITION"] != position {
		l.t.Errorf("PHP got %q %q %q, want %q %q %q", e["WS_RESUME"], e["WS_LAST"], e["WS_POSITION"], resume, last, position)
	}
}

// rows notes the promises of docs/contract.md that a test holds.
func rows(t *testing.T, ids ...string) {
	for _, id := range ids {
		t.Log("contract-row: " + id)
	}
}

func wrap(id, data string) string { return fmt.Sprintf(`{"id":%q,"data":%q}`, id, data) }
