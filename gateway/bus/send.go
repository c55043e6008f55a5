package bus

import (
	"context"
	"fmt"

	"wsfpm/session"
)

// Send publishes one payload for programs that only push, without joining in:
// under the first of cfg's prefixes and a name, which is an address for the
// fast door or "command" for JSON. It returns how many processes Redis says to
// have reached; in a Cluster these are those at the node that every gateway
// listens to. It sends once: after an error the payload may have arrived.
func Send(ctx context.Context, cfg Config, name string, payload []byte) (heard int64, err error) {
	if cfg, err = cfg.withDefaults(); err != nil {
		return 0, err
	}
	prefix := cfg.Prefixes[0]
	address := cfg.URL
	if address == embeddedURL {
		address = "redis://" + cfg.Listen
	}
	c, err := newClient(address, prefix+session.All.String())
	if err != nil {
		return 0, err
	}
	defer func() { _ = c.close() }() // its answer has come
	heard, err = c.publish(ctx, prefix+name, payload)
	if err != nil {
		return 0, fmt.Errorf("publish through Redis: %w", err)
	}
	return heard, nil
}
