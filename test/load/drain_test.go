package load

import (
	"fmt"
	"os"
	"testing"
	"time"

	"wsfpm/test/stack"
)

const (
	drainTime  = 30 * time.Second // the default
	drainLimit = drainTime + 5*time.Second
	drainShare = 0.06            // of the closes in any one second, where 1/30 is even
	backLimit  = 5 * time.Second // for a client that lost its socket
)

// restart is a node that ends while another takes its clients.
type restart struct {
	clients int
	every   time.Duration // between the messages of one client, about
	drain   time.Duration
	workers int // of PHP-FPM for each node; about all of them run scripts at any time
}

// node runs a gateway on the given pool with testdata/work.php.
func (r restart) node(t *testing.T, fpm *stack.FPMServer, dir, name string, drain time.Duration) *stack.GatewayServer {
	t.Helper()
	return stack.Gateway(t, stack.GatewayOptions{Node: name, FPM: fpm, Drain: drain.String(), LogLevel: "info",
		FPMLines: fmt.Sprintf("max_connections = %d\nmax_idle = %d", r.workers, r.workers),
		Limits:   "connections_per_address = 0\naccept_rate = 0",
		Routes:   fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", dir+"/work.php")})
}

// Ten thousand clients, of which some hundred send something every second: the
// first node ends, and the second takes all of them.
func TestSoakARestartWithTenThousandClients(t *testing.T) {
	begin(t, 11_000)
	g := promise(t, "G7", "G7", "graceful restart: no handler is lost, every close is 1012, all are back at once")
	took, guests := restart{clients: 10_000, every: 30 * time.Second, drain: drainTime, workers: 64}.run(t, g)
	if took > drainLimit {
		t.Errorf("the old node ended after %v, want %v at most", took, drainLimit)
	}
	share, typical, slowest := partings(t, guests)
	g.reached("all closes 1012, %.1f %% of them in the busiest second", 100*share)
	g.reached("clients back after %.1f s (median), %.1f s (the last)", sec(typical), sec(slowest))
}

func TestARestartLosesNoHandlerAndNoClient(t *testing.T) {
	begin(t, 1000)
	_, guests := restart{clients: 200, every: time.Second, drain: 2 * time.Second, workers: 8}.run(t, &goal{})
	for _, guest := range guests {
		guest.closedOnce(t)
	}
}

// run is the restart, and holds what clients have seen against what PHP ran.
func (r restart) run(t *testing.T, g *goal) (took time.Duration, guests []*guest) {
	t.Helper()
	dir := workScripts(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 2 * r.workers})
	old, young := r.node(t, fpm, dir, "old", r.drain), r.node(t, fpm, dir, "young", time.Second)
	h := &house{addresses: []string{old.Listen, young.Listen}, every: r.every, most: 150}
	guests = h.invite(t, r.clients)
	stack.Wait(t, "the load", func() bool { return old.Metric(t, "wsfpm_fpm_in_use") >= float64(r.workers/2) })

	running := old.Metric(t, "wsfpm_fpm_in_use") + old.Metric(t, "wsfpm_fpm_waiting")
	began := time.Now()
	h.ending.Store(true)
	old.Terminate()
	stack.WaitWithin(t, 2*drainLimit, "the old node to end", func() bool { return !old.Running() })
	took = time.Since(began)
	equal(t, "exit code", old.Exit(t), 0)
	stack.WaitWithin(t, drainLimit, "everybody at the new node", func() bool {
		return young.Metric(t, "wsfpm_connections") == float64(r.clients)
	})
	h.over.Store(true)
	h.living.Wait()
	empty(t, young)

	runs := ledger(t, dir+"/ledger")
	lost := unanswered(t, guests, runs)
	equal(t, "messages that PHP ran without an answer to the client", lost, 0)
	farewells(t, runs)
	equal(t, "disconnects with 1012 at the old node", disconnects(runs, "old")["1012"], r.clients)
	g.reached("%d sockets, %.0f events under way at SIGTERM, %d answers during the drain, %d handlers lost", r.clients, running, h.late.Load(), lost)
	g.reached("%d disconnect events, each once, exit 0 after %.1f s", r.clients, sec(took))
	return took, guests
}

// closedOnce fails the test unless a guest lost one connection, with 1012.
func (g *guest) closedOnce(t *testing.T) bool {
	t.Helper()
	if len(g.ends) == 1 && g.ends[0].code == 1012 {
		return true
	}
	t.Errorf("client %d was closed so: %v, want once with 1012", g.number, g.ends)
	return false
}

// workScripts is a folder with the scripts of testdata, which write their ledger there.
func workScripts(t *testing.T) string {
	t.Helper()
	sources := make(map[string]string)
	for _, name := range []string{"work.php", "ledger.php"} {
		source, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		sources[name] = string(source)
	}
	return stack.Scripts(t, sources)
}

// unanswered counts the messages that PHP has run and whose answer has not come.
// No client may get two answers, or one that PHP did not give.
func unanswered(t *testing.T, guests []*guest, runs []run) (lost int) {
	t.Helper()
	answers := make(map[string]int)
	for _, g := range guests {
		if g.err != nil {
			t.Error(g.err)
		}
		for _, tag := range g.answers {
			answers[tag]++
		}
	}
	for _, r := range runs {
		if r.event != "message" {
			continue
		}
		if answers[r.tag]--; answers[r.tag] < 0 {
			lost++
		}
	}
	for tag, n := range answers {
		if n > 0 {
			t.Errorf("the message %s was answered %d times more often than run", tag, n)
		}
	}
	return lost
}

// partings checks how the guests were closed and came back. It returns the
// share of the closes in the busiest second, and how long it took to be back.
func partings(t *testing.T, guests []*guest) (share float64, typical, slowest time.Duration) {
	t.Helper()
	var closed []time.Time
	var away []time.Duration
	for _, g := range guests {
		if !g.closedOnce(t) {
			continue
		}
		closed = append(closed, g.ends[0].at)
		away = append(away, g.ends[0].back.Sub(g.ends[0].at))
	}
	if share = busiest(closed); share > drainShare {
		t.Errorf("%.1f %% of the closes came in one second, want %.1f %% at most", 100*share, 100*drainShare)
	}
	slowest = quantile(away, 1)
	if most := quantile(away, 0.999); most > backLimit { // a shared machine stalls now and then
		t.Errorf("of a thousand clients one was back after %v, the last after %v, want %v at most", most, slowest, backLimit)
	}
	return share, median(away), slowest
}
