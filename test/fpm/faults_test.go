package fpm

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// pool starts a PHP-FPM of four workers for wsfpm alone, and a gateway.
func pool(t *testing.T, opt stack.FPMOptions, rows ...string) (*stack.FPMServer, *world) {
	t.Helper()
	opt.Children = 4
	fpm := stack.FPM(t, opt)
	return fpm, start(t, setup{fpm: fpm, pool: own(4)}, rows...)
}

// restart is how long PHP-FPM may be away without an event failing for it.
const restart = time.Second

// faults are the ways in which PHP-FPM goes and comes back.
var faults = map[string]func(*testing.T, *stack.FPMServer){
	"restart": func(t *testing.T, fpm *stack.FPMServer) { fpm.Restart(t) },
	"reload":  func(t *testing.T, fpm *stack.FPMServer) { fpm.Reload(t) },
	"stop and start": func(t *testing.T, fpm *stack.FPMServer) {
		fpm.Stop()
		fpm.Start(t)
	},
}

func TestAFaultBetweenEventsHasNoEffect(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			fpm, w := pool(t, stack.FPMOptions{})
			clients := w.crowd(8)
			for range 3 {
				clients.ask("hello") // leaves connections that the fault will close
				clients.allAnswered(t, "before")
				fault(t, fpm)
			}
			clients.ask("hello")
			clients.allAnswered(t, "after")
			clients.leave(t)
		})
	}
}

func TestAFaultCostsWhatIsInFlightAndNothingElse(t *testing.T) {
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			fpm, w := pool(t, stack.FPMOptions{}, "2.failure", "1.message-once")
			clients := w.crowd(8)
			inFlight := clients.standAtGate(t, "later")
			clients.ask("hello") // after each
			began := time.Now()
			fault(t, fpm)
			short := time.Since(began) < restart
			w.open("later")
			for _, m := range clients {
				if inFlight[m] {
					m.failed()
				} else if !m.answer() && short {
					t.Error("an event in the queue failed")
				}
			}
			if failed := clients.answers(); failed > 0 && short {
				t.Errorf("%d events after others failed", failed)
			}
			clients.recovers(t)
			clients.leave(t)
		})
	}
}

func TestPHPFPMIsAwayForLong(t *testing.T) {
	fpm, w := pool(t, stack.FPMOptions{}, "2.fpm-down", "1.disconnect-retry", "2.on-error-message")
	clients, leavers := w.crowd(6), w.crowd(3)
	clients.standAtGate(t, "never")
	fpm.Stop()
	equal(t, "events that failed", clients.answers(), len(clients))
	clients.ask("hello")
	equal(t, "events that failed", clients.answers(), len(clients))
	if got := stack.Refused(t, w.URL+"/ws", stack.DialOptions{}); got.Status != 502 {
		t.Errorf("connect: got %d, want 502", got.Status)
	}
	for _, m := range leavers {
		m.Close(1000, "")
	}
	stack.Wait(t, "the leavers to be gone", func() bool { return int(w.Metric(t, "wsfpm_connections")) == len(clients) })
	equal(t, "disconnects", len(w.ledger.begun("", "disconnect")), 0)
	fpm.Start(t)
	clients.recovers(t)
	w.join("").does("hello")
	for _, m := range leavers {
		stack.Wait(t, "the disconnect of "+m.id, func() bool { return len(w.ledger.begun(m.id, "disconnect")) == 1 })
	}
	w.ledger.check()
}

func TestAWorkerDiesHalfWayThroughAnAnswer(t *testing.T) {
	for name, signal := range map[string]int{"SIGKILL": 9, "SIGSEGV": 11} {
		t.Run(name, func(t *testing.T) {
			_, w := pool(t, stack.FPMOptions{}, "2.failure")
			doomed, clients := w.crowd(2), w.crowd(6)
			for range 5 {
				clients.ask("hello")
				doomed.ask(fmt.Sprint("cut ", signal))
				clients.ask("hello")
				doomed.ask("hello")
				clients.allAnswered(t, "beside a worker that dies")
				for _, m := range doomed {
					m.failed()
				}
				doomed.allAnswered(t, "after a cut answer")
			}
			refused := stack.Refused(t, fmt.Sprintf("%s/ws?do=cut+%d", w.URL, signal), stack.DialOptions{})
			equal(t, "status of a cut connect", refused.Status, 502)
			slices.Concat(doomed, clients).recovers(t)
			slices.Concat(doomed, clients).leave(t)
		})
	}
}

func TestWorkersThatServeOneRequestOnly(t *testing.T) {
	for name, lines := range map[string]string{"kept connections": own(4), "stock": ""} {
		t.Run(name, func(t *testing.T) {
			fpm := stack.FPM(t, stack.FPMOptions{Children: 5, MaxRequests: 1})
			w := start(t, setup{fpm: fpm, pool: lines}, "1.message-once")
			clients := w.crowd(10)
			for range 10 {
				clients.ask("hello")
				clients.ask("hello")
				clients = append(clients, w.join(""))
				clients.allAnswered(t, "pm.max_requests = 1")
			}
			clients.leave(t)
		})
	}
}

// FPM counts the time in which a kept connection rests, so a short
// request_terminate_timeout kills workers that do nothing.
func TestWorkersThatPHPFPMKillsForTheirAge(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4, TerminateTimeout: 4 * time.Second})
	w := start(t, setup{fpm: fpm, pool: own(4) + "idle_timeout = \"10s\"\n"}, "2.failure")
	clients := w.crowd(4)
	clients.standAtGate(t, "first") // a worker for each
	w.open("first")
	clients.allAnswered(t, "fresh workers")
	old := fpm.Workers()
	for _, m := range clients[:2] {
		m.ask("gate never")
	}
	for _, m := range clients[:2] {
		m.failed() // cut after four seconds
	}
	stack.Wait(t, "the resting workers to be killed", func() bool {
		return !slices.ContainsFunc(fpm.Workers(), func(pid int) bool { return slices.Contains(old, pid) })
	})
	clients.ask("sleep 50")
	clients.allAnswered(t, "after their workers were killed")
	clients.leave(t)
}
