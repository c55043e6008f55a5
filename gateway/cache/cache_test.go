package cache

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/session"
)

// world is a cache whose messages have a text as their key and headers.
type world struct {
	*Cache
	t     *testing.T
	stats Stats
}

func newWorld(t *testing.T) *world {
	w := &world{t: t}
	w.Cache = New(1<<20, &w.stats)
	return w
}

// question asks for a text with the values of headers, "name=value".
func question(text string, headers ...string) Question {
	return Question{
		Key: Parts(nil).Add(text).Key(),
		Vary: func(names []string) Key {
			p := Parts(nil).Add(text)
			for _, name := range names {
				value, present := "", false
				for _, h := range headers {
					if v, ok := strings.CutPrefix(h, name+"="); ok {
						value, present = v, true
					}
				}
				p = p.Add(name).AddOptional(value, present)
			}
			return p.Key()
		},
		Wait: 10 * time.Second,
	}
}

func message(text string) *session.Message { return session.NewMessage(false, []byte(text)) }

// run wants a question to lead to a run.
func (w *world) run(q Question) *Run {
	w.t.Helper()
	m, run, err := w.Ask(q)
	if run == nil {
		w.t.Fatalf("got the answer %s, %v, want a run", text(m), err)
	}
	return run
}

// answered wants a question to have a stored answer.
func (w *world) answered(q Question, want string) {
	w.t.Helper()
	m, run, err := w.Ask(q)
	if text(m) != want {
		w.t.Fatalf("got %s, %v, %v, want the answer %s", text(m), run, err, want)
	}
}

// twice stores an answer, which takes two runs.
func (w *world) twice(q Question, answer string, age time.Duration, vary ...string) {
	w.t.Helper()
	for range 2 {
		w.run(q).Store(message(answer), age, vary)
	}
}

func text(m *session.Message) string {
	if m == nil {
		return "none"
	}
	return string(m.Data())
}

// waiting starts a question in the background. Its run, if it has one, is given to act.
func (w *world) waiting(q Question, act func(*Run)) (end func() string) {
	answer := make(chan string, 1)
	go func() {
		m, run, err := w.Ask(q)
		switch {
		case err != nil:
			answer <- err.Error()
		case run != nil:
			act(run)
			answer <- "ran"
		default:
			answer <- text(m)
		}
	}()
	return func() string { return <-answer }
}

func TestAnAnswerIsStoredAtTheSecondMiss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.run(q).Store(message("1"), time.Minute, nil)
		w.run(q).Store(message("2"), time.Minute, nil)
		w.answered(q, "2")
		time.Sleep(time.Minute - 1)
		w.answered(q, "2")
		time.Sleep(time.Nanosecond)
		w.run(q).Store(message("3"), time.Minute, nil)
		w.answered(q, "3")
		w.run(question("other")).Close()
		if h, m, b := w.stats.Hits.Load(), w.stats.Misses.Load(), w.Bytes(); h != 3 || m != 4 || b <= 0 {
			t.Errorf("got %d hits, %d misses, %d bytes", h, m, b)
		}
	})
}

func TestVaryParts(t *testing.T) {
	w := newWorld(t)
	german, french, none := question("prices", "lang=de"), question("prices", "lang=fr"), question("prices")
	empty := question("prices", "lang=")
	w.twice(german, "Preise", time.Minute, "lang")
	w.answered(german, "Preise")
	for _, q := range []Question{french, none, empty} {
		w.run(q).Close()
	}
	w.run(none).Store(message("prices"), time.Minute, []string{"lang"})
	w.answered(none, "prices")
	w.run(empty).Close()
	w.run(french).Store(message("prix"), time.Minute, nil) // it forgot Vary: the key goes on varying by it
	w.answered(french, "prix")
	w.answered(german, "Preise")
	w.run(question("prices", "lang=it")).Store(message("prezzi"), time.Minute, []string{"lang", "user"})
	w.run(question("prices", "lang=it", "user=1")).Close()
	w.answered(question("prices", "lang=it"), "prezzi")
}

// A run whose answer varies by a further name answers none of those that wait: they may differ
// in it.
func TestAFurtherNameInVaryFreesThoseThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		german, french := question("prices", "lang=de"), question("prices", "lang=fr")
		w.twice(german, "1", time.Minute)
		w.Purge()
		runner := w.run(german)
		end := w.waiting(french, func(r *Run) { r.Store(message("prix"), time.Minute, []string{"lang"}) })
		synctest.Wait()
		runner.Store(message("Preise"), time.Minute, []string{"lang"})
		if got := end(); got != "ran" {
			t.Errorf("got %s, which is for another language", got)
		}
		w.answered(german, "Preise")
		w.answered(french, "prix")
	})
}

func TestOnlyMessagesOfAStorableKeyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		first, second := w.run(q), w.run(q) // at once: nothing is known of the key
		first.Store(message("1"), time.Second, nil)
		second.Store(message("1"), time.Second, nil)
		w.Purge()
		runner := w.run(q)
		var ends []func() string
		for range 1000 {
			ends = append(ends, w.waiting(q, func(*Run) { t.Error("a second run") }))
		}
		synctest.Wait()
		runner.Store(message("2"), time.Second, nil)
		for _, end := range ends {
			if got := end(); got != "2" {
				t.Fatalf("got %s, want 2", got)
			}
		}
		if waits := w.stats.Waits.Load(); waits != 1000 {
			t.Errorf("%d waits", waits)
		}
	})
}

func TestAPrivateAnswerFreesAllAndMarksTheKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.twice(q, "1", time.Second)
		w.Purge()
		runner := w.run(q)
		atOnce := make(chan struct{})
		var ends []func() string
		for range 8 {
			ends = append(ends, w.waiting(q, func(r *Run) { <-atOnce; r.Refuse() }))
		}
		synctest.Wait()
		runner.Refuse()
		synctest.Wait() // all eight run now: none waits for another
		if misses := w.stats.Misses.Load(); misses != 2+1+8 {
			t.Errorf("%d runs", misses)
		}
		close(atOnce)
		for _, end := range ends {
			if got := end(); got != "ran" {
				t.Errorf("got %s", got)
			}
		}
		first, second := w.run(q), w.run(q)
		first.Store(message("2"), time.Hour, nil) // within the two minutes: passed by
		second.Close()
		w.run(q).Close()
		time.Sleep(privateFor + 1)
		first, second = w.run(q), w.run(q) // as for a new key
		first.Store(message("3"), time.Hour, nil)
		second.Store(message("3"), time.Hour, nil)
		w.answered(q, "3")
	})
}

func TestAfterAFailureOneSuccessorRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.twice(q, "1", time.Second)
		w.Purge()
		runner := w.run(q)
		var running, ran atomic.Int32
		fail := make(chan struct{})
		var ends []func() string
		for range 10 {
			ends = append(ends, w.waiting(q, func(r *Run) {
				running.Add(1)
				defer r.Close()
				<-fail
				running.Add(-1)
				ran.Add(1)
			}))
		}
		synctest.Wait()
		runner.Close()
		for range successors {
			synctest.Wait()
			if n := running.Load(); n != 1 {
				t.Fatalf("%d run after a failure, want 1", n)
			}
			fail <- struct{}{}
		}
		synctest.Wait()
		if n := running.Load(); n != 10-successors {
			t.Fatalf("%d run after three failures, want all others", n)
		}
		close(fail)
		for _, end := range ends {
			end()
		}
		w.run(q).Close() // and nothing is left of them
		if len(w.flights) != 0 {
			t.Errorf("%d flights are left", len(w.flights))
		}
	})
}

func TestASuccessorAnswersTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.twice(q, "1", time.Second)
		w.Purge()
		runner := w.run(q)
		var ends []func() string
		for range 10 {
			ends = append(ends, w.waiting(q, func(r *Run) {
				if r.Waited != 3*time.Second {
					t.Errorf("has waited %v, want 3s", r.Waited)
				}
				r.Store(message("2"), time.Minute, nil)
			}))
		}
		synctest.Wait()
		time.Sleep(3 * time.Second)
		func() { // a panic in the runner
			defer func() { _ = recover() }()
			defer runner.Close()
			panic("a bug")
		}()
		got := make(map[string]int)
		for _, end := range ends {
			got[end()]++
		}
		if got["ran"] != 1 || got["2"] != 9 {
			t.Errorf("got %v", got)
		}
		w.answered(q, "2")
	})
}

func TestTheWaitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.twice(q, "1", time.Second)
		w.Purge()
		runner := w.run(q)
		began := time.Now()
		if _, _, err := w.Ask(q); !errors.Is(err, ErrWait) || time.Since(began) != q.Wait {
			t.Errorf("got %v after %v", err, time.Since(began))
		}
		runner.Close()
		if len(w.flights) != 0 {
			t.Error("a flight is left")
		}
	})
}

func TestPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		q := question("prices")
		w.twice(q, "1", time.Hour)
		w.Purge()
		old := w.run(q)
		before := w.waiting(q, func(*Run) { t.Error("it does not run") })
		synctest.Wait()
		w.Purge()
		fresh := w.run(q) // a message after the purge does not wait for a run before it
		after := w.waiting(q, func(*Run) { t.Error("it does not run") })
		synctest.Wait()
		fresh.Store(message("new"), time.Hour, nil)
		if got := after(); got != "new" {
			t.Errorf("after the purge: got %s", got)
		}
		old.Store(message("old"), time.Hour, nil)
		if got := before(); got != "old" {
			t.Errorf("before the purge: got %s", got)
		}
		w.answered(q, "new")
	})
}

func TestTheCacheIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range 5000 {
		w.twice(question(fmt.Sprint(i)), strings.Repeat("x", 1000), time.Hour)
		if w.Bytes() > w.size || w.entries.bytes > w.entries.most || w.marks.bytes > w.marks.most {
			t.Fatalf("%d answers take %d bytes", i, w.Bytes())
		}
	}
	w.answered(question("4999"), strings.Repeat("x", 1000))
	w.run(question("0")).Close()

	// Texts that clients make up are marked once and push no answer out.
	asked := question("4999")
	for i := range 100_000 {
		w.run(question(fmt.Sprint("made up ", i))).Store(message("y"), time.Hour, nil)
		if i%1000 == 0 {
			w.answered(asked, strings.Repeat("x", 1000))
		}
	}

	large := question("large")
	for range 3 {
		if w.run(large).Store(message(strings.Repeat("x", 1<<20/answerShare/forms)), time.Hour, nil) {
			t.Error("an answer of more than a sixteenth was stored")
		}
	}
}

func TestPartsAreApart(t *testing.T) {
	seen := make(map[Key]string)
	for name, p := range map[string]Parts{
		"ab, c": Parts(nil).Add("ab").Add("c"), "a, bc": Parts(nil).Add("a").Add("bc"), "abc": Parts(nil).Add("abc"),
		"abc, none": Parts(nil).Add("abc").AddOptional("", false), "abc, empty": Parts(nil).Add("abc").AddOptional("", true),
		"abc, ''": Parts(nil).Add("abc").Add(""), "nothing": nil,
	} {
		if other, twice := seen[p.Key()]; twice && name != "abc, ''" && other != "abc, ''" {
			t.Errorf("%s and %s have one key", name, other)
		}
		seen[p.Key()] = name
	}
}
