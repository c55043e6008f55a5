package load

import (
	"fmt"
	"testing"
	"time"

	"wsfpm/test/stack"
)

const (
	pushSize    = 2 << 10
	pushEvery   = 200 * time.Millisecond
	calmTime    = 5 * time.Second
	warmUp      = 5                // pushes of a phase that are not measured: the clients have just come
	cutLimit    = 10 * time.Second // the default of limits.write_timeout
	cutLook     = cutLimit / 10    // between two looks for progress, which is so noticed late
	cutSlop     = time.Second      // for the scheduler that looks after deadlines, and for this test's looking
	slowerLimit = 1.10
	noiseLimit  = 0.25
	queueLimit  = 1 << 20 // bytes for each stalled client, the default of limits.queue
)

// Ten thousand clients hear every push, and a thousand of them stop reading.
// What counts is how long it takes until a push has reached 99 % of the other
// nine thousand, beside the same in the times before and after, when the
// thousand read too. Of a phase's pushes the lower quartile is taken, which
// other work on the machine disturbs least and a stalled reader would raise as
// well, and of the ratios the median. By how much phases without stalled readers
// differ among themselves is the noise of the machine, and allowed for up to a
// quarter: above it the machine is too busy to tell.
func TestSoakAThousandStalledReadersOfTenThousand(t *testing.T) {
	begin(t, 11_000)
	g := promise(t, "G8", "G8", "1,000 of 10,000 clients stop reading: the others' p99 is at most 10 % longer, 4408 after 10 s, 1 MiB for each at most")
	a := &audience{readers: 9_000, stalled: 1_000}
	rounds := 3
	if long() {
		rounds = 15
	}
	calm, hard, others := a.perform(t, rounds, "")
	a.judge(t, g, calm, hard, others)
}

func TestReadersHearEverythingBesideStalledOnes(t *testing.T) {
	begin(t, 1000)
	(&audience{readers: 90, stalled: 10}).perform(t, 1, "write_timeout = \"2s\"\n")
}

// perform alternates times with and without stalled clients. All of the
// stalled are closed with 4408, and the others hear every push.
func (a *audience) perform(t *testing.T, rounds int, limits string) (calm, hard []phase, others []*reader) {
	t.Helper()
	dir := workScripts(t)
	server := stack.Redis(t, stack.RedisOptions{})
	a.redis = server.Client(t)
	a.gateway = stack.Gateway(t, stack.GatewayOptions{FPM: stack.FPM(t, stack.FPMOptions{Children: 8}), Redis: server.URL(), LogLevel: "error",
		FPMLines: "max_connections = 8\nmax_idle = 8", Limits: limits + "connections_per_address = 0\naccept_rate = 0",
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", dir+"/work.php")})
	others = a.admit(t, a.readers, true)
	calm = append(calm, a.calm(t))
	for range rounds {
		hard = append(hard, a.stall(t))
		calm = append(calm, a.calm(t))
	}
	slow := a.gateway.Metric(t, "wsfpm_slow_readers_total")
	stack.WaitWithin(t, 3*stack.Patience, "the last push", func() bool { return a.heard.Load() == int64(a.readers*a.pushes) })
	leave(others)
	a.living.Wait()
	empty(t, a.gateway)
	equal(t, "wsfpm_slow_readers_total", slow, float64(rounds*a.stalled))
	equal(t, "disconnects with 4408", disconnects(ledger(t, dir+"/ledger"), "test")["4408"], rounds*a.stalled)
	return calm, hard, others
}

// judge compares the phases.
func (a *audience) judge(t *testing.T, g *goal, calm, hard []phase, others []*reader) {
	t.Helper()
	var without, ratios, grown []float64
	var took, cut []time.Duration
	for i := range calm {
		calm[i].measure(others)
		without = append(without, sec(calm[i].p99))
	}
	for i, p := range hard {
		p.measure(others)
		if p.cut == 0 || p.cut > cutLimit+cutLook+cutSlop+p.worst {
			t.Errorf("the last stalled client was closed after %v (0: never), want %v, and %v by which a push was late at the others", p.cut, cutLimit, p.worst)
		}
		ratios = append(ratios, sec(p.p99)/((without[i]+without[i+1])/2))
		took, cut, grown = append(took, p.p99), append(cut, p.cut), append(grown, p.grown)
	}
	noise := (quantile(without, 1) - quantile(without, 0)) / 2 / median(without)
	slower := median(ratios)
	if slower > slowerLimit+min(noise, noiseLimit) {
		t.Errorf("the others' p99 beside stalled readers is %.2f times as long, want %.2f at most, and the noise of %.2f", slower, slowerLimit, noise)
	}
	if most := quantile(grown, 1); most > float64(a.stalled)*queueLimit {
		t.Errorf("the memory has grown by %.0f MiB, want 1 MiB at most for each of %d", mib(most), a.stalled)
	}
	g.reached("others' p99 %.0f ms beside %.0f ms without stalled readers, %.2f times (noise ± %.2f)",
		1000*sec(median(took)), 1000*median(without), slower, noise)
	g.reached("%d of %d closed with 4408, the last after %.1f s", len(hard)*a.stalled, len(hard)*a.stalled, sec(quantile(cut, 1)))
	g.reached("memory +%.1f MiB", mib(quantile(grown, 1)))
}

// phase is a time of pushes, with or without stalled clients.
type phase struct {
	first, last int           // pushes
	cut         time.Duration // until the last stalled client was closed
	grown       float64       // bytes of memory
	p99         time.Duration // until a push has reached 99 % of the others: the lower quartile
	worst       time.Duration // of all deliveries to the others
}

// calm pushes while everybody reads.
func (a *audience) calm(t *testing.T) phase {
	t.Helper()
	extra := a.admit(t, a.stalled, false)
	p := a.pushFor(t, calmTime, func(slow float64) bool { return false })
	leave(extra)
	a.settle(t)
	return p
}

// stall pushes while a thousand do not read, until all of these are closed.
func (a *audience) stall(t *testing.T) phase {
	t.Helper()
	before := a.gateway.Metric(t, "wsfpm_slow_readers_total")
	deaf := a.admitDeaf(t, a.stalled)
	p := a.pushFor(t, 6*cutLimit, func(slow float64) bool { return slow >= before+float64(a.stalled) })
	for _, s := range deaf {
		s.Conn.Close()
	}
	a.settle(t)
	return p
}

// pushFor pushes at a steady rate for so long, or until the number of slow
// readers is enough.
func (a *audience) pushFor(t *testing.T, most time.Duration, enough func(slow float64) bool) phase {
	t.Helper()
	p := phase{first: a.pushes}
	before := memory(t, a.gateway)
	tick := time.NewTicker(pushEvery)
	defer tick.Stop()
	for began := time.Now(); time.Since(began) < most && p.cut == 0; <-tick.C {
		a.push(t, pushSize)
		p.grown = max(p.grown, memory(t, a.gateway)-before)
		if enough(a.gateway.Metric(t, "wsfpm_slow_readers_total")) {
			p.cut = time.Since(began)
		}
	}
	p.last = a.pushes
	return p
}

// settle waits until the readers that stay are left, and the others' events over.
func (a *audience) settle(t *testing.T) {
	t.Helper()
	stack.WaitWithin(t, 3*stack.Patience, "the others' end", func() bool {
		return a.gateway.Metric(t, "wsfpm_connections") == float64(a.readers) && a.gateway.Metric(t, "wsfpm_fpm_in_use") == 0
	})
}

// measure fills in p99 and worst.
func (p *phase) measure(others []*reader) {
	first := p.first + warmUp
	pushes := make([][]time.Duration, p.last-first)
	for _, r := range others {
		for _, d := range r.delays {
			if d.push >= p.first && d.push < p.last {
				p.worst = max(p.worst, d.took)
			}
			if d.push >= first && d.push < p.last {
				pushes[d.push-first] = append(pushes[d.push-first], d.took)
			}
		}
	}
	var each []time.Duration
	for _, delays := range pushes {
		each = append(each, quantile(delays, 0.99))
	}
	p.p99 = quantile(each, 0.25)
}
