package redis

import (
	"context"
	"fmt"
	"time"
)

// Once keeps values that several processes set by compare-and-set, each for a limited time.
// It is the store of package once, which says what each method promises. It needs Redis 7.
// It is safe for concurrent use; each call waits until ctx ends, for at most 3 s.
type Once struct {
	client          *Client
	replace, remove *Script
}

// NewOnce returns the values of a client made by [NewStore].
func NewOnce(c *Client) *Once {
	return &Once{
		client: c,
		replace: NewScript(`local has = redis.call('get', KEYS[1])
if has and has ~= ARGV[1] and has ~= ARGV[2] then return has end
redis.call('set', KEYS[1], ARGV[2], 'px', ARGV[3])
return false`),
		remove: NewScript(`if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('del', KEYS[1])`),
	}
}

// Claim stores value for ttl if the key has none, and returns "", else the key's value.
func (o *Once) Claim(ctx context.Context, key, value string, ttl time.Duration) (found string, err error) {
	return text(o.client.Do(ctx, "set", key, value, "nx", "get", "px", ttl.Milliseconds()))
}

// Look returns the key's value, "" if there is none, and for how long it will be kept.
func (o *Once) Look(ctx context.Context, key string) (value string, left time.Duration, err error) {
	// In this order: if the key is changed in between, the value is out of date, which
	// its comparison by Replace shows, and not the time.
	replies := o.client.Pipeline(ctx, []any{"get", key}, []any{"pttl", key})
	if value, err = text(replies[0].Value, replies[0].Err); err != nil {
		return "", 0, err
	}
	if err := replies[1].Err; err != nil {
		return "", 0, err
	}
	ms, ok := replies[1].Value.(int64)
	if !ok {
		return "", 0, fmt.Errorf("answer to PTTL: %T", replies[1].Value)
	}
	return value, time.Duration(ms) * time.Millisecond, nil
}

// Replace stores next for ttl if the key has the value old, or next, or none, and returns
// "", else the key's value.
func (o *Once) Replace(ctx context.Context, key, old, next string, ttl time.Duration) (found string, err error) {
	return text(o.client.Run(ctx, o.replace, []string{key}, old, next, ttl.Milliseconds()))
}

// Remove removes the key if it has the value old.
func (o *Once) Remove(ctx context.Context, key, old string) error {
	_, err := o.client.Run(ctx, o.remove, []string{key}, old)
	return err
}

// Check carries out each command on a key, which is removed, and returns why Redis refuses
// one: a right is missing, or it is older than 7.
func (o *Once) Check(ctx context.Context, key string) error {
	const life = 10 * time.Second
	if _, err := o.Claim(ctx, key, "a", life); err != nil {
		return err
	}
	if _, _, err := o.Look(ctx, key); err != nil {
		return err
	}
	if _, err := o.Replace(ctx, key, "a", "b", life); err != nil {
		return err
	}
	return o.Remove(ctx, key, "b")
}

// text is a reply that is a string or missing.
func text(reply any, err error) (string, error) {
	if err != nil || reply == nil {
		return "", err
	}
	s, ok := reply.(string)
	if !ok {
		return "", fmt.Errorf("a string was expected, not %T", reply)
	}
	return s, nil
}
