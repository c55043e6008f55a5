package durable

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"wsfpm/gateway/redis"
)

// localRoom bounds what a [local] holds for its reader, in bytes.
const localRoom = 16 << 20

// errLocalFull is returned while the reader has not kept up.
var errLocalFull = errors.New("the log is full: deliveries are behind")

// local is the [Store] of a process without Redis, and its only [Line]. It holds entries
// until they are read. Ids are made of the wall clock and never go back.
type local struct {
	mu         sync.Mutex // guards what follows
	milli, seq uint64     // of the newest id
	entries    []redis.Entry
	bytes      int64
	added      chan struct{} // closed and replaced by an append
}

// newLocal makes a log with one entry without a meaning, which gives it a position.
func newLocal() *local {
	l := &local{added: make(chan struct{})}
	l.add([]string{"", ""})
	return l
}

// Append adds entries. The error is always one before which nothing was stored.
func (l *local) Append(_ context.Context, entries ...[]string) (ids []string, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.bytes > localRoom {
		return nil, errLocalFull
	}
	for _, fields := range entries {
		ids = append(ids, l.add(fields))
	}
	close(l.added)
	l.added = make(chan struct{})
	return ids, nil
}

func (l *local) add(fields []string) (id string) {
	if now := uint64(time.Now().UnixMilli()); now > l.milli {
		l.milli, l.seq = now, 0
	} else {
		l.seq++
	}
	e := redis.Entry{ID: strconv.FormatUint(l.milli, 10) + "-" + strconv.FormatUint(l.seq, 10), Fields: fields}
	l.entries = append(l.entries, e)
	l.bytes += roundSize(l.entries[len(l.entries)-1:])
	return e.ID
}

// Open returns the log itself: there is one reader.
func (l *local) Open(context.Context) (Line, error) { return l, nil }

// Missing returns nothing: there are no rights.
func (l *local) Missing(context.Context) ([]string, error) { return nil, nil }

// Time is the time of this machine.
func (l *local) Time(context.Context) (time.Time, error) { return time.Now(), nil }

// Round returns all entries, whatever count is, and forgets them. It waits until there is
// one, for at most block.
func (l *local) Round(ctx context.Context, _ string, _ int, block time.Duration, _ bool) (redis.Round, error) {
	l.mu.Lock()
	added := l.added
	empty := len(l.entries) == 0
	l.mu.Unlock()
	if empty && block > 0 {
		select {
		case <-added:
		case <-time.After(block):
		case <-ctx.Done():
			return redis.Round{}, ctx.Err()
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	round := redis.Round{Entries: l.entries, Present: true}
	l.entries, l.bytes = nil, 0
	return round, nil
}

// Trim does nothing: what was read is gone.
func (l *local) Trim(context.Context, string) error { return nil }

// Close does nothing: a waiting Round ends with its context.
func (l *local) Close() {}
