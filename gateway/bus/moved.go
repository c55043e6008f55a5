package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// errMoved ends a line on which nothing would be heard any more.
var errMoved = errors.New("publishes go to another Redis than the subscriptions")

// ownName is a Redis channel that only this node hears, for watch. The names
// of nodes are reserved.
func ownName(prefix string) string { return prefix + "node:" + rand.Text() }

// watch returns errMoved when the line has stayed behind on a Redis that is
// not the one to publish to. After a failover by hand a Sentinel group's old
// master lives on for some ten seconds, alone, before it becomes a replica and
// cuts its clients; and a Cluster may move the anchor's slot. Asked by PUBLISH,
// a Redis tells whether it has this line: that needs no further permission.
func (b *Bus) watch(ctx context.Context, l *line) error {
	ticker := time.NewTicker(pingAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if b.moved(ctx) {
				l.close() // wakes receive
				return errMoved
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// moved reports that nobody hears this node's own name there where it would
// publish. While Redis is silent nothing is known.
func (b *Bus) moved(ctx context.Context) bool {
	b.mu.Lock()
	confirmed := b.roster.fixed == 0
	b.mu.Unlock()
	if !confirmed {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Confirm)
	defer cancel()
	heard, err := b.client.publish(ctx, b.own, nil)
	return err == nil && heard == 0
}
