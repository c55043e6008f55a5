package once

import (
	"context"
	"time"
)

// Store holds the values of message ids, for all processes; [redis.Once] implements it.
// Each method is one step for all of them. After an error it is open whether the step was
// executed, or will be executed later.
type Store interface {
	// Claim stores value for ttl if the key has none, and returns "". Else it returns
	// the value that the key has.
	Claim(ctx context.Context, key, value string, ttl time.Duration) (found string, err error)
	// Look returns the key's value and for how long it will be kept, "" if it has none. The
	// time may be that of a later value, never of an earlier one.
	Look(ctx context.Context, key string) (value string, left time.Duration, err error)
	// Replace stores next for ttl if the key has the value old, or next, or none, and
	// returns "". Else it returns the value that the key has.
	Replace(ctx context.Context, key, old, next string, ttl time.Duration) (found string, err error)
	// Remove removes the key if it has the value old.
	Remove(ctx context.Context, key, old string) error
}

// Nodes knows which processes are alive.
type Nodes interface {
	// Node is the name of this process. It is never used again after its end.
	Node() string
	// Dead reports whether a process has ended, or has been stopped for as long. It
	// reports false while that cannot be known.
	Dead(node string) bool
}
