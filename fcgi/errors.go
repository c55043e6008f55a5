package fcgi

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// What can go wrong; test with [errors.Is]. Errors of [Pool.Do] and of [Response]
// are an [*Error] around one of these.
var (
	// ErrOverloaded: no slot came free in time, or would not have.
	ErrOverloaded = errors.New("overloaded")
	// ErrTimeout: the request's time, or its context's deadline, is over.
	ErrTimeout = errors.New("timed out")
	// ErrCanceled: the caller's context ended.
	ErrCanceled = errors.New("canceled")
	// ErrTruncated: the connection was lost, or the answer ended, before it was
	// complete. What had arrived must not be taken for an answer.
	ErrTruncated = errors.New("answer cut off")
	// ErrTooLarge: a parameter, the header block or the body exceeds its limit.
	ErrTooLarge = errors.New("too large")
	// ErrProtocol: the application server broke the FastCGI or CGI rules.
	ErrProtocol = errors.New("protocol error")
	// ErrUnavailable: the application server cannot be reached.
	ErrUnavailable = errors.New("application server unreachable")
	// ErrClosed: the pool or the response was closed.
	ErrClosed = errors.New("closed")
)

// Phase is how far a request had come when it failed.
type Phase uint8

// The phases, in order.
const (
	PhaseQueue Phase = iota // waiting for a slot
	PhaseDial               // connecting
	PhaseSend               // writing the request
	PhaseWait               // waiting for the answer's header block
	PhaseBody               // reading the answer's body
	PhaseEnd                // at END_REQUEST: the answer does not add up
)

// String returns the phase as one word, fit for a metric's label.
func (p Phase) String() string {
	return [...]string{"queue", "dial", "send", "wait", "body", "end"}[p]
}

// doing says what was going on, for Error.
func (p Phase) doing() string {
	return [...]string{"wait for a worker for", "connect for", "send the request for",
		"wait for the answer of", "read the answer of", "end the answer of"}[p]
}

// Sent says whether the script may have run.
type Sent uint8

// Only after SentNo may a request be repeated without a thought.
const (
	SentNo    Sent = iota // it certainly did not start
	SentMaybe             // it may have run, in part or whole
	SentYes               // it ran: part of its answer arrived
)

// String returns no, maybe or yes.
func (s Sent) String() string { return [...]string{"no", "maybe", "yes"}[s] }

// Error is how a request failed.
type Error struct {
	Phase  Phase
	Sent   Sent
	Script string // SCRIPT_FILENAME
	ID     string // Request.ID
	Err    error  // one of the errors above, usually with its cause

	freed <-chan struct{} // see Freed; nil when the slot was free at once
}

// Freed is for an error that leaves a script running: the channel is closed when
// the script has ended, or is waited for no longer. It is nil for any other error,
// and after a timeout, which is an end as well.
func Freed(err error) <-chan struct{} {
	var e *Error
	if !errors.As(err, &e) || errors.Is(err, ErrTimeout) {
		return nil
	}
	return e.freed
}

// Error says all of it in words.
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "fcgi: %s %s", e.Phase.doing(), e.Script)
	if e.ID != "" {
		fmt.Fprintf(&b, " (request %s)", e.ID)
	}
	fmt.Fprintf(&b, ": %v; ", e.Err)
	switch e.Sent {
	case SentNo:
		b.WriteString("the script did not run")
	case SentMaybe:
		b.WriteString("the script may have run")
	default:
		b.WriteString("the script did run")
	}
	return b.String()
}

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// reason is the sentinel that err wraps, as one word for a metric's label.
func reason(err error) string {
	for _, r := range []struct {
		err  error
		word string
	}{
		{ErrOverloaded, "overloaded"}, {ErrTimeout, "timeout"}, {ErrCanceled, "canceled"},
		{ErrTruncated, "truncated"}, {ErrTooLarge, "too_large"}, {ErrProtocol, "protocol"},
		{ErrUnavailable, "unavailable"}, {ErrClosed, "closed"},
	} {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "other"
}

// contextError turns the end of a context into one of ours that wraps it.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
	return fmt.Errorf("%w: %w", ErrCanceled, ctx.Err())
}
