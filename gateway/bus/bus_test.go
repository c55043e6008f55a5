package bus

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/session"
)

func TestPublishWithoutRedisStaysInTheProcess(t *testing.T) {
	b := newTestBus(t, Config{})
	want := session.Command{
		To:      []session.Address{session.User("7"), session.Channel("a")},
		Except:  []session.Address{session.Conn("x")},
		Message: session.NewMessage(true, []byte{0, 1}),
	}
	if !b.Join(context.Background(), []session.Address{session.Channel("a")}) {
		t.Error("join not confirmed")
	}
	if err := b.Publish(context.Background(), want); err != nil {
		t.Fatal(err)
	}
	if got := next(t, b); got.Message != want.Message || !slices.Equal(got.To, want.To) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	if s := b.Stats(); s.State != "local" || s.Published != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPublishWithoutRedisGivesUpWhenTheReaderIsSlow(t *testing.T) {
	b := newTestBus(t, Config{Confirm: 20 * time.Millisecond})
	var err error
	for range heardRoom + 1 {
		if err = b.Publish(context.Background(), text(session.All, "x")); err != nil {
			break
		}
	}
	wantError(t, err, context.DeadlineExceeded)
	if s := b.Stats(); s.PublishFailed != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPushesReachMembers(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	names := []session.Address{session.Conn("c1"), session.User("müller"), session.Channel("a:b")}
	mustJoin(t, b, names...)
	for _, name := range append(names, session.All) {
		if n := count(t, other, "ws:"+name.String()); n != 1 {
			t.Errorf("PUBLISH to %v counted %d, want 1", name, n)
		}
		c := next(t, b)
		if len(c.To) != 1 || c.To[0] != name || string(c.Message.Data()) != "x" || c.Message.Binary() {
			t.Errorf("got %+v for %v", c, name)
		}
	}
	b.Leave(names)
	for _, name := range names {
		eventually(t, "unsubscribed from "+name.String(), func() bool { return count(t, other, "ws:"+name.String()) == 0 })
	}
	waitReady(t, b)
	if s := b.Stats(); s.Names != 0 || s.Epochs != 1 {
		t.Errorf("stats %+v", s)
	}
}

func TestPublishComesBackWhole(t *testing.T) {
	server, _ := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr(), PushLimit: 100})
	mustJoin(t, b, session.User("7"), session.Channel("a"))
	user := []session.Address{session.User("7")}
	tests := []struct {
		name    string
		command session.Command
		fast    bool
	}{
		{"one text", text(session.User("7"), "hello"), true},
		{"empty text", text(session.User("7"), ""), true},
		{"text over the limit", text(session.User("7"), strings.Repeat("x", 101)), false},
		{"binary", session.Command{To: user, Message: session.NewMessage(true, []byte{0, 255})}, false},
		{"two addresses", session.Command{To: append(user, session.Channel("a")), Message: session.NewMessage(false, []byte("m"))}, false},
		{"except", session.Command{To: user, Except: []session.Address{session.Conn("x")}, Message: session.NewMessage(false, []byte("m"))}, false},
		{"close", session.Command{To: user, Close: &session.Close{Code: 4001, Reason: "bye"}}, false},
		{"join and leave", session.Command{To: user, Join: []string{"b"}, Leave: []string{"*"}}, false},
		{"purge", session.Command{Purge: []string{"/ws"}}, false},
		{"purge and text", session.Command{To: user, Purge: []string{"/ws", "*"}, Message: session.NewMessage(false, []byte("m"))}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before := b.Stats().ReceivedFast
			if err := b.Publish(context.Background(), tt.command); err != nil {
				t.Fatal(err)
			}
			got, _ := next(t, b).Encode()
			want, _ := tt.command.Encode()
			if string(got) != string(want) {
				t.Errorf("got %s, want %s", got, want)
			}
			if fast := b.Stats().ReceivedFast > before; fast != tt.fast {
				t.Errorf("published as plain text: got %v, want %v", fast, tt.fast)
			}
		})
	}
}

// A clock that is set must neither end the time after a join early, nor make it hours.
func TestTheTimeAfterAJoinIsByAClockThatIsNotSet(t *testing.T) {
	server, _ := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	mustJoin(t, b, session.User("7"))
	if err := b.Publish(t.Context(), session.Command{To: []session.Address{session.User("7")}, Join: []string{"b"}}); err != nil {
		t.Fatal(err)
	}
	if at := *b.joined.Load(); at == at.Round(0) {
		t.Errorf("%v is of the wall clock only", at)
	}
	if b.fast(text(session.User("7"), "hello")) {
		t.Error("a push is plain text right after a join")
	}
}

func TestBadPayloadsAreDropped(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{
		URL: "redis://" + server.Addr(), PushLimit: 10,
		Relays: []Relay{{Pattern: "pub.*", To: "channel:{name}"}},
	})
	waitReady(t, b)
	bad := []struct{ channel, payload string }{
		{"ws:all", "\xff"},
		{"ws:all", "12345678901"},
		{"pub.a", "\xff"},
		{"pub.a,b", "x"}, // not a name
		{"pub.", "x"},
		{"ws:command", ""},
		{"ws:command", "\xff"},
		{"ws:command", `{"data":"no address"}`},
		{"ws:command", `[{"to":"all","data":"x"},{"to":"unknown"}]`},
	}
	for _, p := range bad {
		if err := other.Publish(context.Background(), p.channel, p.payload).Err(); err != nil {
			t.Fatal(err)
		}
	}
	nothingBefore(t, b, "marker")
	s := b.Stats()
	got := []uint64{s.DroppedNotUTF8, s.DroppedTooLarge, s.DroppedAddress, s.DroppedCommand}
	if want := []uint64{2, 1, 2, 4}; !slices.Equal(got, want) {
		t.Errorf("dropped: not UTF-8, too large, address, command: got %v, want %v", got, want)
	}
}

func TestUnknownFieldsOfCommandsAreIgnored(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	waitReady(t, b)
	other.Publish(context.Background(), "ws:command", `{"to":"all","data":"x","later":1}`)
	if got := string(next(t, b).Message.Data()); got != "x" {
		t.Errorf("got %q", got)
	}
}

func TestAllPrefixesAreSubscribedAndTheFirstIsPublished(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{
		URL: "redis://" + server.Addr(), Prefixes: []string{"ws:", "laravel_database_ws:"},
		Relays: []Relay{{Pattern: "pub.*.end", To: "channel:{name}"}},
	})
	mustJoin(t, b, session.User("7"), session.Channel("a"))
	for _, channel := range []string{
		"ws:user:7", "laravel_database_ws:user:7", "ws:all", "laravel_database_ws:all", "pub.a.end",
	} {
		if n := count(t, other, channel); n != 1 {
			t.Errorf("PUBLISH %s counted %d, want 1", channel, n)
		}
		next(t, b)
	}
	other.Publish(context.Background(), "laravel_database_ws:command", `{"to":"user:7","data":"json"}`)
	if got := string(next(t, b).Message.Data()); got != "json" {
		t.Errorf("got %q", got)
	}
	if err := b.Publish(context.Background(), text(session.User("7"), "own")); err != nil {
		t.Fatal(err)
	}
	if got := string(next(t, b).Message.Data()); got != "own" {
		t.Errorf("got %q", got)
	}
	nothingBefore(t, b, "once")
	b.Leave([]session.Address{session.User("7")})
	for _, prefix := range b.cfg.Prefixes {
		eventually(t, prefix+" left", func() bool { return count(t, other, prefix+"user:7") == 0 })
	}
}

func TestCommandsKeepTheOrderOfRedis(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	mustJoin(t, b, session.Channel("a"))
	const n = 2000
	sent := make(chan error, 1)
	go func() {
		for i := range n {
			channel, payload := "ws:channel:a", fmt.Sprint(i)
			if i%3 == 0 {
				channel, payload = "ws:command", fmt.Sprintf(`{"to":"channel:a","data":%d}`, i)
			}
			if err := other.Publish(context.Background(), channel, payload).Err(); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	for i := range n {
		if got := string(next(t, b).Message.Data()); got != fmt.Sprint(i) {
			t.Fatalf("got %s, want %d", got, i)
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

func TestEmbeddedServerIsOpenToOthers(t *testing.T) {
	b := newTestBus(t, Config{URL: "embedded", Listen: "127.0.0.1:0"})
	mustJoin(t, b, session.User("7"))
	other := newPublisher(t, "redis://"+b.EmbeddedAddr())
	if n := count(t, other, "ws:user:7"); n != 1 {
		t.Errorf("counted %d, want 1", n)
	}
	next(t, b)
}

func TestEverythingIsSubscribedAgainAfterALoss(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr(), Confirm: patience})
	mustJoin(t, b, session.User("7"))
	for restart := range 3 {
		server.Close()
		waitNotReady(t, b)
		joined := make(chan bool, 1)
		name := session.Channel(fmt.Sprint(restart))
		eventually(t, "down", func() bool { return b.Stats().State == "down" })
		if b.Join(context.Background(), []session.Address{name}) {
			t.Error("join confirmed while Redis is down")
		}
		wantError(t, b.Publish(context.Background(), text(session.All, "x")), ErrDown)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
		go func() { joined <- b.Join(context.Background(), []session.Address{name}) }()
		waitReady(t, b)
		<-joined
		for _, name := range []string{"ws:user:7", "ws:" + name.String(), "ws:all"} {
			if n := count(t, other, name); n != 1 {
				t.Errorf("restart %d: PUBLISH %s counted %d, want 1", restart, name, n)
			}
			next(t, b)
		}
	}
}

func TestIdleConnectionIsPinged(t *testing.T) {
	server, _ := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	waitReady(t, b)
	start := time.Now()
	eventually(t, "an answer to PING", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.heard.Sub(start) > pingAfter/2
	})
	if err := b.Ready(); err != nil {
		t.Error(err)
	}
	if got := b.Stats().Epochs; got != 1 {
		t.Errorf("got %d epochs, want 1", got)
	}
}

func TestNewDoesNotWaitForRedis(t *testing.T) {
	server, _ := newServer(t)
	addr := server.Addr()
	server.Close()
	b := newTestBus(t, Config{URL: "redis://" + addr})
	b.Join(context.Background(), []session.Address{session.User("7")})
	if err := b.Ready(); err == nil {
		t.Error("ready without Redis")
	}
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	waitReady(t, b)
	if s := b.Stats(); s.NamesConfirmed != 1 {
		t.Errorf("stats %+v", s)
	}
}

// A waiting join may be the reason why Redis is not read.
func TestJoinsDoNotWaitForThemselves(t *testing.T) {
	server, other := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr(), Confirm: time.Hour})
	waitReady(t, b)
	const pushes = 40
	published := make(chan error, 1)
	go func() {
		for range pushes {
			if err := other.Publish(context.Background(), "ws:all", strings.Repeat("x", 1<<20)).Err(); err != nil {
				published <- err
				return
			}
		}
		published <- nil
	}()
	eventually(t, "a full queue", func() bool { return b.waits.Load() > 0 })
	if b.Join(context.Background(), []session.Address{session.User("7")}) {
		t.Error("a join is confirmed while Redis is not read")
	}
	for range pushes {
		next(t, b)
	}
	if err := <-published; err != nil {
		t.Error(err)
	}
	eventually(t, "the name to be confirmed", func() bool { return b.Stats().NamesConfirmed == 1 })
	mustJoin(t, b, session.User("8"))
}

func TestCloseReleasesJoinsAndTheReader(t *testing.T) {
	server, _ := newServer(t)
	addr := server.Addr()
	server.Close()
	b, err := New(Config{URL: "redis://" + addr, Confirm: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b.Listen(func(*session.Command) func(context.Context) error { return nil })
	const joiners = 10
	results := make(chan bool, joiners)
	for range joiners {
		go func() { results <- b.Join(context.Background(), []session.Address{session.User("7")}) }()
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	for range joiners {
		if <-results {
			t.Error("join confirmed without Redis")
		}
	}
	wantError(t, b.Ready(), ErrClosed)
	wantError(t, b.Publish(context.Background(), text(session.All, "x")), ErrClosed)
	if b.Join(context.Background(), []session.Address{session.User("7")}) {
		t.Error("join confirmed after close")
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// A command that was published while the connection was lost may have been a purge.
func TestEachConnectionBeginsWithAPurge(t *testing.T) {
	server, _ := newServer(t)
	b := newTestBus(t, Config{URL: "redis://" + server.Addr()})
	for epoch := range int64(3) {
		waitReady(t, b)
		eventually(t, "the purge of a new connection", func() bool { return b.gaps.Load() == epoch+1 })
		nothingBefore(t, b, "marker")
		if got := b.gaps.Load(); got != epoch+1 {
			t.Fatalf("%d purges of %d connections", got, epoch+1)
		}
		server.Close()
		_ = waitNotReady(t, b)
		if err := server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
}
