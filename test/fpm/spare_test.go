package fpm

import (
	"fmt"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// spared starts two pools of four workers, the second the spare of the first.
func spared(t *testing.T, lines string, rows ...string) (local, spare *stack.FPMServer, w *world) {
	t.Helper()
	local, spare = stack.FPM(t, stack.FPMOptions{Children: 4}), stack.FPM(t, stack.FPMOptions{Children: 4})
	return local, spare, startSpared(t, local, spare, lines, rows...)
}

func startSpared(t *testing.T, local, spare *stack.FPMServer, lines string, rows ...string) *world {
	t.Helper()
	return start(t, setup{
		fpm:   local,
		pool:  own(4) + fmt.Sprintf("[fpm.spare]\naddress = %q\n", spare.Address) + own(4),
		route: "fpm = [\"default\", \"spare\"]\n" + lines,
	}, rows...)
}

// proxied starts a pool of four workers behind a TCP proxy, which accepts connections
// while the pool is down and closes them at once. front has the proxy's address.
func proxied(t *testing.T) (local, front *stack.FPMServer) {
	t.Helper()
	local = stack.FPM(t, stack.FPMOptions{Children: 4, TCP: true})
	proxy := stack.Proxy(t, strings.TrimPrefix(local.Address, "tcp:"))
	copied := *local
	copied.Address = "tcp:" + proxy.Addr
	return local, &copied
}

// passed is how many events the first pool did not take.
func (w *world) passed() float64 {
	return w.Metric(w.t, "wsfpm_fpm_failovers_total", `fpm="default"`)
}

// close ends the clients' connections.
func (c crowd) close() {
	for _, m := range c {
		m.Close(1000, "")
	}
}

// left wants the disconnect event of each to have run.
func (c crowd) left(t *testing.T) {
	t.Helper()
	for _, m := range c {
		stack.Wait(t, "the disconnect of "+m.id, func() bool { return len(m.w.ledger.begun(m.id, "disconnect")) == 1 })
	}
}

func TestAPoolDiesUnderLoad(t *testing.T) {
	local, _, w := spared(t, "", "2.failover", "2.failover-sent", "2.failover-disconnect", "2.failover-back", "2.failover-seen", "1.message-once")
	clients, leavers := w.crowd(12), w.crowd(4)
	for range 20 {
		clients.ask("sleep 5")
	}
	stack.Wait(t, "the load", func() bool { return len(w.ledger.begun("", "message")) > 40 })
	local.KillMaster()() // and its workers, with what they run
	leavers.close()
	came := w.crowd(4)
	came.ask("hello")
	came.allAnswered(t, "who came to the spare")
	if cut := clients.answers(); cut > 4 {
		t.Errorf("%d events failed, want those that the four workers had", cut)
	}
	clients.ask("hello")
	clients.allAnswered(t, "on the spare")
	leavers.left(t)
	if w.passed() == 0 {
		t.Error("no event is counted that the first pool did not take")
	}
	w.Logged(t, 1, "warn", "events go to a spare pool")

	local.Start(t)
	before := w.Metric(t, "wsfpm_fpm_completed_total", `fpm="default"`)
	stack.Wait(t, "the first pool to be used again", func() bool {
		clients[0].does("hello")
		return w.Metric(t, "wsfpm_fpm_completed_total", `fpm="default"`) > before
	})
	stack.Wait(t, "the log to say so", func() bool {
		clients[0].does("sleep 100")
		return len(w.LogLines("info", "pool takes events again")) == 1
	})
	append(clients, came...).leave(t)
}

func TestBothPoolsAreDown(t *testing.T) {
	local, spare, w := spared(t, "", "2.failover-none", "2.failover-disconnect")
	clients, leavers := w.crowd(4), w.crowd(2)
	local.Stop()
	spare.Stop()
	clients.ask("hello")
	equal(t, "events that failed", clients.answers(), len(clients))
	equal(t, "status of a connect", stack.Refused(t, w.URL+"/ws", stack.DialOptions{}).Status, 502)
	leavers.close()
	stack.Wait(t, "their events to wait", func() bool { return w.Metric(t, "wsfpm_disconnects_waiting", `fpm="default"`) == 2 })
	spare.Start(t)
	clients.recovers(t)
	leavers.left(t)
	clients.leave(t)
}

func TestAPoolBehindAProxyDies(t *testing.T) {
	local, front := proxied(t)
	w := startSpared(t, front, stack.FPM(t, stack.FPMOptions{Children: 4}), "", "2.failover-proxy", "2.failover-disconnect", "2.failover-back")
	clients, leavers := w.crowd(12), w.crowd(4)
	local.Stop()
	clients.ask("hello")
	if cut := clients.answers(); cut > 4 {
		t.Errorf("%d events failed, want those of the four slots at most", cut)
	}
	leavers.close()
	leavers.left(t)
	came := w.crowd(4)
	clients = append(clients, came...)
	for range 10 {
		clients.ask("hello")
		clients.allAnswered(t, "on the spare")
	}
	up := func(want float64) func() bool {
		return func() bool { return w.Metric(t, "wsfpm_fpm_up", `fpm="default"`) == want }
	}
	stack.Wait(t, "the pool to be down", up(0))
	w.Logged(t, 1, "warn", "cannot be reached")

	local.Start(t)
	stack.Wait(t, "the pool to be up", up(1))
	before := w.Metric(t, "wsfpm_fpm_completed_total", `fpm="default"`)
	clients.ask("hello")
	clients.allAnswered(t, "on the first pool")
	equal(t, "events on the first pool", w.Metric(t, "wsfpm_fpm_completed_total", `fpm="default"`)-before, float64(len(clients)))
	clients.leave(t)
}

func TestAPoolBehindAProxyIsDownFromTheStart(t *testing.T) {
	local, front := proxied(t)
	local.Stop()
	w := startSpared(t, front, stack.FPM(t, stack.FPMOptions{Children: 4}), "", "2.failover-proxy")
	clients := w.crowd(8)
	clients.ask("hello")
	clients.allAnswered(t, "on the spare")
	clients.leave(t)
}

func TestAPoolHangsWithAnEventThatWasSent(t *testing.T) {
	local, _, w := spared(t, "timeout = \"1s\"", "2.failover-sent", "1.message-once")
	clients := w.crowd(2)
	clients[0].fails("gate never") // the script has begun
	resume := local.PauseWorkers(t)
	clients[1].fails("hello") // no worker has read it
	resume()
	stack.Wait(t, "the script that it was sent to", func() bool { return len(w.ledger.begun(clients[1].id, "message")) == 1 })
	w.open("never")
	clients.recovers(t)
	clients.leave(t)
	equal(t, "events that passed the first pool", w.passed(), 0)
}

func TestReloadsAddAndRemoveASpare(t *testing.T) {
	local, _, w := spared(t, "", "5.reload-spares", "5.reload-pools")
	with := w.ConfigText(t)
	table := with[strings.Index(with, "[fpm.spare]"):strings.Index(with, "[redis]")]
	without := strings.NewReplacer(table, "", `["default", "spare"]`, `"default"`).Replace(with)
	reload := func(text string) {
		t.Helper()
		w.WriteConfig(t, text)
		w.Reloaded(t)
	}
	clients := w.crowd(8)
	reload(without)
	clients.ask("sleep 100")
	reload(with)
	clients.allAnswered(t, "with a spare given to them")
	clients.ask("sleep 100")
	local.Stop()
	if cut := clients.answers(); cut > 4 {
		t.Errorf("%d events failed, want those that the four workers had", cut)
	}
	clients.ask("gate spare")
	stack.Wait(t, "the spare to be full", func() bool { return w.Metric(t, "wsfpm_fpm_in_use", `fpm="spare"`) == 4 })
	local.Start(t)
	reload(without)
	w.open("spare")
	clients.allAnswered(t, "with the spare taken away under them")
	clients.recovers(t)
	w.AwaitLog(t, "info", "let a pool go", "spare")
	clients.leave(t)
}
