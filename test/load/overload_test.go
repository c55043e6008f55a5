package load

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"wsfpm/test/stack"
)

const (
	overloadWorkers = 4                       // of PHP-FPM
	overloadScript  = 20 * time.Millisecond   // that a message takes in PHP
	overloadTimes   = 5                       // the messages that come by the clock, in capacities
	openEvery       = 1500 * time.Millisecond // of one client; more than it may wait
	closedClients   = 400                     // each sends again after its answer
	closedPause     = 150 * time.Millisecond
	queueWait       = time.Second
	busyLimit       = queueWait + 100*time.Millisecond
	recoveryLimit   = 2 * time.Second
	memoryGrowth    = 1.25 // of the resident memory between the fifth second and the end: garbage varies so much
	memorySlop      = 8 << 20
	fairLimit       = 500 * time.Millisecond // twenty-five times the script, beside a user who floods
)

// Messages come at five times the rate that PHP-FPM can serve, and four hundred
// clients ask again whenever they were answered: everybody hears within the
// queue's bound, the memory stays, and it is over when it is over.
func TestSoakFiveTimesTheCapacity(t *testing.T) {
	begin(t, 8192)
	g := promise(t, "G13", "G13", "5 times the capacity: busy is said within 1.1 s, memory does not grow, recovery within 2 s, others get their turn")
	fpm := stack.FPM(t, stack.FPMOptions{Children: overloadWorkers})
	c := &crush{gateway: stack.Gateway(t, stack.GatewayOptions{FPM: fpm, LogLevel: "error",
		FPMLines: fmt.Sprintf("max_connections = %[1]d\nmax_idle = %[1]d\nqueue_wait = %[2]q", overloadWorkers, queueWait.String()),
		Limits:   "connections_per_address = 0\naccept_rate = 0",
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\non_error = \"message\"\nerror_message = %q\n",
			workScripts(t)+"/work.php", busy)})}
	length := 15 * time.Second
	if long() {
		length = 10 * time.Minute
	}
	capacity, usual := c.capacity(t)
	c.overload(t, g, capacity, usual, length)
	c.flood(t, g)
}

// capacity measures how many messages a second are answered, and how long an
// answer takes one client alone.
func (c *crush) capacity(t *testing.T) (perSecond float64, usual time.Duration) {
	t.Helper()
	busily := func(a *asker) { a.closed(overloadScript, 0) }
	alone := c.crowd(t, 1, "")
	c.live(alone, busily)
	<-time.After(time.Second)
	c.disperse(t)
	took, _ := waits(alone)
	const measured = 3 * time.Second
	all := c.crowd(t, 4*overloadWorkers, "")
	c.live(all, busily)
	<-time.After(measured)
	c.disperse(t)
	answered, refused := waits(all)
	if len(refused) > 0 {
		t.Errorf("%d messages of %d clients were refused, want none", len(refused), len(all))
	}
	return float64(len(answered)) / sec(measured), median(took)
}

// overload is the storm and what comes after it.
func (c *crush) overload(t *testing.T, g *goal, capacity float64, usual, length time.Duration) {
	t.Helper()
	probe, err := c.asker("probe")
	if err != nil {
		t.Fatal(err)
	}
	paced := c.crowd(t, int(overloadTimes*capacity*sec(openEvery)), "")
	eager := c.crowd(t, closedClients, "")
	c.live(paced, func(a *asker) { a.open(overloadScript, openEvery) })
	c.live(eager, func(a *asker) { a.closed(overloadScript, closedPause) })
	all := c.askers
	var lag time.Duration
	c.living.Go(func() { lag = c.lag() })
	doors, early, late := c.watch(t, length)

	c.over.Store(true)
	recovery := probe.recover(t, 5*usual)
	probe.Conn.Close()
	c.disperse(t)

	answered, refused := waits(all)
	served, slowest := float64(len(answered))/sec(length), quantile(refused, 1)
	if slowest > busyLimit+lag || len(refused) == 0 {
		t.Errorf("of %d messages that were refused the last was after %v, want some and %v at most, and %v of the machine's own", len(refused), slowest, busyLimit, lag)
	}
	if most := quantile(answered, 1); most > busyLimit+5*usual+lag {
		t.Errorf("an answer took %v, want %v at most for the wait, some for PHP and %v of the machine's own", most, busyLimit, lag)
	}
	if late > memoryGrowth*early+memorySlop {
		t.Errorf("the memory was %.1f MiB after five seconds and %.1f MiB at the end, want the same", mib(early), mib(late))
	}
	if served < capacity/2 {
		t.Errorf("%.0f messages a second were answered under overload, want about the capacity of %.0f", served, capacity)
	}
	if door := quantile(doors, 1); door > busyLimit+lag {
		t.Errorf("a handshake was answered after %v, want %v at most", door, busyLimit)
	}
	g.reached("capacity %.0f/s, offered %.0f/s, served %.0f/s", capacity, float64(len(answered)+len(refused))/sec(length), served)
	g.reached("busy after %.2f s at most (median %.3f s), handshakes answered within %.2f s (of the machine's own: %.2f s)",
		sec(slowest), sec(median(refused)), sec(quantile(doors, 1)), sec(lag))
	g.reached("memory %.1f MiB after 5 s, %.1f MiB at the end, recovered after %.2f s", mib(early), mib(late), sec(recovery))
}

// lag is the longest time that a request took which needs neither PHP nor a
// queue, until the storm is over: what the machine adds to every time here. It
// is part of no wait, so a gateway that answered slowly would show in it; a
// second is too much.
func (c *crush) lag() (worst time.Duration) {
	client := http.Client{Timeout: stack.Patience}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ; !c.over.Load() && worst < time.Second; <-tick.C {
		asked := time.Now()
		resp, err := client.Get("http://" + c.gateway.Listen + "/nothing")
		if err != nil {
			return 0
		}
		resp.Body.Close()
		worst = max(worst, time.Since(asked))
	}
	return min(worst, time.Second)
}

// watch lets the storm go on for so long. It tries a handshake now and then,
// and looks at the memory: early is about the fifth second, late the end.
func (c *crush) watch(t *testing.T, length time.Duration) (doors []time.Duration, early, late float64) {
	t.Helper()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	var first, last []float64
	for began := time.Now(); time.Since(began) < length; <-tick.C {
		tried := time.Now()
		s, err := dial(wish{address: c.gateway.Listen, path: "/ws?user=late"})
		doors = append(doors, time.Since(tried))
		var no refused
		switch {
		case err == nil:
			s.leave()
		case !errors.As(err, &no) || no.status != http.StatusServiceUnavailable:
			t.Errorf("a handshake ended with %v, want 101 or 503", err)
		}
		switch at := time.Since(began); {
		case at > 4*time.Second && at < 6*time.Second:
			first = append(first, memory(t, c.gateway))
		case at > length-2*time.Second:
			last = append(last, memory(t, c.gateway))
		}
	}
	return doors, median(first), median(last)
}

// recover asks until an answer takes no longer than usual.
func (a *asker) recover(t *testing.T, usual time.Duration) time.Duration {
	t.Helper()
	for began := time.Now(); ; {
		a.ask(overloadScript)
		a.finish()
		if n := len(a.answered); n > 0 && a.answered[n-1] <= usual {
			return time.Since(began)
		}
		if a.wrong != "" || time.Since(began) > recoveryLimit {
			t.Errorf("no answer within %v for %v after the overload (%s)", usual, recoveryLimit, a.wrong)
			return time.Since(began)
		}
	}
}

// flood lets one connection send as fast as it can, and one user with two
// hundred others, beside a client that asks ten times a second.
func (c *crush) flood(t *testing.T, g *goal) {
	t.Helper()
	flooder, err := c.asker("flooder")
	if err != nil {
		t.Fatal(err)
	}
	crowd, calm := c.crowd(t, 200, "crowd"), c.crowd(t, 1, "calm")
	c.living.Go(flooder.pour)
	c.living.Go(func() { io.Copy(io.Discard, flooder.Conn) }) // until it is reset
	c.live(crowd, func(a *asker) { a.closed(overloadScript, 0) })
	c.live(calm, func(a *asker) { a.open(overloadScript, 100*time.Millisecond) })
	<-time.After(5 * time.Second)
	c.over.Store(true)
	flooder.reset() // what it has sent still waits in the kernel: the gateway is not empty soon
	c.living.Wait()
	answered, refused := waits(calm)
	slowest := quantile(answered, 1)
	if len(refused) > 0 || len(answered) < 40 || slowest > fairLimit {
		t.Errorf("beside a flood a client got %d answers, the slowest after %v, and %d refusals; want 40 within %v and none", len(answered), slowest, len(refused), fairLimit)
	}
	g.reached("beside a flooding connection and a flooding user %d of %d answered, within %.2f s", len(answered), len(answered)+len(refused), sec(slowest))
}

// pour writes without waiting for answers, until the connection ends.
func (a *asker) pour() {
	for !a.over.Load() {
		if a.send(fmt.Sprintf("done %d", overloadScript.Milliseconds())) != nil {
			return
		}
	}
}
