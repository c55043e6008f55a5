package durable

import (
	"context"
	"time"

	"wsfpm/gateway/redis"
)

// Store holds the log: a stream of Redis, or the memory of this process. It is safe for
// concurrent use and repeats nothing.
type Store interface {
	// Open connects a reader of its own.
	Open(ctx context.Context) (Line, error)
	// Append stores entries, each a list of names and values, all or none, and returns
	// their ids. After an error that is neither [redis.Refused] nor [redis.NotSent] they may be
	// stored.
	Append(ctx context.Context, entries ...[]string) (ids []string, err error)
}

// Line is one connection that reads the log; [redis.Reader] implements it. It never
// reconnects. One goroutine uses it; any may call Close, which wakes the others.
type Line interface {
	Missing(ctx context.Context) (rights []string, err error)
	// Time is the clock by which ids are made.
	Time(ctx context.Context) (time.Time, error)
	Round(ctx context.Context, after string, count int, block time.Duration, info bool) (redis.Round, error)
	Trim(ctx context.Context, oldest string) error
	Close()
}

// NewStore returns the log in Redis under a key. The caller closes the client.
func NewStore(client *redis.Client, key string) Store { return stream{client, key} }

// stream is a [Store] in Redis.
type stream struct {
	client *redis.Client
	key    string
}

// Open returns the line as an interface.
func (s stream) Open(ctx context.Context) (Line, error) {
	r, err := s.client.OpenReader(ctx, s.key)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Append appends to the stream.
func (s stream) Append(ctx context.Context, entries ...[]string) ([]string, error) {
	return s.client.Append(ctx, s.key, entries...)
}
