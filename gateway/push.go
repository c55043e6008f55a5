package gateway

import (
	"context"
	"fmt"
	"iter"
	"time"

	"wsfpm/session"
)

// Push hands commands that came by POST /push to every node and returns how
// many connections of this node they mean. Commands behind a failed one are
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

// Connection is what operators see of one client.
type Connection struct {
	ID       string    `json:"id"`
	User     string    `json:"user,omitempty"`
	Channels []string  `json:"channels,omitempty"`
	Path     string    `json:"path"`
	Script   string    `json:"script"`
	Remote   string    `json:"remote"`
	Protocol string    `json:"protocol,omitempty"`
	Since    time.Time `json:"since"`
	Queued   int64     `json:"queued"` // bytes that wait for the client
}

// Connections lists the clients of this process that are there when their turn
// comes, in no order.
func (g *Gateway) Connections() iter.Seq[Connection] {
	return func(yield func(Connection) bool) {
		for _, c := range g.clients() {
			membership := c.session.Membership()
			seen := Connection{
				ID: c.id(), User: membership.User, Channels: membership.Channels,
				Path: c.rt.Path, Script: c.script, Remote: c.client.addr.String(),
				Protocol: c.protocol, Since: c.since, Queued: c.socket.Buffered(),
			}
			if !yield(seen) {
				return
			}
		}
	}
}
