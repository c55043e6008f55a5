package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/redis/go-redis/v9"
)

// breakClients makes one fault of clients, or of the way to one node. Clients
// that behave badly are no excuse for anything that happens to others.
func (p *programme) breakClients(t worker, f fault) {
	switch f.Kind {
	case "vanish":
		p.vanishing.Add(int64(5 + f.Size))
	case "flood":
		p.flooding.Add(int64(2 + f.Size/10))
	case "drip":
		p.dripping.Add(int64(5 + f.Size/5))
	case "stall":
		p.stall(f)
	default:
		end := p.windows.open(partClients, f.Node, f.name())
		defer end(afterOutage)
		p.breakLink(t, p.world.toNode[f.Node], f)
	}
}

// stall lets some clients come that do not read, while more is pushed to them
// than a gateway keeps for one client.
func (p *programme) stall(f fault) {
	rng := rand.New(rand.NewPCG(p.verdict.seed, uint64(f.Number)<<32))
	for range 1 + f.Size/25 {
		s := p.newSession(rng, f.Node)
		s.deaf, s.closes = true, false
		began := time.Now()
		w, id, err := dialWire(p.world.nodes[f.Node].Listen, path(s, []string{"flood"}), bound, smallBuffer)
		if err != nil {
			ok := p.windows.excuse(partFPM, f.Node, began, time.Now()) || p.windows.excuse(partNode, f.Node, began, time.Now())
			p.verdict.check(noSilence, ok, "a connect to node %d ended with %v, during %v", f.Node+1, err, p.windows.around(began))
			continue
		}
		s.accepted(id, []string{"flood"}, time.Now())
		p.strays.Go(func() { p.stalled(s, w, f.Lasting) })
	}
	p.publishFlood()
}

// stalled is a client that does not read, then looks what there is, and goes.
func (p *programme) stalled(s *session, w *wire, lasting time.Duration) {
	p.rest(lasting + writeTimeout)
	deadline := time.Now().Add(5 * time.Second)
	for time.Now().Before(deadline) {
		if _, err := w.next(deadline); errors.Is(err, errQuiet) || err != nil {
			break
		}
	}
	p.count("stalled client: " + map[bool]string{true: "closed with 4408", false: "not closed by a frame"}[w.close == 4408])
	w.vanish()
	s.ends(ending{code: 1006, mine: true}, time.Now())
	p.keep(s)
}

// publishFlood publishes 12 MiB to the stalled clients' channel.
func (p *programme) publishFlood() {
	client := redis.NewClient(&redis.Options{Addr: p.world.redis.Addr})
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	text := strings.Repeat("x", 128<<10)
	for range 96 {
		client.Publish(ctx, "ws:channel:flood", text) // with Redis away there is no flood
	}
}

func smallBuffer(c *net.TCPConn) { c.SetReadBuffer(4 << 10) }

// breakNode ends one node, and starts it again, or lets it read its file again.
func (p *programme) breakNode(t worker, f fault) {
	node := p.world.nodes[f.Node]
	if f.Kind == "hup" { // no client may notice
		node.Reload()
		return
	}
	end := p.windows.open(partNode, f.Node, f.name())
	redis := p.windows.open(partRedis, f.Node, f.name())
	defer func() { end(afterOutage); redis(afterRedis) }()
	began := time.Now()
	if f.Kind == "term" {
		code := node.Stop(t)
		ok := code == 0 || code == 1 && p.windows.excuse(partFPM, f.Node, began, time.Now())
		p.verdict.check(oneDisconnect, ok, "node %d drained for %v and exited with %d, during %v", f.Node+1, time.Since(began), code, p.windows.around(time.Now()))
	} else {
		node.Kill()
	}
	p.rest(f.Lasting)
	node.Start(t)
}

func isAgain(err error) bool {
	var call *os.SyscallError
	return errors.As(err, &call) && errors.Is(call, syscall.EAGAIN)
}
