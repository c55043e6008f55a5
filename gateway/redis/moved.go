package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// askEvery is the interval of asking a Sentinel group which server is its master.
const askEvery = time.Second

// errMoved ends a reader whose server is no longer the one that appends go to.
var errMoved = errors.New("the Sentinels have made another server the master")

// follow ends the reader when the commands of a pool go to another server than its own. After
// a manual failover a Sentinel group's old master goes on as a master for some ten seconds
// before it becomes a replica: a reader that stays there sees nothing new. A server that does
// not show its run_id, for want of +info, is not followed.
func (r *Reader) follow(ctx context.Context, pool *goredis.Client) {
	own := runID(ctx, r.client)
	if own == "" {
		return
	}
	ctx, r.unfollow = context.WithCancel(context.Background())
	r.following.Go(func() {
		ticker := time.NewTicker(askEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
			case <-ctx.Done():
				return
			}
			asked, cancel := context.WithTimeout(ctx, askEvery) // go-redis heeds a deadline, not an end
			now := runID(asked, pool)
			cancel()
			if now != "" && now != own {
				r.moved.Store(true)
				r.wire.close() // wakes Round
				return
			}
		}
	})
}

// runID identifies the process of the server that a client is connected to; "" is unknown.
func runID(ctx context.Context, c *goredis.Client) string {
	info, err := c.Do(ctx, "info", "server").Text()
	if err != nil {
		return ""
	}
	return infoField(info, "run_id")
}
