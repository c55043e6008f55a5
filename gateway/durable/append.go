package durable

import (
	"context"
	"errors"
	"fmt"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// AppendError is the error of [Log.Append].
type AppendError struct {
	// Stored is set if the entries may be stored all the same: Redis has not answered.
	Stored bool
	// Err is the cause.
	Err error
}

// Error returns the cause, and whether the entries may be stored.
func (e *AppendError) Error() string {
	if e.Stored {
		return fmt.Sprintf("append to the log: %v (it may be stored all the same)", e.Err)
	}
	return fmt.Sprintf("append to the log: %v (it is not stored)", e.Err)
}

// Unwrap returns the cause.
func (e *AppendError) Unwrap() error { return e.Err }

// Append stores commands as entries of the log, together or not at all, and returns their
// positions. It returns when the store has answered, after Config.Confirm, or when ctx ends;
// while the log is loaded it waits for that first. It does not retry. Each command has passed [Check], and Self is resolved. The error is an
// [AppendError].
//
// The positions have the tag that this process has read last. After a failover that it has
// not seen yet they belong to no history: a client that returns with one is told of a gap.
func (l *Log) Append(ctx context.Context, commands []session.Command) ([]session.Position, error) {
	at, err := l.append(ctx, commands)
	if err != nil {
		l.counts.failed.Add(uint64(len(commands)))
		return nil, err
	}
	l.counts.appended.Add(uint64(len(commands)))
	return at, nil
}

func (l *Log) append(ctx context.Context, commands []session.Command) (list []session.Position, err error) {
	entries := make([][]string, len(commands))
	for i := range commands {
		if err := Check(&commands[i], l.cfg.PushLimit); err != nil {
			return nil, &AppendError{Err: err}
		}
		entries[i] = Fields(&commands[i])
	}
	ctx, cancel := context.WithTimeout(ctx, l.cfg.Confirm)
	defer cancel()
	l.Loaded(ctx) // after a gap it takes up to a second
	l.mu.Lock()
	tag, why := l.tag, l.why
	l.mu.Unlock()
	if tag == 0 {
		return nil, &AppendError{Err: errors.Join(ErrNotLoaded, why)}
	}
	ids, err := l.store.Append(ctx, entries...)
	if err != nil {
		return nil, &AppendError{Stored: !notStored(err), Err: err}
	}
	for _, id := range ids {
		at, err := parseID(id, tag)
		if err != nil {
			return nil, &AppendError{Stored: true, Err: err}
		}
		list = append(list, at)
	}
	return list, nil
}

// notStored reports whether an error proves that nothing was stored.
func notStored(err error) bool {
	return errors.Is(err, errLocalFull) || redis.Refused(err) || redis.NotSent(err)
}
