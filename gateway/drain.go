package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// errDraining is what Ready says of a process that is about to end.
var errDraining = errors.New("draining")

// disconnectTime is how long disconnect events may go on after the drain.
const disconnectTime = 10 * time.Second

// Drain ends the gateway in an orderly way: it lets no client in, closes the
// clients with 1012 spread over the configured time, each after its running
// handler and the messages it sent before, and waits for their disconnect
// events. It returns the number of connections that it had to give up, or
// whose disconnect event PHP did not get. Ten seconds after the configured time,
// or when ctx ends, everything is cut short. It is called once.
func (g *Gateway) Drain(ctx context.Context) (givenUp int) {
	over := time.Duration(g.settings.Load().Config.Drain)
	ctx, cancel := context.WithTimeout(ctx, over+disconnectTime)
	defer cancel()
	g.eachQueue((*disconnects).prune) // what is lost before is not given up here
	lost := g.stats.disconnectsLost.Load()
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	leaving := g.clients()
	g.log.Info("draining", zap.Int("connections", len(leaving)), zap.Duration("over", over))
	done := make(chan struct{})
	go func() { // ends with the last connection, which forceClose sees to
		g.running.Wait()
		close(done)
	}()
	g.drainAll(ctx, done, leaving, over)
	select {
	case <-done:
		return int(g.stats.disconnectsLost.Load() - lost)
	case <-ctx.Done():
	}
	givenUp = g.forceClose()
	<-done
	return max(givenUp, int(g.stats.disconnectsLost.Load()-lost))
}

// forceClose ends what a drain cannot wait for: sockets, handlers and the tries
// to run disconnect events.
func (g *Gateway) forceClose() (connections int) {
	g.mu.Lock()
	for c := range g.live {
		c.socket.CloseNow()
	}
	connections = len(g.live)
	g.mu.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	g.eachQueue((*disconnects).cut)
	g.eachPool(func(p *pool) { _ = p.Pool.Close(now) }) // says no more than that time is over
	return connections
}

// drainAll closes the clients, spread evenly over a time with jitter, so that
// they do not all come back to the next process at once.
func (g *Gateway) drainAll(ctx context.Context, done <-chan struct{}, leaving []*connection, over time.Duration) {
	rand.Shuffle(len(leaving), func(i, j int) { leaving[i], leaving[j] = leaving[j], leaving[i] })
	begin := time.Now()
	for i, c := range leaving {
		at := begin.Add(over / time.Duration(len(leaving)+1) * time.Duration(i))
		timer := time.NewTimer(time.Until(at))
		select {
		case <-timer.C:
		case <-done:
			timer.Stop()
			return
		case <-ctx.Done():
			timer.Stop()
			return
		}
		g.loops.Go(func() { c.drainConn(closeDraining) })
	}
}

// Close ends the gateway's own goroutines and its PHP-FPM connections, after
// Drain. It waits for them as long as ctx allows.
func (g *Gateway) Close(ctx context.Context) error {
	close(g.stop)
	var errs []error
	g.eachPool(func(p *pool) { errs = append(errs, p.Pool.Close(ctx)) })
	g.fanout.Close()
	g.sockets.Wheel.Stop()
	g.loops.Wait()
	return errors.Join(errs...)
}
