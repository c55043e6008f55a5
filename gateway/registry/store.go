package registry

import (
	"context"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// Store is the Redis that holds the registry; [redis.Client] implements it. It is safe for
// concurrent use, and repeats nothing by itself.
type Store interface {
	// Do sends one command. A missing key is nil.
	Do(ctx context.Context, args ...any) (any, error)
	// Pipeline sends commands in one round trip and returns their replies in order. After
	// an error that is not [redis.Refused] a command may have been carried out.
	Pipeline(ctx context.Context, commands ...[]any) []redis.Reply
}

// run runs scripts in one round trip, by their hash, and those that Redis does not know once
// more by their text.
func run(ctx context.Context, s Store, calls []Call) []redis.Reply {
	commands := make([][]any, len(calls))
	for i := range calls {
		commands[i] = calls[i].command("evalsha", calls[i].Script.hash())
	}
	replies := s.Pipeline(ctx, commands...)
	for i, r := range replies {
		if r.Err != nil && strings.HasPrefix(r.Err.Error(), "NOSCRIPT") {
			replies[i] = s.Pipeline(ctx, calls[i].command("eval", calls[i].Script.Text))[0]
		}
		if err := replies[i].Err; err != nil {
			replies[i].Err = commandOf(err, calls[i].Script.Text)
		}
	}
	return replies
}

// commandOf finds, for an error of a script, the commands in the line that it names: Redis does
// not say which command a user may not run.
func commandOf(err error, text string) error {
	_, after, found := strings.Cut(err.Error(), "user_script:")
	digits, _, _ := strings.Cut(after, ".")
	number, bad := strconv.Atoi(digits)
	lines := strings.Split(text, "\n")
	if !found || bad != nil || number < 1 || number > len(lines) {
		return err
	}
	var names []string
	for _, part := range strings.Split(lines[number-1], "redis.call('")[1:] {
		name, _, _ := strings.Cut(part, "'")
		names = append(names, name)
	}
	return fmt.Errorf("%w (it runs %s)", err, strings.Join(names, ", "))
}

// hash is the name of a script in Redis.
func (s Script) hash() string {
	sum := sha1.Sum([]byte(s.Text))
	return hex.EncodeToString(sum[:])
}

// command is the call as EVAL or EVALSHA.
func (c *Call) command(name, script string) []any {
	args := []any{name, script, len(c.Keys)}
	for _, k := range c.Keys {
		args = append(args, k)
	}
	return append(args, c.Args...)
}

// scan returns about bite fields of a hash, each followed by its value, and the cursor of
// the next part; 0: this was the last. A field may come twice.
func scan(ctx context.Context, s Store, key string, cursor uint64) (pairs []string, next uint64, err error) {
	reply, err := s.Do(ctx, "hscan", key, cursor, "count", bite)
	if err != nil {
		return nil, 0, err
	}
	list, _ := reply.([]any)
	if len(list) != 2 {
		return nil, 0, fmt.Errorf("answer to HSCAN: %T of %d parts", reply, len(list))
	}
	if next, err = strconv.ParseUint(fmt.Sprint(list[0]), 10, 64); err != nil {
		return nil, 0, fmt.Errorf("answer to HSCAN: cursor: %w", err)
	}
	fields, _ := list[1].([]any)
	for _, f := range fields {
		pairs = append(pairs, fmt.Sprint(f))
	}
	return pairs, next, nil
}

// Try runs what the registry needs of Redis, under a node's name that no node has, and
// returns the first error. It leaves nothing.
func Try(ctx context.Context, s Store, prefix, node string) error {
	k := keys(prefix)
	record := Record{Version: 1, Counted: []session.Address{session.Channel(node)}}
	first := &write{creates: true, head: record.head(node), tail: record.tail()}
	record.Version, record.Counted = 2, nil
	second := &write{head: record.head(node), tail: record.tail()}
	for _, c := range []Call{k.put(first, node, node), k.put(second, node, node), k.beat(node, node, 1), k.unregister(node, node)} {
		if err := run(ctx, s, []Call{c})[0].Err; err != nil {
			return fmt.Errorf("script %s: %w", c.Script.Name, err)
		}
	}
	if _, _, err := scan(ctx, s, k.node(node), 0); err != nil {
		return fmt.Errorf("HSCAN: %w", err)
	}
	beat, err := s.Do(ctx, "zscore", k.all(), node)
	if err != nil {
		return fmt.Errorf("ZSCORE: %w", err)
	}
	calls := []Call{k.claim(death{node: node, beat: fmt.Sprint(beat)}, node), k.retire(node)} // of the tombstone the time is short
	calls[0].Args[len(calls[0].Args)-1] = "1"
	for _, c := range calls {
		if err := run(ctx, s, []Call{c})[0].Err; err != nil {
			return fmt.Errorf("script %s: %w", c.Script.Name, err)
		}
	}
	return nil
}

// Policy returns maxmemory_policy of INFO memory; "": the server does not say.
func Policy(ctx context.Context, s Store) (string, error) {
	reply, err := s.Do(ctx, "info", "memory")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(fmt.Sprint(reply)) {
		if value, found := strings.CutPrefix(line, "maxmemory_policy:"); found {
			return strings.TrimSpace(value), nil
		}
	}
	return "", nil
}
