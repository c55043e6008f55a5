package main

import (
	"context"
	"errors"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
)

// newLog makes the log of durable messages: in Redis, or without a client in this process. It
// is nil with durable.keep = 0. Nothing is read before it has a listener.
func newLog(cfg *config.Config, client *redis.Client, log *zap.Logger) *durable.Log {
	d := &cfg.Durable
	if d.Keep == 0 {
		return nil
	}
	options := durable.Config{
		Keep:      time.Duration(d.Keep),
		Memory:    int64(d.Memory),
		PushLimit: int64(cfg.Redis.PushLimit),
		NoTag:     d.Tag == config.TagNone,
		Embedded:  cfg.Redis.URL == redisurl.Embedded,
		Confirm:   time.Duration(cfg.Redis.Confirm),
		Logger:    log,
	}
	if client != nil {
		options.Store = durable.NewStore(client, d.Stream)
	}
	return durable.New(options)
}

// loadTime bounds the wait for the log at the start.
const loadTime = 2 * time.Second

// awaitLog waits until the log is loaded, if Redis answers: a client that comes back before
// would be told of a gap.
func (s *server) awaitLog(ctx context.Context) {
	if s.durable == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, loadTime)
	defer cancel()
	s.durable.Loaded(ctx)
}

// keysURL is the URL of the Redis that keeps keys, "" without one.
func (s *server) keysURL(cfg config.Redis) string {
	if embedded := s.bus.EmbeddedAddr(); embedded != "" {
		return "redis://" + embedded
	}
	return cfg.URL
}

// disconnect ends reading the log, and closes the connections to Redis.
func (s *server) disconnect() error {
	var err error
	if s.durable != nil {
		s.durable.Close()
	}
	if s.keys != nil {
		err = s.keys.Close()
	}
	return errors.Join(err, s.bus.Close())
}

// busConfig converts the configuration of Redis for package bus.
func busConfig(cfg config.Redis, log *zap.Logger) bus.Config {
	relays := make([]bus.Relay, len(cfg.Relays))
	for i, r := range cfg.Relays {
		relays[i] = bus.Relay{Pattern: r.Pattern, To: r.To, Laravel: r.Format == config.RelayLaravel}
	}
	return bus.Config{
		URL:       cfg.URL,
		Listen:    cfg.Listen,
		Prefixes:  cfg.Prefix,
		Relays:    relays,
		PushLimit: int64(cfg.PushLimit),
		Confirm:   time.Duration(cfg.Confirm),
		Logger:    log,
	}
}
