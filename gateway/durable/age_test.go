package durable

import (
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/session"
)

// stored adds an entry with the time of the store's clock, moved by so much, and waits until
// it is heard.
func (f *fakeStore) stored(e *ear, moved time.Duration) {
	f.change(func() {
		f.last = max(f.last, uint64(time.Now().Add(f.skew+moved).UnixMilli()-1)) // as Redis: never back
		f.addLocked("to", "all", "data", "x")
	})
	await(e)
}

// A machine whose clock is wrong by hours knows how old an entry is.
func TestAgesAreByTheClockOfTheStore(t *testing.T) {
	for _, skew := range []time.Duration{-3 * time.Hour, 0, 3 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			f := newFakeStore()
			f.skew = skew
			f.last = uint64(time.Now().Add(skew - 20*time.Minute).UnixMilli())
			f.change(func() { f.addLocked("", "") })
			l, e, _ := listen(t, Config{Store: f})
			await(e)
			began := l.Newest()
			if got := l.Age(began); got != 0 {
				t.Errorf("skew %v: what follows the newest entry is %v old", skew, got)
			}
			f.stored(e, -10*time.Minute)
			time.Sleep(5 * time.Minute)
			if got := l.Age(began).Round(time.Second); got != 15*time.Minute {
				t.Errorf("skew %v: the entry is %v old, want 15m", skew, got)
			}
			if s := l.Stats(); s.Ahead != 0 || s.Lag > 11*time.Minute {
				t.Errorf("skew %v: %+v", skew, s)
			}
		})
	}
}

// After an id of the future Redis gives such ids to all entries. Older entries stay, and the
// later ones get old.
func TestAnIDOfTheFutureEndsNoBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeStore()
		l, e, _ := loadedLog(t, f, Config{Keep: 10 * time.Minute})
		f.stored(e, 0)
		first := l.Newest()
		f.stored(e, 1000*time.Hour)
		if _, _, known := l.Since(first, []session.Address{session.All}, 1, nil); !known || l.Age(first) > time.Second {
			t.Errorf("what was before an id of the future is gone, or is %v old", l.Age(first))
		}
		future := l.Newest()
		if s := l.Stats(); s.Ahead < 999*time.Hour {
			t.Errorf("it is %v ahead", s.Ahead)
		}
		time.Sleep(9 * time.Minute)
		f.stored(e, 0)
		if got := l.Age(first).Round(time.Minute); got != 9*time.Minute {
			t.Errorf("the entry of the future is %v old after 9m", got)
		}
		time.Sleep(2 * time.Minute)
		f.stored(e, 0)
		if _, _, known := l.Since(first, nil, 0, nil); known || l.Stats().Entries != 2 {
			t.Errorf("%d entries, want those of the last 10m", l.Stats().Entries)
		}
		if got := l.Age(future).Round(time.Minute); got != 2*time.Minute {
			t.Errorf("the one after it is %v old after 2m", got)
		}
	})
}
