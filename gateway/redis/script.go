package redis

import (
	"context"
	"errors"

	goredis "github.com/redis/go-redis/v9"
)

// Script is a Lua script. It is safe for concurrent use.
type Script struct{ script *goredis.Script }

// NewScript returns a script; nothing is sent.
func NewScript(source string) *Script { return &Script{goredis.NewScript(source)} }

// Run runs a script: by its hash, and by its source if Redis does not know that. A missing
// key in the reply is nil. It waits for the answer until ctx ends, for at most 3 s; after an
// error that is not [Refused] the script may have run.
func (c *Client) Run(ctx context.Context, s *Script, keys []string, args ...any) (reply any, err error) {
	return value(s.script.Run(ctx, c.redis, keys, args...))
}

// Do sends one command, such as Do(ctx, "hgetall", key), once. A missing key is nil.
func (c *Client) Do(ctx context.Context, args ...any) (reply any, err error) {
	return value(c.redis.Do(ctx, args...))
}

// value is the reply of a command.
func value(cmd *goredis.Cmd) (any, error) {
	reply, err := cmd.Result()
	if errors.Is(err, goredis.Nil) {
		return nil, nil
	}
	return reply, err
}

// Reply is the answer to one command of [Client.Pipeline].
type Reply struct {
	Value any
	Err   error
}

// Pipeline sends commands in one round trip, which in a Cluster is one for each of its
// servers, and returns their replies in order. It is not a transaction.
func (c *Client) Pipeline(ctx context.Context, commands ...[]any) []Reply {
	pipe := c.redis.Pipeline()
	sent := make([]*goredis.Cmd, len(commands))
	for i, args := range commands {
		sent[i] = pipe.Do(ctx, args...)
	}
	_, _ = pipe.Exec(ctx) // each command has its error
	replies := make([]Reply, len(sent))
	for i, cmd := range sent {
		replies[i].Value, replies[i].Err = value(cmd)
	}
	return replies
}
