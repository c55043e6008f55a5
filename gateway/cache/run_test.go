package cache

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestAPanicInStoreFreesThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.run(question("a")).Store(message("1"), time.Minute, nil)
		bad := question("a")
		vary := bad.Vary
		bad.Vary = func(names []string) Key {
			if len(names) > 0 {
				panic("a bug")
			}
			return vary(names)
		}
		r := w.run(bad)
		end := w.waiting(question("a"), func(next *Run) { next.Store(message("2"), time.Minute, nil) })
		synctest.Wait()
		func() {
			defer func() { _ = recover() }()
			defer r.Close()
			r.Store(message("1"), time.Minute, []string{"x"})
		}()
		if got := end(); got != "ran" {
			t.Errorf("the one that waited got %s, want that it runs", got)
		}
	})
}
