package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/delivery"
	"wsfpm/session"
)

// Push publishes the commands of a POST /push to every node and returns the number of
// matching connections on this node. Durable ones are stored first, see [Gateway.Store]. It
// stops at the first error.
func (g *Gateway) Push(ctx context.Context, commands []session.Command) (delivered int, err error) {
	stored, err := g.Store(ctx, commands)
	if err != nil {
		return 0, err
	}
	delivered = stored.Delivered
	g.settings.Load().purgeBy(stored.Rest)
	for i, c := range stored.Rest {
		delivered += g.hub.Count(&c)
		if err := g.bus.Publish(ctx, c); err != nil {
			return delivered, fmt.Errorf("command %d of %d: %w", i+1, len(stored.Rest), err)
		}
	}
	return delivered, nil
}

// fanout delivers commands to this process's clients.
type fanout struct {
	*delivery.Fanout
	settings *atomic.Pointer[settings]
	unmeant  func(path string) // is called with the path of a purge that means no route
	missed   func()            // relayed frames may have been missed
}

func newFanout(g *Gateway) fanout {
	return fanout{settings: &g.settings, unmeant: g.warnUnmeant, missed: g.missedFrames, Fanout: delivery.New(g.hub, delivery.Options{
		Move:      g.move,
		Patience:  g.patience,
		Delivered: &g.stats.delivered,
		Recovered: func() {
			if v := recover(); v != nil {
				g.survived("delivery", v)
			}
		},
	})}
}

// deliver delivers a command from the bus, see [delivery.Fanout.Deliver]. Its purge comes
// first: a client that gets its message and asks again gets no answer from before.
func (f fanout) deliver(c *session.Command) (wait func(context.Context) error) {
	f.purge(c.Purge)
	if c.Missed {
		f.missed()
	}
	if c.Before != 0 {
		c.Before = max(c.Before, time.Now().Add(-onItsWay).UnixNano())
	}
	return f.Deliver(c)
}

// purge drops stored answers. A path without a route may be another node's.
func (f fanout) purge(paths []string) {
	if len(paths) == 0 {
		return
	}
	now := f.settings.Load()
	now.purge(paths)
	if path := now.unmeant(paths); path != "" {
		f.unmeant(path)
	}
}

// onItsWay bounds the travel time of a command that spares clients that connected after it.
// Clients connected for longer are never spared, even if the clocks of two nodes differ.
const onItsWay = 10 * time.Second

// move applies a command that changes one client's channels, for package delivery.
func (g *Gateway) move(ctx context.Context, s *session.Session, c *session.Command) (meant bool) {
	meant, err := g.members.Move(ctx, s, c, g.settings.Load().Limits.Channels)
	if errors.Is(err, session.ErrChannels) {
		g.stats.reached.channels.Add(1)
	}
	if err = notEnded(err); err != nil {
		g.log.Warn("command not carried out", zap.String("connection", s.ID()), zap.Error(err))
	}
	return meant && err == nil
}

// changed has a change of a registered connection's membership written.
func (g *Gateway) changed(s *session.Session, old, next session.Membership) {
	g.registry.ChangedID(s.ID(), old, next)
}

// patience returns the context that bounds all waits of one command for Redis.
func (g *Gateway) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(g.settings.Load().Redis.Confirm))
}
