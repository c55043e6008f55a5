package gateway

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"go.uber.org/zap"
)

// errDraining is returned by Ready while the process ends.
var errDraining = errors.New("draining")

// disconnectTime bounds the disconnect events after the drain.
const disconnectTime = 10 * time.Second

// Drain ends the gateway: it accepts no more clients, closes the connected ones with 1012
// spread over the configured time, each after its running handler and the messages sent
// before, and waits for their disconnect events. It returns the number of connections that
// it closed by force, or whose disconnect event PHP did not receive. Ten seconds after the
// configured time, or when ctx ends, it ends everything by force. It is called once.
func (g *Gateway) Drain(ctx context.Context) (givenUp int) {
	over := time.Duration(g.settings.Load().Config.Drain)
	ctx, cancel := context.WithTimeout(ctx, over+disconnectTime)
	defer cancel()
	g.eachQueue((*disconnects).prune) // expired events are not part of this drain's count
	lost := g.stats.disconnectsLost.Load()
	g.mu.Lock()
	g.draining = true
	g.mu.Unlock()
	if g.registry != nil {
		g.registry.StopClaims()
	}
	leaving := g.clients()
	g.log.Info("draining", zap.Int("connections", len(leaving)), zap.Duration("over", over))
	done := make(chan struct{})
	go func() { // ends with the last connection, see forceClose
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

// forceClose ends what a drain cannot wait for: sockets, handlers and disconnect events.
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
	g.eachPool(func(p *pool) { _ = p.Pool.Close(now) }) // returns only the error of now
	return connections
}

// drainAll closes the clients in random order, spread evenly over a time, so that they do
// not all reconnect at once.
func (g *Gateway) drainAll(ctx context.Context, done <-chan struct{}, leaving []*connection, over time.Duration) {
	rand.Shuffle(len(leaving), func(i, j int) { leaving[i], leaving[j] = leaving[j], leaving[i] })
	begin := time.Now()
	for i, c := range leaving {
		at := begin.Add(over / time.Duration(len(leaving)+1) * time.Duration(i))
		select {
		case <-time.After(time.Until(at)):
		case <-done:
			return
		case <-ctx.Done():
			return
		}
		g.loops.Go(func() { c.drainConn(closeDraining) })
	}
}

// Close ends the gateway's own goroutines and its PHP-FPM connections after Drain, and
// waits for them until ctx ends.
func (g *Gateway) Close(ctx context.Context) error {
	close(g.stop)
	if g.registry != nil {
		g.registry.Close(ctx)
	}
	var errs []error
	g.eachPool(func(p *pool) { errs = append(errs, p.Pool.Close(ctx)) })
	g.fanout.Close()
	g.sockets.Wheel.Stop()
	g.loops.Wait()
	return errors.Join(errs...)
}
