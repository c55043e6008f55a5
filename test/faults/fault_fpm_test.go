package faults

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

// make makes one fault, and returns when it is mended.
func (p *programme) make(t worker, f fault) {
	switch f.Lane {
	case "fpm":
		p.breakFPM(t, f)
	case "redis":
		p.breakRedis(t, f)
	case "clients":
		p.breakClients(t, f)
	case "gateway":
		p.breakNode(t, f)
	}
}

// afterOutage is how long the end of a fault may be felt: by an event that was
// under way, and by those that the pool refuses as overloaded, as documented,
// because its average of how long a script takes remembers the slow ones.
const afterOutage = 5 * time.Second

// breakFPM makes one fault of PHP-FPM or of the first node's way to it.
func (p *programme) breakFPM(t worker, f fault) {
	w := p.world
	// A bad link is the first node's, but what fills PHP-FPM's workers and its
	// backlog is felt by the second, too.
	end := p.windows.open(partFPM, both, f.name())
	defer func() { end(afterOutage) }()
	switch f.Kind {
	case "worker-kill":
		pids := w.fpm.Workers()
		for i := range min(len(pids), 1+f.Size%4) {
			syscall.Kill(pids[(i+f.Size)%len(pids)], syscall.SIGKILL)
		}
		p.rest(f.Lasting)
	case "master-kill": // its workers go on for a while
		endWorkers := w.fpm.KillMaster()
		p.rest(f.Lasting)
		endWorkers()
		w.fpm.Start(t)
	case "reload":
		w.fpm.Reload(t)
	case "restart":
		w.fpm.Stop()
		p.rest(f.Lasting)
		w.fpm.Start(t)
	case "freeze":
		resume := w.fpm.PauseWorkers(t)
		p.rest(f.Lasting)
		resume()
	case "backlog":
		p.fillBacklog(t, f)
	case "slow":
		p.incite(mood{"slow", "200", 20 + f.Size}, f.Lasting)
	case "hang":
		p.incite(mood{"slow", "2500", 1 + f.Size/20}, f.Lasting)
	case "die":
		p.incite(mood{"die", "", 1 + f.Size/10}, f.Lasting)
	case "fatal":
		p.incite(mood{"fatal", "", 5 + f.Size/2}, f.Lasting)
	default:
		p.breakLink(t, w.toFPM, f)
	}
	p.awaitFPM(f)
}

// awaitFPM waits until PHP-FPM serves both nodes and no event waits for a worker. A busy
// machine is always short of workers, so a hundred events that PHP has answered will do too:
// at once in the short programme, which may run beside other work, and else after half of the
// bound.
func (p *programme) awaitFPM(f fault) {
	patient := time.Now().Add(bound / 2)
	answered := make(map[float64]float64) // by the time at which the node began, since the fault was mended
	p.await(f, "PHP-FPM serves", func(_ int, m map[string]float64) bool {
		node, completed := sum(m, "process_start_time_seconds"), sum(m, "wsfpm_fpm_completed_total")
		if _, seen := answered[node]; !seen {
			answered[node] = completed
		}
		if (p.pause == shortPause || time.Now().After(patient)) && completed >= answered[node]+100 {
			return true
		}
		busy := sum(m, "wsfpm_fpm_in_use") + sum(m, "wsfpm_fpm_settling")
		return sum(m, "wsfpm_fpm_up") == 1 && sum(m, "wsfpm_fpm_waiting") == 0 && busy < sum(m, "wsfpm_fpm_limit")
	})
}

// await waits until something is well again for both nodes, and notes how long
// that took at most. A node that is away, by a fault of its own, is not waited for.
func (p *programme) await(f fault, what string, well func(node int, m map[string]float64) bool) {
	began := time.Now()
	for node := range p.world.nodes {
		for !p.over() {
			m, up := p.metrics(node)
			if !up || well(node, m) {
				break
			}
			if time.Since(began) > bound {
				p.verdict.check(noSilence, false, "node %d does not find that %s %v after it was mended, during %v; it says %s",
					node+1, what, bound, p.windows.around(time.Now()), state(m))
				break
			}
			p.rest(10 * time.Millisecond)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.recovery[f.Lane+" "+f.Kind] = max(p.recovery[f.Lane+" "+f.Kind], time.Since(began))
}

// incite makes the clients ask for something for a while.
func (p *programme) incite(m mood, lasting time.Duration) {
	p.mood.Store(&m)
	defer p.mood.Store(nil)
	p.rest(lasting)
}

// fillBacklog stops the workers and takes every place in the socket's queue, so
// that no client can connect.
func (p *programme) fillBacklog(t worker, f fault) {
	resume := p.world.fpm.PauseWorkers(t)
	defer resume()
	var taken []net.Conn
	for range 2 * backlog {
		c, err := net.Dial("unix", p.world.fpm.Socket)
		if err != nil {
			p.count("backlog full: " + fmt.Sprint(isAgain(err)))
			break
		}
		taken = append(taken, c)
	}
	p.rest(f.Lasting)
	for _, c := range taken {
		c.Close()
	}
}

func isLink(f fault) bool { return len(f.Kind) > 5 && f.Kind[:5] == "link-" }

// breakLink makes one fault of a link.
func (p *programme) breakLink(t worker, l *link, f fault) {
	defer l.mend()
	switch f.Kind {
	case "link-latency":
		l.set(weather{latency: time.Duration(1+f.Size) * time.Millisecond})
	case "link-slices":
		l.set(weather{slice: 1 + f.Size/4})
	case "link-half":
		l.set(weather{half: int64(1 + 2*f.Size)})
	case "link-hole":
		l.swallow()
	case "link-down":
		l.breakDown()
	case "link-reset":
		for over := time.Now().Add(f.Lasting); time.Now().Before(over) && !p.over(); {
			l.reset()
			p.rest(50*time.Millisecond + rand.N(100*time.Millisecond))
		}
		return
	default:
		t.Fatalf("no such fault: %v", f)
	}
	p.rest(f.Lasting)
}

// state is what a node says of PHP-FPM and Redis.
func state(m map[string]float64) string {
	var words []string
	for _, series := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(series, "wsfpm_fpm_") || strings.HasPrefix(series, "wsfpm_redis_") {
			words = append(words, fmt.Sprint(strings.TrimPrefix(series, "wsfpm_"), " ", m[series]))
		}
	}
	return strings.Join(words, ", ")
}
