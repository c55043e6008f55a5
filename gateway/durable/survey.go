package durable

import (
	"context"
	"fmt"
	"strings"

	"go.uber.org/zap"

	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/redis"
)

// Warnings returns what in Redis is probably a mistake, one sentence each: streams that no
// process with this configuration reads, and keys that Redis may evict. A right that is
// missing for the look is none.
func Warnings(ctx context.Context, client *redis.Client, key string) (list []string, err error) {
	found, err := client.Survey(ctx, key)
	if err != nil {
		return nil, err
	}
	for _, s := range found.Strays {
		list = append(list, fmt.Sprintf("durable.stream: %q in database %d looks like a log, and no gateway with this configuration reads it: publishers append to %q in the database of redis.url, without a prefix of their own", excerpt.Of(s.Key), s.Database, key))
	}
	if p := found.Policy; p != "" && p != "noeviction" && !strings.HasPrefix(p, "volatile-") {
		list = append(list, fmt.Sprintf("redis: maxmemory-policy is %s: Redis may evict the log %q, which is a gap for all clients: set noeviction", p, key))
	}
	return list, nil
}

// look logs the warnings, once.
func (l *Log) look(ctx context.Context) {
	own, ok := l.store.(stream)
	if !ok || l.looked {
		return
	}
	l.looked = true
	l.ending.Go(func() {
		ctx, cancel := context.WithTimeout(ctx, surveyTime)
		defer cancel()
		list, err := Warnings(ctx, own.client, own.key)
		if err != nil && ctx.Err() == nil {
			l.log.Debug("redis was not searched for other logs", zap.Error(err))
		}
		for _, w := range list {
			l.log.Warn("configuration warning", zap.String("warning", w))
		}
	})
}
