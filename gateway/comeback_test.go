package gateway

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/session"
)

// crowd are clients of a gateway with a log, which come and go while messages are stored.
type crowd struct {
	*harness
	log       *durable.Log
	published atomic.Int64
	received  atomic.Int64   // by clients that are not lazy, with those that gaps left out
	begun     sync.WaitGroup // clients that have not entered yet
	over      chan struct{}  // closed when all messages are stored

	resumed, gaps, slow atomic.Int64
}

// stored is a message of a room: the i-th, from 0.
type stored struct {
	I    int
	Last bool
	Pad  string
}

// visit is one client of the crowd over all its connections.
type visit struct {
	*crowd
	room, last, was string
	next            int  // the number of the next message
	jump            bool // a gap was told: next may be larger
	finished        bool // nothing more will come
	compress        bool
	lazy            bool // it pauses for longer
}

// envelopeIn is what a client reads.
type envelopeIn struct {
	Hello *struct{ Conn, Resume string }
	ID    string
	Data  json.RawMessage
	Gap   bool
}

// connect dials.
func (v *visit) connect(ctx context.Context) (*websocket.Conn, error) {
	mode := websocket.CompressionDisabled
	if v.compress {
		mode = websocket.CompressionNoContextTakeover
	}
	query := "/?room=" + v.room + "&ws_was=" + v.was
	if v.last != "" {
		query += "&ws_last=" + v.last
	}
	p, _, err := websocket.Dial(ctx, v.url+query, &websocket.DialOptions{Subprotocols: []string{"wsfpm.v1"}, CompressionMode: mode})
	if err == nil {
		p.SetReadLimit(-1)
	}
	return p, err
}

// stay connects and reads at most so many messages. It reports whether the last has come.
func (v *visit) stay(ctx context.Context, most int) (last bool, err error) {
	p, err := v.connect(ctx)
	if err != nil {
		return false, err
	}
	defer p.CloseNow()
	for n := range most {
		if n > 0 && rand.IntN(200) == 0 {
			v.pause()
		}
		if rand.IntN(20) == 0 {
			word := [...]string{"join", "leave"}[rand.IntN(2)]
			if err := p.Write(ctx, websocket.MessageText, []byte(`{"data":"`+word+`"}`)); err != nil {
				return false, v.ended(err)
			}
		}
		_, text, err := p.Read(ctx)
		if err != nil {
			return false, v.ended(err)
		}
		var m envelopeIn
		if err := json.Unmarshal(text, &m); err != nil {
			return false, fmt.Errorf("%s: %w", text, err)
		}
		if again, err := v.take(&m); again || err != nil || v.finished {
			return v.finished, err
		}
		if last, err = v.check(m.Data); last || err != nil {
			return last, err
		}
	}
	return false, nil
}

// ended returns nil for an end that a client comes back from.
func (v *visit) ended(err error) error {
	if websocket.CloseStatus(err) == 4408 {
		v.slow.Add(1)
		return nil
	}
	return err
}

// take keeps the position. It reports whether the client must connect again.
func (v *visit) take(m *envelopeIn) (again bool, err error) {
	switch {
	case m.Gap:
		v.gaps.Add(1)
		v.last, v.jump = "", true
		return true, nil
	case m.Hello != nil:
		if v.was == "" {
			v.begun.Done()
		}
		v.was = m.Hello.Conn
		switch m.Hello.Resume {
		case "ok":
			v.resumed.Add(1)
		case "new", "gap":
			v.last, v.jump = "", v.jump || m.Hello.Resume == "gap"
			select {
			case <-v.over:
				v.finished = true // the last message is in the state that connect gives
			default:
			}
		default:
			return false, fmt.Errorf("hello: %q", m.Hello.Resume)
		}
	case m.ID != "":
		v.last = m.ID
	}
	return false, nil
}

// check compares a message of the room with the one that is due.
func (v *visit) check(data json.RawMessage) (last bool, err error) {
	var m stored
	if len(data) == 0 || data[0] != '{' || json.Unmarshal(data, &m) != nil {
		return false, nil // connect's body, a reply, a fast push, one of the other channel
	}
	if m.I != v.next && (!v.jump || m.I < v.next) {
		return false, fmt.Errorf("room %s: got message %d, want %d (a gap was told: %v)", v.room, m.I, v.next, v.jump)
	}
	if !v.lazy {
		v.received.Add(int64(m.I + 1 - v.next))
	}
	v.next, v.jump = m.I+1, false
	return m.Last, nil
}

// pause does not read for some hundred messages, or for more than a queue holds.
func (v *visit) pause() {
	until := v.published.Load() + 300
	if v.lazy {
		until += 1000
	}
	for deadline := time.Now().Add(patience); v.published.Load() < until && time.Now().Before(deadline); {
		select {
		case <-v.over:
			return
		case <-time.After(time.Millisecond):
		}
	}
}

// live comes and goes until the last message has come.
func (v *visit) live(ctx context.Context) error {
	for {
		most := rand.IntN(300)
		select {
		case <-v.over:
			most = 1 << 20
		default:
		}
		last, err := v.stay(ctx, most)
		if last || err != nil {
			return err
		}
	}
}

// publish stores messages for the rooms, with others between them, and then the last ones.
func (c *crowd) publish(ctx context.Context, rooms, messages, clients int) error {
	defer close(c.over)
	c.begun.Wait()
	counts := make([]int, rooms)
	store := func(room string, m any) error {
		text, _ := json.Marshal(m) // plain values
		_, err := c.log.Append(ctx, []session.Command{{To: []session.Address{session.Channel(room)}, Message: session.NewMessage(false, text)}})
		return err
	}
	for n := range messages + rooms {
		k := rand.IntN(rooms)
		if n >= messages {
			k = n - messages
		}
		m := stored{I: counts[k], Last: n >= messages, Pad: strings.Repeat("half of it is the same ", rand.IntN(50))}
		counts[k]++
		if err := store(fmt.Sprint("room", k), m); err != nil {
			return err
		}
		due := c.published.Add(1) * int64(clients) / int64(rooms)
		eventually(c.t, "most clients keep up", func() bool { return due-c.received.Load() < 4000 })
		switch rand.IntN(10) {
		case 0:
			if err := store("extra", "extra"); err != nil {
				return err
			}
		case 1:
			fast := session.Command{To: []session.Address{session.All}, Message: session.NewMessage(false, []byte("fast"))}
			if n%3 == 0 { // its clients are held meanwhile
				fast.To[0], fast.Join = session.Channel(fmt.Sprint("room", rand.IntN(rooms))), []string{"extra"}
			}
			if _, err := c.Push(ctx, []session.Command{fast}); err != nil {
				return err
			}
		}
	}
	return nil
}

// Clients are cut off, read slowly, join and leave, with compression and without, while
// messages are delivered in batches: each gets every message of its room once and in
// order, or is told of a gap.
func TestClientsThatComeAndGoMissNothing(t *testing.T) {
	rows(t, "7.ok", "7.envelope")
	const rooms, messages, clients, lazy = 5, 2000, 25, 4
	c := &crowd{log: durable.New(durable.Config{}), over: make(chan struct{})}
	defer c.log.Close()
	script := func(params map[string]string, body string) (string, string) {
		switch params["WS_EVENT"] {
		case "connect":
			room, _, _ := strings.Cut(strings.TrimPrefix(params["QUERY_STRING"], "room="), "&")
			return "WS-Join: " + room, "state"
		case "message":
			return map[string]string{"join": "WS-Join: extra", "leave": "WS-Leave: extra"}[body], "done"
		}
		return html, ""
	}
	c.harness = startWith(t, script, func(cfg *config.Config) {
		cfg.Routes[0].Resume, cfg.Routes[0].Compression = true, true
		cfg.Limits.MessagesPerSecond, cfg.Limits.ConnectionsPerAddress = 0, 0
		cfg.Limits.Queue = 128 << 10
	}, func(b *bus.Bus) Bus { return b }, c.log)
	ctx := within(t, 3*patience)
	var all sync.WaitGroup
	for i := range clients {
		v := &visit{crowd: c, room: fmt.Sprint("room", i%rooms), compress: i%2 == 0, lazy: i < lazy, jump: true}
		c.begun.Add(1)
		all.Go(func() {
			if err := v.live(ctx); err != nil {
				t.Errorf("client %d in %s, at %s, has %d of %d: %v", i, v.room, v.last, v.next, c.published.Load(), err)
			}
		})
	}
	if err := c.publish(ctx, rooms, messages, clients-lazy); err != nil {
		t.Error(err)
	}
	all.Wait()
	t.Logf("%d connections resumed, %d gaps, %d slow readers", c.resumed.Load(), c.gaps.Load(), c.slow.Load())
	if c.resumed.Load() < clients {
		t.Errorf("%d connections resumed", c.resumed.Load())
	}
}

// A stream with ids of the future was deleted. Smaller ids are not from before the reload.
func TestAPositionOfANewStreamIsNotFromBeforeResumeWasSwitchedOn(t *testing.T) {
	rows(t, "7.switched")
	l := startLogged(t, func(c *config.Config) { c.Routes[0].Resume = false })
	l.reloaded(func(c *config.Config) { c.Routes[0].Resume = true })
	l.comesBack("?ws_last="+l.position(), "gap")
	*l.log = fakeLog{tag: l.log.tag}
	l.log.add(time.Hour, &session.Command{})
	l.reached()
	l.comesBack("?ws_last="+l.position(), "ok")
}

// The window of a log that was loading at the reload holds afterwards what was stored before it.
func TestAPositionFromBeforeResumeWasSwitchedOnIsAGapAlsoIfTheLogWasLoading(t *testing.T) {
	rows(t, "7.switched")
	l := startLogged(t, func(c *config.Config) { c.Routes[0].Resume = false })
	l.store("one")
	tag, before, entries := l.log.tag, l.log.before, l.log.entries
	*l.log = fakeLog{tag: tag}
	l.reloaded(func(c *config.Config) { c.Routes[0].Resume = true })
	l.comesBack("?ws_last="+entries[0].At.String(), "gap")
	l.reloaded(func(c *config.Config) { c.Routes[0].MessageLimit = 5 })
	*l.log = fakeLog{tag: tag, before: before, entries: entries}
	one := l.position()
	l.comesBack("", "new")
	l.store("two")
	two := l.position()
	l.comesBack("?ws_last="+two, "ok")
	l.comesBack("?ws_last="+one, "gap")
	l.reloaded(func(c *config.Config) { c.Routes[0].MessageLimit = 6 })
	l.comesBack("?ws_last="+two, "ok")
	l.comesBack("?ws_last="+one, "gap")
}
