package once

import (
	"errors"
	"reflect"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func newGuard(s Store, name string) (*Guard, *node) {
	n := &node{name: name, dead: make(map[string]bool)}
	return New(Config{Store: s, Nodes: n, Patience: time.Second}), n
}

func message(data string) Request {
	return Request{
		Key: Key("ws:", "42", "k7"), Hash: Hash("/pay.php", []byte(data)),
		Keep: 2 * time.Minute, Longest: time.Minute, Wait: 30 * time.Second, Most: 16,
	}
}

// permitted asks for a run, which must be given.
func permitted(t *testing.T, g *Guard, second bool) *Run {
	t.Helper()
	run, v := g.Ask(t.Context(), message("pay"))
	if run == nil {
		t.Fatalf("got %+v, want a run", v)
	}
	if run.Second != second {
		t.Fatalf("second attempt: got %v, want %v", run.Second, second)
	}
	return run
}

func end(t *testing.T, run *Run, o Outcome, answer ...Message) (kept bool) {
	t.Helper()
	defer run.Release()
	kept, _ = run.End(t.Context(), o, answer)
	return kept
}

func text(s string) Message { return Message{Data: []byte(s)} }

func TestAnswerIsKeptForARepetition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, _ := newGuard(s, "b")
		want := []Message{text("paid"), {Binary: true, Data: []byte{0}}}
		if !end(t, permitted(t, a, false), Answered, want...) {
			t.Error("the answer was not kept")
		}
		for _, g := range []*Guard{a, b} {
			run, v := g.Ask(t.Context(), message("pay"))
			if run != nil || v.Kind != Answer || !v.Kept || !reflect.DeepEqual(v.Messages, want) {
				t.Errorf("got %v, %+v", run, v)
			}
			if run, v := g.Ask(t.Context(), message("pay more")); run != nil || v.Kind != Mismatch {
				t.Errorf("other data: got %v, %+v", run, v)
			}
		}
		time.Sleep(2 * time.Minute)
		end(t, permitted(t, a, false), Refused)
	})
}

func TestLargeAnswersAndStreamsAreOnlyNoted(t *testing.T) {
	for name, by := range map[string]func(*testing.T, *Run) bool{
		"large":  func(t *testing.T, r *Run) bool { return end(t, r, Answered, text("0123456789"), text("0123456")) },
		"stream": func(t *testing.T, r *Run) bool { return end(t, r, Done) },
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newGuard(newMemory(), "a")
			if by(t, permitted(t, g, false)) {
				t.Error("reported as kept")
			}
			if run, v := g.Ask(t.Context(), message("pay")); run != nil || v.Kind != Answer || v.Kept || v.Messages != nil {
				t.Errorf("got %v, %+v", run, v)
			}
		})
	}
}

func TestRefusedRunIsForgotten(t *testing.T) {
	s := newMemory()
	g, _ := newGuard(s, "a")
	end(t, permitted(t, g, false), Refused)
	if len(s.values) != 0 {
		t.Errorf("the store has %v", s.values)
	}
	end(t, permitted(t, g, false), Refused)
}

func TestUnclearRunStaysUnclear(t *testing.T) {
	s := newMemory()
	a, _ := newGuard(s, "a")
	b, _ := newGuard(s, "b")
	end(t, permitted(t, a, false), Unclear)
	end(t, permitted(t, b, true), Refused) // nothing was sent: the first may have run all the same
	end(t, permitted(t, a, true), Answered, text("paid"))
	if run, v := b.Ask(t.Context(), message("pay")); run != nil || v.Kind != Answer {
		t.Errorf("got %v, %+v", run, v)
	}
	if got, want := a.Stats(), (Stats{First: 1, Second: 1}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// An answer that could not be applied becomes unclear after it was kept.
func TestOutcomeMayBeReplaced(t *testing.T) {
	g, _ := newGuard(newMemory(), "a")
	run := permitted(t, g, false)
	if kept, err := run.End(t.Context(), Answered, []Message{text("paid")}); !kept || err != nil {
		t.Errorf("got %v, %v", kept, err)
	}
	end(t, run, Unclear)
	end(t, permitted(t, g, true), Refused)
}

func TestRepetitionWaitsForTheRun(t *testing.T) {
	for name, other := range map[string]string{"same process": "a", "another process": "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemory()
				a, _ := newGuard(s, "a")
				b := a
				if other == "b" {
					b, _ = newGuard(s, "b")
				}
				run := permitted(t, a, false)
				got := make(chan Verdict)
				go func() {
					_, v := b.Ask(t.Context(), message("pay"))
					got <- v
				}()
				time.Sleep(20 * time.Second)
				end(t, run, Answered, text("paid"))
				if v := <-got; v.Kind != Answer || string(v.Messages[0].Data) != "paid" {
					t.Errorf("got %+v", v)
				}
				if n := s.count(); n > 40 {
					t.Errorf("%d commands", n)
				}
			})
		})
	}
}

func TestRepetitionWaitsForABoundedTime(t *testing.T) {
	for name, other := range map[string]string{"same process": "a", "another process": "b"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newMemory()
				a, _ := newGuard(s, "a")
				b := a
				if other == "b" {
					b, _ = newGuard(s, "b")
				}
				run := permitted(t, a, false)
				start := time.Now()
				if _, v := b.Ask(t.Context(), message("pay")); v.Kind != Busy || time.Since(start) != 30*time.Second {
					t.Errorf("got %+v after %v", v, time.Since(start))
				}
				gone := make(chan struct{})
				time.AfterFunc(5*time.Second, func() { close(gone) })
				start = time.Now()
				r := message("pay")
				r.Gone = gone
				if _, v := b.Ask(t.Context(), r); v.Kind != Busy || time.Since(start) != 5*time.Second {
					t.Errorf("client left: got %+v after %v", v, time.Since(start))
				}
				end(t, run, Refused)
				end(t, permitted(t, b, false), Refused)
			})
		})
	}
}

func TestRunOfADeadProcessIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, ofB := newGuard(s, "b")
		permitted(t, a, false) // and never ended
		time.AfterFunc(10*time.Second, func() { ofB.setDead("a") })
		end(t, permitted(t, b, true), Answered, text("paid"))
	})
}

// A reply of the store may be lost when a run ends, and leave its token there.
func TestRunThatIsOverForCertainIsTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, _ := newGuard(s, "b")
		run := permitted(t, a, false)
		s.setDown(true)
		if kept, err := run.End(t.Context(), Answered, []Message{text("paid")}); kept || !errors.Is(err, errDown) {
			t.Errorf("got %v, %v", kept, err)
		}
		run.Release()
		s.setDown(false)
		time.Sleep(20 * time.Second)
		if run, v := b.Ask(t.Context(), message("pay")); run != nil || v.Kind != Busy {
			t.Errorf("before that: got %v, %+v", run, v)
		}
		time.Sleep(15 * time.Second)
		end(t, permitted(t, b, true), Refused)
	})
}

func TestOwnRunWithoutAnOutcomeIsTakenOverAtOnce(t *testing.T) {
	s := newMemory()
	g, _ := newGuard(s, "a")
	run := permitted(t, g, false)
	s.setDown(true)
	end(t, run, Answered, text("paid"))
	s.setDown(false)
	end(t, permitted(t, g, true), Refused)
}

func TestStoppedProcessLooksBeforeItSends(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		a, _ := newGuard(s, "a")
		b, ofB := newGuard(s, "b")
		run := permitted(t, a, false)
		time.Sleep(fresh / 2)
		calls := s.count()
		if err := run.Ready(t.Context()); err != nil || s.count() != calls {
			t.Errorf("soon after: %v, %d commands", err, s.count()-calls)
		}
		time.Sleep(fresh)
		if err := run.Ready(t.Context()); err != nil || s.count() != calls+1 {
			t.Errorf("later: %v, %d commands", err, s.count()-calls)
		}
		ofB.setDead("a")
		end(t, permitted(t, b, true), Answered, text("paid"))
		time.Sleep(fresh)
		if err := run.Ready(t.Context()); !errors.Is(err, errTakenOver) {
			t.Errorf("taken over: got %v", err)
		}
		end(t, run, Refused)
		if run, v := b.Ask(t.Context(), message("pay")); run != nil || v.Kind != Answer {
			t.Errorf("afterwards: got %v, %+v", run, v)
		}
	})
}

func TestNothingRunsWhileTheStoreIsDown(t *testing.T) {
	s := newMemory()
	g, _ := newGuard(s, "a")
	s.setDown(true)
	if run, v := g.Ask(t.Context(), message("pay")); run != nil || v.Kind != Busy || !errors.Is(v.Err, errDown) {
		t.Errorf("got %v, %+v", run, v)
	}
	s.setDown(false)
	end(t, permitted(t, g, false), Refused)
}

func TestUnreadableValueIsNotRun(t *testing.T) {
	s := newMemory()
	g, _ := newGuard(s, "a")
	s.set(message("pay").Key, "2|new format", time.Minute)
	if run, v := g.Ask(t.Context(), message("pay")); run != nil || v.Kind != Unknown || v.Err == nil {
		t.Errorf("got %v, %+v", run, v)
	}
}

func TestManyProcessesRunAMessageOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemory()
		s.slow = time.Millisecond
		var all sync.WaitGroup
		var mu sync.Mutex
		runs, answers := 0, 0
		for i := range 8 {
			g, _ := newGuard(s, string('a'+rune(i)))
			for range 4 {
				all.Go(func() {
					run, v := g.Ask(t.Context(), message("pay"))
					if run != nil {
						time.Sleep(time.Second)
						end(t, run, Answered, text("paid"))
					}
					mu.Lock()
					defer mu.Unlock()
					if run != nil {
						runs++
					} else if v.Kind == Answer {
						answers++
					}
				})
			}
		}
		all.Wait()
		if runs != 1 || answers != 31 {
			t.Errorf("%d runs, %d answers", runs, answers)
		}
	})
}
