package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"wsfpm/fcgi"
	"wsfpm/session"
)

// The close codes that wsfpm sends by itself (RFC 6455, 7.4; 4408 is ours).
// Those of the protocol and of memory (1002, 1007, 1008, 1009, 1013, 4408) are package ws's.
var (
	closeFailed     = session.Close{Code: 1011, Reason: "internal error"}
	closeDraining   = session.Close{Code: 1012, Reason: "service restart"}
	closeExpired    = session.Close{Code: 1012, Reason: "limits.lifetime is reached"}
	closeIdle       = session.Close{Code: 1001, Reason: "idle for too long"}
	closeOverloaded = session.Close{Code: 1013, Reason: "try again later"}
	closeTooMany    = session.Close{Code: 1008, Reason: "too many connections of this user"}
)

// failure is an answer that is not taken: nothing of it is applied or sent.
type failure struct {
	reason string // for the log: what was wrong with the answer
	detail string // for the log: what PHP said
}

func (f *failure) Error() string { return f.reason }

func failed(format string, args ...any) error {
	return &failure{reason: fmt.Sprintf(format, args...)}
}

// malformed is the failure of an answer that is not by the contract.
func malformed(err error) error { return &failure{reason: err.Error()} }

// refusal is a handshake that is answered with a status rather than with 101.
type refusal struct {
	status int
	why    string      // for metrics: one of a fixed set, see docs/metrics.md
	header http.Header // may be nil
	body   []byte      // the status text when nil
	reason string      // for the log
	cause  error
	close  *session.Close // how a client ended that PHP had let in; nil: it was lost
}

func (r *refusal) Error() string { return r.reason }

func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, why, format string, args ...any) *refusal {
	return &refusal{status: status, why: why, reason: fmt.Sprintf(format, args...)}
}

func refuseDraining() *refusal {
	r := refuse(http.StatusServiceUnavailable, "draining", "draining")
	r.header, r.close = retryAfter(1), &closeDraining
	return r
}

// refusalFor is the only place where an error becomes the status of a refused
// handshake.
func refusalFor(err error) *refusal {
	var r *refusal
	if errors.As(err, &r) {
		return r
	}
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, fcgi.ErrOverloaded), errors.Is(err, fcgi.ErrClosed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, fcgi.ErrTimeout):
		status = http.StatusGatewayTimeout
	}
	r = &refusal{status: status, why: outcome(err), reason: "the connect event failed", cause: err}
	if status == http.StatusServiceUnavailable {
		r.header = retryAfter(5)
	}
	return r
}

// endFor is how a connection ended that PHP had let in, and whose handshake came
// to nothing.
func endFor(err error) cause {
	end := cause{code: lostCode}
	var r *refusal
	if errors.As(err, &r) && r.close != nil {
		end.code, end.reason = r.close.Code, r.close.Reason
	}
	return end
}

// closeFor is the only place where a failed event becomes a close code.
func closeFor(err error) session.Close {
	if errors.Is(err, fcgi.ErrOverloaded) {
		return closeOverloaded
	}
	return closeFailed
}

// outcome names how an event ended, for metrics and logs: one of a fixed set.
func outcome(err error) string {
	if err == nil {
		return "ok"
	}
	var f *failure
	switch {
	case errors.As(err, &f):
		return "answer"
	case errors.Is(err, fcgi.ErrOverloaded):
		return "overloaded"
	case errors.Is(err, fcgi.ErrTimeout):
		return "timeout"
	case errors.Is(err, fcgi.ErrCanceled):
		return "canceled"
	case errors.Is(err, fcgi.ErrUnavailable):
		return "unavailable"
	case errors.Is(err, fcgi.ErrTruncated), errors.Is(err, fcgi.ErrProtocol), errors.Is(err, fcgi.ErrTooLarge):
		return "cut"
	}
	return "refused"
}

func retryAfter(seconds int) http.Header {
	return http.Header{"Retry-After": {strconv.Itoa(seconds)}}
}
