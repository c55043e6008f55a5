package fcgi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Causes of an [*Error], for [errors.Is]. Every error of [Pool.Do] and of [Response]
// wraps one of these.
var (
	// ErrOverloaded: no slot became free in time, or none was expected to.
	ErrOverloaded = errors.New("overloaded")
	// ErrTimeout: the request's timeout or its context's deadline has passed.
	ErrTimeout = errors.New("timed out")
	// ErrCanceled: the caller's context ended.
	ErrCanceled = errors.New("canceled")
	// ErrTruncated: the connection or the answer ended before the answer was complete.
	// The part that arrived must not be used.
	ErrTruncated = errors.New("answer cut off")
	// ErrTooLarge: a parameter, the header block or the body exceeds its limit.
	ErrTooLarge = errors.New("too large")
	// ErrProtocol: the application server violated FastCGI or CGI.
	ErrProtocol = errors.New("protocol error")
	// ErrUnavailable: the application server cannot be reached.
	ErrUnavailable = errors.New("application server unreachable")
	// ErrClosed: the pool or the response was closed.
	ErrClosed = errors.New("closed")
)

// Phase is the stage at which a request failed.
type Phase uint8

// The phases, in order.
const (
	PhaseQueue Phase = iota // waiting for a slot
	PhaseDial               // connecting
	PhaseSend               // writing the request
	PhaseWait               // waiting for the answer's header block
	PhaseBody               // reading the answer's body
	PhaseEnd                // at END_REQUEST: the answer is inconsistent
)

// String returns the phase as one word, fit for a metric's label.
func (p Phase) String() string {
	return [...]string{"queue", "dial", "send", "wait", "body", "end"}[p]
}

// doing describes the phase, for Error.
func (p Phase) doing() string {
	return [...]string{"wait for a worker for", "connect for", "send the request for",
		"wait for the answer of", "read the answer of", "end the answer of"}[p]
}

// Sent reports whether the script may have run.
type Sent uint8

// Only after SentNo is it safe to repeat a request.
const (
	SentNo    Sent = iota // the script did not start
	SentMaybe             // it may have run, partly or completely
	SentYes               // it ran: part of its answer arrived
)

// String returns no, maybe or yes.
func (s Sent) String() string { return [...]string{"no", "maybe", "yes"}[s] }

// Error describes a failed request.
type Error struct {
	Phase  Phase
	Sent   Sent
	Script string // SCRIPT_FILENAME
	ID     string // Request.ID
	Err    error  // one of the errors above, usually with its cause
	// Granted is when the request got its slot; zero if it got none.
	Granted time.Time

	freed <-chan struct{} // see Freed; nil when the slot was free at once
}

// Freed returns, for an error that leaves a script running, a channel that is closed
// when the script has ended or is no longer waited for. It returns nil for any other
// error, timeouts included.
func Freed(err error) <-chan struct{} {
	e, ok := errors.AsType[*Error](err)
	if !ok || errors.Is(err, ErrTimeout) {
		return nil
	}
	return e.freed
}

// Error returns a one-line description.
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

// reason returns the cause that err wraps as one word, for a metric's label.
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

// contextError returns one of the causes above for the end of ctx, which it wraps.
func contextError(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("%w: %w", ErrTimeout, ctx.Err())
	}
	return fmt.Errorf("%w: %w", ErrCanceled, ctx.Err())
}
