package bus

import (
	"context"
	"fmt"

	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

// Send publishes one payload without a Bus, for programs that only push: under the first
// of cfg's prefixes and a name, which is an address, for plain text, or "command", for
// JSON. It returns the number of receiving processes according to Redis; in a Cluster,
// according to the node that every gateway subscribes at. It does not retry: after an
// error the payload may have arrived.
func Send(ctx context.Context, cfg Config, name string, payload []byte) (heard int64, err error) {
	cfg = cfg.withDefaults()
	prefix := cfg.Prefixes[0]
	address := cfg.URL
	if address == redisurl.Embedded {
		address = "redis://" + cfg.Listen
	}
	c, err := redis.New(address, prefix+session.All.String())
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.Close() }() // the answer has arrived
	heard, err = c.Publish(ctx, prefix+name, payload)
	if err != nil {
		return 0, fmt.Errorf("publish through Redis: %w", err)
	}
	return heard, nil
}
