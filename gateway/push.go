package gateway

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/delivery"
	"wsfpm/session"
)

// Push hands commands that came by POST /push to every node and returns how
// many connections of this node they mean. Commands after a failed one are
// not sent.
func (g *Gateway) Push(ctx context.Context, commands []session.Command) (delivered int, err error) {
	for i, c := range commands {
		delivered += g.hub.Count(&c)
		if err := g.bus.Publish(ctx, c); err != nil {
			return delivered, fmt.Errorf("command %d of %d: %w", i+1, len(commands), err)
		}
	}
	return delivered, nil
}

// fanout delivers commands of others to this process's clients.
type fanout struct{ *delivery.Fanout }

func newFanout(g *Gateway) fanout {
	return fanout{delivery.New(g.hub, delivery.Options{
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

// deliver takes what the bus hears, see [delivery.Fanout.Deliver].
func (f fanout) deliver(c *session.Command) (wait func(context.Context) error) {
	if c.Before != 0 {
		c.Before = max(c.Before, time.Now().Add(-onItsWay).UnixNano())
	}
	return f.Deliver(c)
}

// onItsWay is how long a command may take to a node where it passes over clients
// that came in meanwhile. Those that were there for longer are not spared for
// the sake of two nodes whose clocks differ.
const onItsWay = 10 * time.Second

// move carries a command of others out that changes one client's channels, for
// package delivery.
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

// patience bounds how long the moves of one command wait for Redis, all together.
func (g *Gateway) patience() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), time.Duration(g.settings.Load().Redis.Confirm))
}
