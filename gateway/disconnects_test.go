package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/test/fcgitest"
)

// flaky is a gateway whose PHP-FPM can be stopped and started.
type flaky struct {
	*harness
	socket string
	fpm    *fcgitest.Server

	mu   sync.Mutex // guards what follows
	left []string   // users, in the order of their disconnect events
}

func startFlaky(t *testing.T, change func(*config.Config)) *flaky {
	t.Helper()
	dir, err := os.MkdirTemp("", "fpm") // shorter than t.TempDir, as a socket's path must be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	f := &flaky{socket: filepath.Join(dir, "sock")}
	f.startFPM()
	f.harness = start(t, echo, func(c *config.Config) {
		c.FPM["default"].Network, c.FPM["default"].Addr = "unix", f.socket
		c.FPM["default"].QueueWait = config.Duration(time.Millisecond)
		if change != nil {
			change(c)
		}
	})
	t.Cleanup(func() { f.fpm.Close() })
	return f
}

func (f *flaky) startFPM() {
	f.fpm = fcgitest.NewServer(func(w *fcgitest.Writer, r *fcgitest.Request) {
		if r.Params["WS_EVENT"] == "disconnect" {
			f.mu.Lock()
			f.left = append(f.left, r.Params["WS_USER"])
			f.mu.Unlock()
		}
		w.Stdout("Content-Type: text/plain\r\nWS-User: " + r.Params["QUERY_STRING"] + "\r\n\r\n")
	}, fcgitest.Options{Address: f.socket, Workers: 8})
}

// goodbyes are the users of the disconnect events so far.
func (f *flaky) goodbyes() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.left)
}

// comeAndGo connects users, and disconnects them in order while PHP-FPM is stopped.
func (f *flaky) comeAndGo(users ...string) {
	f.t.Helper()
	var peers []*peer
	for _, u := range users {
		peers = append(peers, f.dial("/?"+u, nil))
	}
	f.fpm.Close()
	for i, p := range peers {
		_ = p.CloseNow()
		eventually(f.t, users[i]+" to be gone", func() bool { return f.Stats().Connections == len(peers)-i-1 })
		eventually(f.t, users[i]+"'s event to wait", func() bool {
			s := f.Stats()
			return s.Disconnects["default"]+int(s.DisconnectsLost) >= i+1
		})
	}
}

func TestDisconnectEventsThatWaitAreBounded(t *testing.T) {
	t.Log("contract-row: 1.disconnect-bound")
	const most, clients = 10, 60
	f := startFlaky(t, func(c *config.Config) {
		c.Routes[0].Events, c.Routes[0].Public = []string{config.EventMessage, config.EventDisconnect}, true
		c.Limits.Connections = most
	})
	f.fpm.Close()
	before := runtime.NumGoroutine()
	for i := range clients {
		p := f.dial("/", nil)
		_ = p.CloseNow()
		eventually(t, "the client to be gone", func() bool { return f.Stats().Opened == int64(i+1) && f.Stats().Connections == 0 })
		if n := f.Stats().Disconnects["default"]; n > most {
			t.Fatalf("%d events wait, want at most %d", n, most)
		}
	}
	eventually(t, "the others to be given up", func() bool { return f.Stats().DisconnectsLost == clients-most })
	eventually(t, "no goroutine to be left for each", func() bool { return runtime.NumGoroutine() < before+most })
	f.startFPM()
	eventually(t, "PHP to be told of those that waited", func() bool { return len(f.goodbyes()) == most })
}

func TestTheOldestDisconnectEventGivesWay(t *testing.T) {
	f := startFlaky(t, func(c *config.Config) { c.FPM["default"].MaxConnections = 1 })
	f.setMost(3)
	f.comeAndGo("a", "b", "c", "d", "e")
	eventually(t, "two to be given up", func() bool { return f.Stats().DisconnectsLost == 2 })
	if n := f.Stats().Disconnects["default"]; n != 3 {
		t.Errorf("%d wait, want 3", n)
	}
	var lost []string
	for _, line := range f.log.FilterMessage("event failed").All() {
		fields := line.ContextMap()
		lost = append(lost, fmt.Sprint(fields["user"], " ", fields["event"]))
		if fields["outcome"] != "unavailable" || !strings.Contains(fmt.Sprint(fields["error"]), "unreachable") {
			t.Errorf("%v does not say that PHP-FPM cannot be reached", fields)
		}
		if fields["connection"] == "" {
			t.Errorf("%v names no connection", fields)
		}
	}
	if want := []string{"a disconnect", "b disconnect"}; !slices.Equal(lost, want) {
		t.Errorf("logged as lost: %v, want %v", lost, want)
	}
	f.startFPM()
	eventually(t, "the others to be told", func() bool { return len(f.goodbyes()) == 3 })
	if got, want := f.goodbyes(), []string{"c", "d", "e"}; !slices.Equal(got, want) {
		t.Errorf("PHP was told of %v, want %v: they keep their places over retries", got, want)
	}
}

func TestADisconnectEventThatWasNotTriedSaysWhy(t *testing.T) {
	f := startFlaky(t, func(c *config.Config) {
		c.FPM["default"].MaxConnections = 1
		c.DisconnectRetry = config.Duration(time.Nanosecond)
	})
	f.comeAndGo("a", "b", "c")
	eventually(t, "all to be given up", func() bool { return f.Stats().DisconnectsLost == 3 })
	for _, line := range f.log.FilterMessage("event failed").All() {
		if fields := line.ContextMap(); fields["outcome"] != "unavailable" || !strings.Contains(fmt.Sprint(fields["error"]), "unreachable") {
			t.Errorf("%v does not say that PHP-FPM cannot be reached", fields)
		}
	}
}

// A machine that stands still during the only try costs no event.
func TestADisconnectEventHasTwoTries(t *testing.T) {
	f := startFlaky(t, func(c *config.Config) { c.DisconnectRetry = config.Duration(time.Minute) })
	c := &connection{g: f.Gateway, rt: f.settings.Load().routes[0]}
	for _, test := range []struct {
		tries int
		age   time.Duration
		over  bool
	}{
		{0, time.Second, false}, {0, 2 * time.Minute, true},
		{1, time.Second, false}, {1, time.Hour, false},
		{2, time.Second, false}, {2, 2 * time.Minute, true},
	} {
		d := disconnect{c: c, since: time.Now().Add(-test.age), tries: test.tries}
		if got := d.overdue(); got != test.over {
			t.Errorf("after %d tries in %v: over is %v, want %v", test.tries, test.age, got, test.over)
		}
	}
}

// setMost bounds the events that wait, apart from limits.connections.
func (f *flaky) setMost(n int) {
	f.eachQueue(func(q *disconnects) { q.resize(n, 1) })
}

// Observers see a disconnect event when it is over, not each try.
func TestADisconnectEventIsShownOnce(t *testing.T) {
	for outcome, retry := range map[string]time.Duration{"ok": time.Minute, "unavailable": time.Nanosecond} {
		f := startFlaky(t, func(c *config.Config) { c.DisconnectRetry = config.Duration(retry) })
		shown := make(chan string, 100)
		stop := f.Observe(func(e *Event) {
			if e.Kind == "disconnect" {
				shown <- e.Outcome
			}
		})
		f.comeAndGo("a")
		eventually(t, "two tries", func() bool { return f.counted("disconnect", "unavailable") >= 2 })
		f.startFPM()
		eventually(t, "its end", func() bool { return len(f.goodbyes())+int(f.Stats().DisconnectsLost) == 1 })
		if got := <-shown; got != outcome || len(shown) > 0 {
			t.Errorf("it was shown as %s, and %d times more, want %s", got, len(shown), outcome)
		}
		stop()
	}
}

// The end of the process gives up what waits, and shows it.
func TestAnObserverOfAnEventThatIsGivenUpMayAskTheGateway(t *testing.T) {
	f := startFlaky(t, func(c *config.Config) { c.DisconnectRetry = config.Duration(time.Minute) })
	asked := make(chan Stats, 1)
	defer f.Observe(func(e *Event) {
		if e.Kind == "disconnect" {
			asked <- f.Stats()
		}
	})()
	f.comeAndGo("a")
	go f.eachQueue((*disconnects).cut)
	select {
	case <-asked:
	case <-within(t, patience).Done():
		t.Fatal("it waits for ever")
	}
}

func TestABugInAnObserverOfTheEndIsSurvived(t *testing.T) {
	f := startFlaky(t, func(c *config.Config) { c.DisconnectRetry = config.Duration(time.Minute) })
	f.comeAndGo("a", "b")
	defer f.Observe(func(*Event) { panic("a bug") })()
	f.eachQueue((*disconnects).cut)
	eventually(t, "the end of the connections", func() bool { return f.Stats().Connections == 0 && f.Stats().Panics == 2 })
}
