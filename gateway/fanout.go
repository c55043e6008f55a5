package gateway

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/delivery"
	"wsfpm/session"
)

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
