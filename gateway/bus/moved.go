package bus

import (
	"context"
	"crypto/rand"
	"errors"
	"time"
)

// errMoved ends a line that would not receive any published messages.
var errMoved = errors.New("publishes go to another Redis than the subscriptions")

// ownName returns a Redis channel that only this node subscribes to, for watch. The
// names of nodes are reserved.
func ownName(prefix string) string { return prefix + "node:" + rand.Text() }

// watch returns errMoved when the line leads to another Redis than the one that
// publishes go to. After a manual failover a Sentinel group's old master keeps running
// for some ten seconds before it becomes a replica and closes its clients; and a Cluster
// may move the anchor's slot. The reply to a PUBLISH to the own name shows whether that
// Redis has this line; it needs no further permission.
func (b *Bus) watch(ctx context.Context, l line) error {
	ticker := time.NewTicker(pingAfter)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if b.moved(ctx) {
				l.Close() // wakes receive
				return errMoved
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// moved reports whether the Redis that publishes go to has no subscriber for this node's
// own name. Without an answer it reports false.
func (b *Bus) moved(ctx context.Context) bool {
	b.mu.Lock()
	confirmed := b.subs.fixed == 0
	b.mu.Unlock()
	if !confirmed {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, b.cfg.Confirm)
	defer cancel()
	heard, err := b.broker.Publish(ctx, b.own, nil)
	return err == nil && heard == 0
}
