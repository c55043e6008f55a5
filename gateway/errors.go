package gateway

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/phpreport"
	"wsfpm/session"
)

// The close codes of this package (RFC 6455, 7.4). Those of the protocol and of memory
// (1002, 1007, 1008, 1009, 1013, and a route's slow_code) are package ws's. The reason of badEnvelope names the
// mistake.
var (
	closeFailed     = session.Close{Code: 1011, Reason: "internal error"}
	closeDraining   = session.Close{Code: 1012, Reason: "service restart"}
	closeExpired    = session.Close{Code: 1012, Reason: "limits.lifetime is reached"}
	closeIdle       = session.Close{Code: 1001, Reason: "idle for too long"}
	closeOverloaded = session.Close{Code: 1013, Reason: "try again later"}
	closeBehind     = session.Close{Code: 1012, Reason: "relayed frames were lost"}
	closeTooMany    = session.Close{Code: 1008, Reason: "too many connections of this user"}
)

// expiredReason is the reason of a close with a route's expire_code.
const expiredReason = "session expired"

// badEnvelope is the close code after a message that wsfpm.v1 does not allow.
const badEnvelope = 4400

// failure is the error of an answer that is rejected as a whole.
type failure struct {
	reason string // for the log: the error in the answer
	brief  string // reason without text of PHP's output; "": there is none
	detail string // for the log: the output of PHP
	// refused: PHP itself answered with an error status, or did not run at all.
	refused bool
}

func (f *failure) Error() string { return f.reason }

func failed(format string, args ...any) error {
	return &failure{reason: fmt.Sprintf(format, args...)}
}

// reported returns the failure that PHP has reported by itself.
func reported(report string) error {
	return &failure{reason: fmt.Sprintf("PHP reported %q", excerpt.Of(report)), brief: fmt.Sprintf("PHP reported %q", phpreport.Kind(report))}
}

// refusedBy returns a failure that PHP itself has reported by the status.
func refusedBy(status int, format string, args ...any) error {
	return &failure{reason: fmt.Sprintf(format, args...), refused: status >= 400}
}

// malformed returns the failure of an answer that violates the contract.
func malformed(err error) error { return &failure{reason: err.Error()} }

// closeFor is the only place where a failed event becomes a close code.
func closeFor(err error) session.Close {
	switch {
	case errors.Is(err, fcgi.ErrOverloaded):
		return closeOverloaded
	case errors.Is(err, errSentAway):
		return closeDraining
	}
	return closeFailed
}

// errorText returns the message that a client receives for a failed event: the route's
// error message, or with dev = true the output of PHP.
func errorText(rt *route, err error) string {
	var f *failure
	switch {
	case rt.Dev && errors.As(err, &f) && f.detail != "":
		return f.detail
	case rt.Dev:
		return err.Error()
	case rt.OnError == config.OnErrorMessage:
		return rt.ErrorMessage
	}
	return ""
}

// withDetail adds PHP's output to a failure: stderr, else the body.
func withDetail(err error, stderr, body []byte) error {
	if f, ok := errors.AsType[*failure](err); ok {
		if f.detail = string(clipBytes(stderr)); f.detail == "" {
			f.detail = string(clipBytes(body))
		}
	}
	return err
}

// clipBytes limits the size of PHP's output in the log.
func clipBytes(b []byte) []byte {
	const most = 4 << 10
	b = bytes.TrimSpace(b)
	return b[:min(len(b), most)]
}

// errCut ends what a drain cannot wait for.
var errCut = fmt.Errorf("%w: the process ends", fcgi.ErrClosed)

// errSentAway ends a stream whose client is to be closed: the process ends, or its lifetime is
// over.
var errSentAway = fmt.Errorf("%w: the client is sent away, and its stream is cut", fcgi.ErrCanceled)

// errTakenOver ends an event that is not this node's to run: others took the node for dead.
var errTakenOver = errors.New("another node has taken the connection over")

// lostCode is the close code of a connection that broke (RFC 6455, 7.4.1).
const lostCode = 1006

// refusal is a handshake that is answered with another status than 101.
type refusal struct {
	status int
	why    string      // for metrics: one of a fixed set, see docs/metrics.md
	header http.Header // may be nil
	body   []byte      // the status text when nil
	reason string      // for the log
	cause  error
	close  *session.Close // how a client accepted by PHP ended; nil: it was lost
}

func (r *refusal) Error() string { return r.reason }

func (r *refusal) Unwrap() error { return r.cause }

func refuse(status int, why, format string, args ...any) *refusal {
	return &refusal{status: status, why: why, reason: fmt.Sprintf(format, args...)}
}

func refuseDraining() *refusal {
	r := refuse(http.StatusServiceUnavailable, "draining", "draining").later(1)
	r.close = &closeDraining
	return r
}

// later adds when the client may come back.
func (r *refusal) later(seconds int) *refusal {
	r.header = http.Header{"Retry-After": {strconv.Itoa(seconds)}}
	return r
}

// refusalFor is the only place where an error becomes the status of a refused
// handshake.
func refusalFor(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, fcgi.ErrOverloaded), errors.Is(err, fcgi.ErrClosed):
		status = http.StatusServiceUnavailable
	case errors.Is(err, fcgi.ErrTimeout):
		status = http.StatusGatewayTimeout
	}
	r := &refusal{status: status, why: outcome(err), reason: "the connect event failed", cause: err}
	if status == http.StatusServiceUnavailable {
		r.later(5)
	}
	return r
}

// endFor returns the cause of the disconnect event of a client that PHP had accepted, but
// whose handshake failed.
func endFor(err error) cause {
	end := cause{code: lostCode}
	if r, ok := errors.AsType[*refusal](err); ok && r.close != nil {
		end.code, end.reason = r.close.Code, r.close.Reason
	}
	return end
}
