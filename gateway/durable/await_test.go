package durable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/session"
)

func TestAwaitWaitsForAnEntryThatAnotherNodeHasRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, _, _ := loadedLog(t, f, Config{Confirm: time.Second})
		start := time.Now()
		for _, tt := range []struct {
			p    session.Position
			want bool
			took time.Duration
		}{
			{pos(101, 0, tagA), true, 0},
			{pos(50, 0, tagA), true, 0},
			{pos(102, 0, tagA), false, time.Second},
			{pos(10_102, 0, tagA), false, 0},
			{pos(102, 0, tagB), false, 0},
			{session.Position{}, false, 0},
		} {
			if got := l.Await(t.Context(), tt.p); got != tt.want || time.Since(start) != tt.took {
				t.Errorf("%v: got %v after %v, want %v after %v", tt.p, got, time.Since(start), tt.want, tt.took)
			}
			start = time.Now()
		}
		time.AfterFunc(300*time.Millisecond, func() { f.publish("all", "x") })
		if !l.Await(t.Context(), pos(102, 0, tagA)) {
			t.Error("an entry that comes is not awaited")
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if l.Await(ctx, pos(103, 0, tagA)) {
			t.Error("a context that has ended is waited for")
		}
	})
}

// A node that has just started must not report a gap to all that come back to it.
func TestAwaitWaitsWhileTheLogIsLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		for range 1000 {
			f.publish("all", "old")
		}
		l, _, _ := listen(t, Config{Store: f})
		if !l.Await(t.Context(), pos(1050, 0, tagA)) || !l.Loaded(t.Context()) {
			t.Error("an entry of the log is not known")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.down = errors.New("refused")
		l, _, _ := listen(t, Config{Store: f})
		start := time.Now()
		if l.Loaded(t.Context()) || l.Await(t.Context(), pos(100, 0, tagA)) {
			t.Error("loaded without Redis")
		}
		if took := time.Since(start); took > startSpread {
			t.Errorf("waited %v for a Redis that is down", took)
		}
	})
}

// A node that has started before Redis, too.
func TestALogThatIsLoadedAfterAnOutageIsAwaited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.publish(times(1000, "all", "old")...) // two rounds
		f.down = errors.New("refused")
		l, _, _ := listen(t, Config{Store: f})
		<-time.After(5 * time.Second)
		f.change(func() { f.down = nil })
		for l.Stats().Entries == 0 {
			<-time.After(time.Millisecond)
		}
		if !l.Newest().IsZero() {
			t.Fatal("it is loaded already")
		}
		if _, err := l.Append(t.Context(), []session.Command{text("x")}); err != nil {
			t.Errorf("append: %v", err)
		}
		if !l.Await(t.Context(), pos(1050, 0, tagA)) {
			t.Error("an entry of the log is not known")
		}
	})
}

// Entries may be so large that a round of them takes longer than a command may. Later rounds are
// as large as ever.
func TestRoundsThatDoNotComeThroughGetSmaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.publish(times(40, "all", "large")...)
		f.narrow = 1
		_, e, _ := listen(t, Config{Store: f})
		if got := await(e); got != "gap 140-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		f.change(func() { f.narrow = 0 })
		<-time.After(20 * block) // the limit doubles with each round
		f.publish(times(1000, "all", "x")...)
		<-time.After(20 * time.Millisecond)
		if got := strings.Count(e.heard(), "x to all"); got != 1000 {
			t.Errorf("%d entries came in two rounds", got)
		}
	})
}

func TestWithoutRedisTheLogLivesInTheProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, e, _ := listen(t, Config{})
		first := l.Newest()
		if err := l.Ready(); err != nil || first.IsZero() || first.Tag == session.NoTag {
			t.Fatalf("ready: %v at %v", err, first)
		}
		e.heard()
		at, err := l.Append(t.Context(), []session.Command{text("a"), text("b")})
		if err != nil || !at[0].After(first) || !at[1].After(at[0]) || at[1].Tag != first.Tag {
			t.Fatalf("got %v, %v after %v", at, err, first)
		}
		if got, want := e.heard(), "a to all, b to all, at "+at[1].String(); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
		if list, _, known := l.Since(first, []session.Address{session.All}, 10, nil); !known || len(list) != 2 {
			t.Errorf("got %v, %v", texts(list), known)
		}
		e.full = make(chan struct{})
		big := text(strings.Repeat("x", 1<<20))
		for range 40 { // 17 fill the log, and the reader may have taken 17 before it waits
			_, err = l.Append(t.Context(), []session.Command{big})
		}
		if !errors.Is(err, errLocalFull) || err.(*AppendError).Stored {
			t.Errorf("got %v while nothing is delivered", err)
		}
	})
}

func TestAnEntryOfTheFutureIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, _, _ := loadedLog(t, f, Config{})
		if got := l.Stats().Ahead; got != 0 {
			t.Errorf("got %v", got)
		}
		f.change(func() { f.last = 99_999_999_999_999; f.addLocked("to", "all", "data", "x") })
		<-time.After(time.Second)
		if got := l.Stats().Ahead; got < 1000*time.Hour {
			t.Errorf("got %v", got)
		}
	})
}
