package durable

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"wsfpm/session"
)

func TestTheLogIsLoadedAndThenDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		for range 200 { // some rounds
			f.publish("user:7", "old")
		}
		l, e, _ := listen(t, Config{Store: f})
		if err := l.Ready(); !errors.Is(err, ErrNotLoaded) || !l.Newest().IsZero() {
			t.Errorf("ready: %v at %v before it is loaded", err, l.Newest())
		}
		if got := await(e); got != "gap 300-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		if err := l.Ready(); err != nil || l.Stats().State != "live" || l.Stats().Entries != 200 {
			t.Errorf("ready: %v, %+v", err, l.Stats())
		}
		f.publish("user:7", "a")
		if got := await(e); got != "a to user:7, at 301-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		if list, _, known := l.Since(pos(299, 0, tagA), []session.Address{session.User("7")}, 10, nil); len(list) != 2 || !known {
			t.Errorf("got %v, %v", texts(list), known)
		}
	})
}

// await lets time pass until something is heard.
func await(e *ear) string {
	for tries := 0; tries < 100; time.Sleep(50 * time.Millisecond) {
		if got := e.heard(); got != "" {
			return got
		}
		tries++
	}
	return ""
}

func TestALogWithoutEntriesGetsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, _ := listen(t, Config{Store: f})
		if got := await(e); got != "gap 101-0-aaaaaa" || f.appended != 1 || l.Newest() != pos(101, 0, tagA) {
			t.Errorf("heard %q after %d appends", got, f.appended)
		}
	})
}

func TestRoundsArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		_, e, _ := loadedLog(t, f, Config{})
		before := f.rounds.Load()
		for range 1000 {
			f.publish("all", "x")
			<-time.After(time.Millisecond)
		}
		if n := f.rounds.Load() - before; n < 50 || n > 101 {
			t.Errorf("got %d rounds within a second", n)
		}
		<-time.After(20 * time.Millisecond) // a round for the last ones
		if got := strings.Count(e.heard(), "x to all"); got != 1000 {
			t.Errorf("got %d", got)
		}
		before = f.rounds.Load()
		<-time.After(10 * time.Second)
		if n := f.rounds.Load() - before; n > 11 {
			t.Errorf("got %d rounds in 10 s without entries", n)
		}
	})
}

func TestAGapEmptiesTheWindowAndIsToldWhenItIsLoadedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, logged := loadedLog(t, f, Config{Confirm: 10 * time.Second})
		loads := make(chan struct{})
		f.change(func() { f.entries, f.loads = nil, loads; f.addLocked("to", "all", "data", "new") })
		synctest.Wait()
		<-time.After(20 * time.Millisecond)
		if got := e.heard(); got != "" || !l.Newest().IsZero() || l.Ready() == nil {
			t.Errorf("heard %q, at %v, ready %v", got, l.Newest(), l.Ready())
		}
		brief, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := l.Append(brief, []session.Command{text("x")}); !errors.Is(err, ErrNotLoaded) || err.(*AppendError).Stored {
			t.Errorf("append: got %v", err)
		}
		time.AfterFunc(2*time.Second, func() { close(loads) })
		if at, err := l.Append(t.Context(), []session.Command{text("y")}); err != nil || at[0] != pos(103, 0, tagA) {
			t.Errorf("append: got %v, %v, want it to wait until the log is loaded", at, err)
		}
		<-time.After(time.Second)
		if got := e.heard(); got != "gap 102-0-aaaaaa, y to all, at 103-0-aaaaaa" || l.Ready() != nil {
			t.Errorf("heard %q, ready %v", got, l.Ready())
		}
		if s := l.Stats(); s.Gaps[gapTrimmed] != 1 || s.Entries != 2 {
			t.Errorf("got %+v", s)
		}
		if n := logged.FilterMessageSnippet("gap").FilterLevelExact(zap.WarnLevel).Len(); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
}

func text(data string) session.Command {
	return session.Command{To: []session.Address{session.All}, Message: session.NewMessage(false, []byte(data))}
}

func TestANewNameOfTheHistoryIsNoGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, _ := loadedLog(t, f, Config{})
		f.change(func() { f.info = info(tagB, true); f.addLocked("to", "all", "data", "new") })
		if got := await(e); got != "renamed 101-0-bbbbbb, new to all, at 102-0-bbbbbb" {
			t.Errorf("heard %q", got)
		}
		if _, _, known := l.Since(pos(101, 0, tagA), nil, 1, nil); !known {
			t.Error("the former name is not known")
		}
	})
}

func TestALineToAReplicaIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, logged := loadedLog(t, f, Config{})
		f.change(func() { f.info = "role:slave\r\nmaster_replid:" + strings.Repeat("a", 40) + "\r\n" })
		<-time.After(3 * time.Second)
		if got := l.Stats().State; got != "down" || f.opened < 3 || l.Ready() != nil || l.Newest() != pos(101, 0, tagA) {
			t.Errorf("got state %s, %d lines, ready %v, at %v", got, f.opened, l.Ready(), l.Newest())
		}
		f.change(func() { f.info = info(tagA, true); f.addLocked("to", "all", "data", "new") })
		if got := await(e); got != "new to all, at 102-0-aaaaaa" || l.Stats().State != "live" {
			t.Errorf("heard %q, %s", got, l.Stats().State)
		}
		if n := logged.FilterMessageSnippet("interrupted").FilterLevelExact(zap.WarnLevel).Len(); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
}

func TestALogWithoutRightsIsShutWithOneWarning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.missing = []string{"+xtrim", "~ws:log"}
		l, e, logged := listen(t, Config{Store: f})
		<-time.After(5 * time.Minute)
		if got := e.heard(); got != "" || l.Ready() != nil || l.Stats().State != "shut" {
			t.Errorf("heard %q, ready %v, %s", got, l.Ready(), l.Stats().State)
		}
		if _, err := l.Append(t.Context(), []session.Command{text("x")}); !errors.Is(err, ErrNotLoaded) || !strings.Contains(err.Error(), "right") {
			t.Errorf("append: got %v", err)
		}
		warnings := logged.FilterLevelExact(zap.WarnLevel).All()
		if len(warnings) != 1 || warnings[0].ContextMap()["rights"] != "+xtrim ~ws:log" {
			t.Errorf("got %v", warnings)
		}
		f.change(func() { f.missing = nil })
		<-time.After(time.Minute)
		if got := e.heard(); got != "gap 101-0-aaaaaa" {
			t.Errorf("heard %q with the rights", got)
		}
	})
}

func TestARedisWithoutATagIsWarnedOfOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.info, f.refused = "", errors.New("NOPERM")
		_, e, logged := listen(t, Config{Store: f})
		if got := await(e); got != "gap 101-0-0" {
			t.Errorf("heard %q", got)
		}
		<-time.After(time.Minute)
		if n := logged.FilterMessageSnippet("+info").Len(); n != 1 {
			t.Errorf("%d warnings", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		_, e, logged := listen(t, Config{Store: f, NoTag: true})
		if got := await(e); got != "gap 101-0-0" || f.asked > 0 || logged.FilterMessageSnippet("+info").Len() > 0 {
			t.Errorf("heard %q, Redis was asked %d times for its tag", got, f.asked)
		}
	})
}

func TestTheLogIsReadAgainAfterAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.down = errors.New("refused")
		l, e, _ := listen(t, Config{Store: f})
		<-time.After(10 * time.Second)
		if err := l.Ready(); err == nil || !strings.Contains(err.Error(), "refused") {
			t.Errorf("ready: %v", err)
		}
		f.change(func() { f.down = nil })
		if got := await(e); got != "gap 101-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		f.change(func() { f.down = errors.New("reset") })
		<-time.After(10 * time.Second)
		if _, err := l.Append(t.Context(), []session.Command{text("x")}); err == nil || !err.(*AppendError).Stored {
			t.Errorf("append: got %v", err)
		}
		f.change(func() { f.down = nil; f.addLocked("to", "all", "data", "meanwhile") })
		if got := await(e); got != "meanwhile to all, at 102-0-aaaaaa" {
			t.Errorf("heard %q: nothing was lost", got)
		}
	})
}

func TestWithoutRoomTheLogIsNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		_, e, _ := loadedLog(t, f, Config{})
		full := make(chan struct{})
		e.full = full
		f.publish("all", "a", "all", "b")
		<-time.After(10 * time.Second)
		if got := e.heard(); got != "a to all" {
			t.Errorf("heard %q", got)
		}
		e.full = nil
		close(full)
		if got := await(e); got != "b to all, at 103-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
	})
}

func TestBadEntriesAreCountedAndLoggedWhenTheyAreNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		f.publish("nowhere", "old")
		l, e, logged := loadedLogAt(t, f)
		f.publish(append(times(100, `s:3:"all";`, "x"), "all", "good")...)
		if got := await(e); got != "good to all, at 203-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		if bad := l.Stats().Bad; bad[badEncoded] != 100 || bad[badTo] != 0 {
			t.Errorf("got %v", bad)
		}
		lines := logged.FilterMessageSnippet("dropped").All()
		if len(lines) != 5 || !strings.Contains(lines[0].ContextMap()["error"].(string), "OPT_SERIALIZER") {
			t.Errorf("got %v", lines)
		}
	})
}

func loadedLogAt(t *testing.T, f *fakeStore) (*Log, *ear, *observer.ObservedLogs) {
	t.Helper()
	f.publish("all", "old")
	l, e, logged := listen(t, Config{Store: f})
	await(e)
	return l, e, logged
}

func TestAFullWindowTrimsTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		_, e, _ := loadedLog(t, f, Config{Keep: 10 * time.Millisecond})
		f.publish("all", "x")
		<-time.After(time.Minute)
		if len(f.trimmed) > 0 {
			t.Errorf("trimmed to %v by a window that has room", f.trimmed)
		}
		f.publish(times(20, "all", "x")...)
		<-time.After(time.Minute)
		if len(f.trimmed) != 1 || f.trimmed[0] != "112-0" {
			t.Errorf("trimmed to %v, want once to the oldest of the window", f.trimmed)
		}
		e.heard()
	})
}

func TestAppendReturnsPositions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, _ := loadedLog(t, f, Config{PushLimit: 10})
		at, err := l.Append(t.Context(), []session.Command{text("a"), text("b")})
		if err != nil || len(at) != 2 || at[0] != pos(102, 0, tagA) || at[1] != pos(103, 0, tagA) || f.appended != 1 {
			t.Errorf("got %v, %v after %d appends", at, err, f.appended)
		}
		if got := await(e); got != "a to all, b to all, at 103-0-aaaaaa" {
			t.Errorf("heard %q", got)
		}
		if _, err := l.Append(t.Context(), []session.Command{text("a"), text("12345678901")}); err == nil || err.(*AppendError).Stored || f.appended != 1 {
			t.Errorf("got %v after %d appends", err, f.appended)
		}
		if s := l.Stats(); s.Appended != 2 || s.Failed != 2 || s.Read != 3 {
			t.Errorf("got %+v", s)
		}
	})
}
