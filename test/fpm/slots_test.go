package fpm

import (
	"testing"

	"wsfpm/test/stack"
)

// two starts a PHP-FPM of two workers for wsfpm alone.
func two(t *testing.T, route string, rows ...string) *world {
	t.Helper()
	return start(t, setup{fpm: stack.FPM(t, stack.FPMOptions{Children: 2}), pool: own(2), route: route}, rows...)
}

func TestWorkAfterAnAnswerDelaysNoOtherClient(t *testing.T) {
	w := two(t, "")
	clients := w.crowd(3)
	first, second, third := clients[0], clients[1], clients[2]
	for range 3 {
		second.does("hello")
		third.does("hello")
	}
	first.does("finish a") // its worker is now busy at the gate
	for range 20 {
		second.does("hello")
		third.does("hello")
	}
	first.does("hello") // its own next event may overlap what runs on
	second.does("finish b")
	third.ask("hello") // no worker is left
	stack.Wait(t, "an event to wait", func() bool { return w.waiting() == 1 })
	w.open("a")
	clients.allAnswered(t, "when a worker is back")
	w.open("b")
	clients.leave(t)
	equal(t, "scripts at once", w.ledger.peak(), 2)
}

func TestAScriptOverItsTimeoutKeepsItsSlot(t *testing.T) {
	w := two(t, `timeout = "2s"`, "5.timeout", "2.failure", "5.max-connections")
	clients := w.crowd(6)
	first, second, third := clients[0], clients[1], clients[2]
	first.fails("gate a")
	equal(t, "scripts that run on", w.Metric(t, "wsfpm_fpm_settling"), 1)
	for range 20 {
		second.does("hello")
		third.does("hello")
	}
	first.does("hello") // another worker takes it
	second.fails("gate b")
	equal(t, "scripts that run on", w.Metric(t, "wsfpm_fpm_settling"), 2)
	before := len(w.ledger.begun("", "message"))
	clients.ask("hello")
	stack.Wait(t, "everybody to wait", func() bool { return w.waiting() == len(clients) })
	equal(t, "scripts begun while both workers are busy", len(w.ledger.begun("", "message"))-before, 0)
	w.open("a")
	clients.allAnswered(t, "when a worker is back")
	w.open("b")
	clients.recovers(t)
	clients.leave(t)
	equal(t, "scripts at once", w.ledger.peak(), 2)
}

func TestAConnectOverItsTimeoutKeepsItsSlot(t *testing.T) {
	w := two(t, `timeout = "2s"`, "2.fpm-timeout")
	got := stack.Refused(t, w.URL+"/ws?do=gate+a", stack.DialOptions{})
	equal(t, "status", got.Status, 504)
	equal(t, "scripts that run on", w.Metric(t, "wsfpm_fpm_settling"), 1)
	clients := w.crowd(4)
	clients.ask("hello")
	clients.allAnswered(t, "beside the script that runs on")
	w.open("a")
	clients.leave(t)
	equal(t, "scripts at once", w.ledger.peak(), 2)
}

func TestWorkersThatComeLateAreAllUsedAgain(t *testing.T) {
	fpm, w := pool(t, stack.FPMOptions{}, "2.late-workers")
	clients := w.crowd(4)
	stack.Wait(t, "no kept connection", func() bool { return w.Metric(t, "wsfpm_fpm_idle") == 0 })
	before := w.Metric(t, "wsfpm_fpm_stalls_total") // a busy machine has some by itself
	resume := fpm.PauseWorkers(t)
	clients.ask("gate later")
	stack.Wait(t, "no worker to accept a connection", func() bool {
		// When a message comes after the pool has noticed, it waits for one that it believes in.
		return w.Metric(t, "wsfpm_fpm_stalls_total") >= before+4 || w.Metric(t, "wsfpm_fpm_limit") < 4
	})
	resume()
	stack.Wait(t, "everybody to run", func() bool { return len(w.ledger.begun("", "message")) == 4 })
	equal(t, "workers that the pool believes in", w.Metric(t, "wsfpm_fpm_limit"), 4)
	w.open("later")
	clients.allAnswered(t, "when the workers are back")
	clients.leave(t)
}

func TestFewerWorkersThanConfiguredAreFound(t *testing.T) {
	w := start(t, setup{fpm: stack.FPM(t, stack.FPMOptions{Children: 2}), pool: own(4)}, "2.fewer-workers")
	clients := w.crowd(6)
	clients.ask("gate later")
	stack.Wait(t, "the pool to work with two workers", func() bool { return w.Metric(t, "wsfpm_fpm_limit") == 2 })
	w.AwaitLog(t, "warn", "PHP-FPM has fewer free workers than max_connections (4): working with 2")
	w.open("later")
	clients.allAnswered(t, "by two workers")
	clients.leave(t)
	equal(t, "scripts at once", w.ledger.peak(), 2)
}
