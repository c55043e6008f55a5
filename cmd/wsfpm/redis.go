package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"wsfpm/gateway/config"
)

// publish sends one payload through the configured Redis and returns how many
// processes heard it; in a Cluster, how many at the node that was asked.
func publish(ctx context.Context, cfg config.Redis, name string, payload []byte) (heard int64, err error) {
	client, err := redisClient(cfg)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	heard, err = client.Publish(ctx, cfg.Prefix[0]+name, payload).Result()
	if err != nil {
		return 0, fmt.Errorf("publish through Redis: %w", err)
	}
	return heard, nil
}

// redisClient makes a client that sends once: a push that may have arrived is
// not sent again. No error shows the URL, which may hold a password.
func redisClient(cfg config.Redis) (redis.UniversalClient, error) {
	address := cfg.URL
	if address == config.Embedded {
		address = "redis://" + cfg.Listen
	}
	options, err := parseRedisURL(address)
	if err != nil {
		return nil, fmt.Errorf("redis.url: %w", err)
	}
	options.MaxRetries, options.DisableIdentity, options.Protocol = -1, true, 2
	return redis.NewUniversalClient(options), nil
}

// parseRedisURL reads the forms of redis.url.
func parseRedisURL(address string) (*redis.UniversalOptions, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	end := strings.IndexAny(rest, "/?#")
	if scheme == "unix" || end < 0 {
		end = len(rest)
	}
	at := strings.LastIndexByte(rest[:end], '@') + 1
	hosts := strings.Split(rest[at:end], ",")
	u, err := url.Parse(scheme + "://" + rest[:at] + hosts[0] + rest[end:])
	if err != nil {
		return nil, errors.New("it cannot be read")
	}
	query := u.Query()
	cluster, master := query.Get("cluster") == "true", query.Get("master_name")
	sentinelUser, sentinelPassword := query.Get("username"), query.Get("password")
	for _, key := range []string{"cluster", "master_name", "username", "password"} {
		query.Del(key)
	}
	u.RawQuery = query.Encode()
	one, err := redis.ParseURL(u.String())
	if err != nil {
		if parsing := (*url.Error)(nil); errors.As(err, &parsing) {
			err = parsing.Err
		}
		return nil, err
	}
	o := &redis.UniversalOptions{
		Addrs: []string{one.Addr}, Username: one.Username, Password: one.Password, TLSConfig: one.TLSConfig,
		DialTimeout: 2 * time.Second, IsClusterMode: cluster, MasterName: master,
	}
	o.Addrs = append(o.Addrs, hosts[1:]...)
	if master != "" { // before the host stand the Sentinels' own
		o.SentinelUsername, o.SentinelPassword = one.Username, one.Password
		o.Username, o.Password = sentinelUser, sentinelPassword
	}
	return o, nil
}
