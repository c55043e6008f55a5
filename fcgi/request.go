package fcgi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lane is the queue in which a request waits while all slots are taken.
type Lane uint8

// While all lanes have requests waiting, LaneHigh is served three times as often as
// LaneNormal, and LaneLow gets one slot of sixteen (weighted scheduling).
const (
	LaneHigh Lane = iota
	LaneNormal
	LaneLow

	lanes = 3
)

// Request is one execution of a script. [Pool.Do] does not modify it.
type Request struct {
	// Env holds the constant parameters, SCRIPT_FILENAME among them.
	Env *Env
	// Vars are this request's own parameters, such as REQUEST_METHOD and
	// CONTENT_TYPE. They follow the Env's. CONTENT_LENGTH is set from Body.
	Vars []Var
	// Body is the complete body: PHP would run a script on a truncated one without an
	// error. It must never be modified, not even after Do has failed: a slow worker may
	// still be receiving it.
	Body []byte
	// ID appears in errors and events.
	ID string
	// Lane is the queue to wait in while all slots are taken.
	Lane Lane
	// Owner is the user or address that the request is for: while others wait, the
	// requests of one owner hold at most Config.Share of the slots. Empty: no owner, no
	// such limit.
	Owner string
	// Finish limits Do's context to the wait for a slot and a connection: the end of the
	// context does not end a request that is being sent.
	Finish bool
	// Waited is for how long the request has waited elsewhere: so much less than
	// Config.QueueWait it waits for a slot.
	Waited time.Duration
	// Timeout bounds the time from getting a slot to the end of the answer.
	// 0: Config.Timeout.
	Timeout time.Duration
	// MaxAnswer bounds the answer's body. 0: Config.MaxAnswer.
	MaxAnswer int64
	// Before, if set, is called when the request has a connection, right before its first
	// byte is written; again when a request that no worker received is sent again. It
	// returns the request's Vars. After an error nothing is sent, and the error is not
	// counted as a failure. Its time is part of Timeout, and occupies the slot.
	Before func(ctx context.Context) ([]Var, error)
}

// Do waits for a slot, sends r and returns when the answer's header block has arrived.
// The caller must read the response to its end, or close it.
//
// Every error is an [*Error]. When ctx ends, Do returns at once, unless r.Finish is
// set; a script that has started keeps running and occupies its slot until it ends.
func (p *Pool) Do(ctx context.Context, r *Request) (*Response, error) {
	if err := r.check(); err != nil {
		return nil, p.failed(r, PhaseQueue, SentNo, err)
	}
	s, until, err := p.acquire(ctx, r)
	if err == errDown {
		return nil, p.failed(r, PhaseDial, SentNo, err)
	}
	if err != nil {
		return nil, p.failed(r, PhaseQueue, SentNo, err)
	}
	if ctx.Err() != nil {
		p.giveBack(s)
		return nil, p.failed(r, PhaseQueue, SentNo, contextError(ctx))
	}
	resp := newResponse(ctx, p, s, r)
	if err := resp.send(r, until); err != nil {
		return nil, err
	}
	if err := resp.readHeader(r, until); err != nil {
		return nil, err
	}
	return resp, nil
}

// check returns an error if r is invalid.
func (r *Request) check() error {
	if r.Env == nil {
		return errors.New("request without an Env")
	}
	if r.Lane >= lanes {
		return fmt.Errorf("no lane %d", r.Lane)
	}
	for _, v := range r.Vars {
		if err := v.check(); err != nil {
			return err
		}
	}
	return nil
}

// failed counts a failure and returns its [*Error].
func (p *Pool) failed(r *Request, phase Phase, sent Sent, err error) error {
	script := ""
	if r.Env != nil {
		script = r.Env.Script()
	}
	p.countFailure(phase, err)
	return &Error{Phase: phase, Sent: sent, Script: script, ID: r.ID, Err: err}
}

// send connects and sends r. If the kernel took no byte of it, it is sent again, once,
// on a new connection.
func (r *Response) send(req *Request, until time.Time) error {
	if r.deadline.Before(until) {
		until = r.deadline
	}
	for fresh := false; ; fresh = true {
		if err := r.pool.connect(r.ctx, &r.slot, until, fresh); err != nil {
			r.pool.release(r.slot, false)
			return r.failed(PhaseDial, SentNo, err)
		}
		decided, err := r.decided(req)
		if err != nil {
			return r.withdraw(err)
		}
		c := r.slot.conn
		r.use = c.begin()
		if req.Finish {
			r.ctx = context.WithoutCancel(r.ctx)
		}
		r.stop = c.interruptOn(r.ctx, r.use)
		read := r.deadline
		if r.short = c.probe && !c.accepted; r.short {
			read = earlier(read, time.Now().Add(stallAfter+c.dialing))
		}
		c.readBy(read)
		err = c.send(decided, r.deadline)
		if err == nil || c.sent > 0 {
			return nil // sent in part: the server may still answer
		}
		r.stop()
		if !c.accepted && isEnd(err) {
			r.pool.unanswered(c, err)
		}
		r.pool.drop(c)
		r.slot.conn = nil
		if isTimeout(err) || fresh {
			r.pool.release(r.slot, false)
			return r.failed(PhaseSend, SentNo, r.cause(err))
		}
		r.pool.count(func(s *Stats) { s.Retries++ })
	}
}

// decided returns the request to send: with the Vars of its Before, if it has one.
func (r *Response) decided(req *Request) (*Request, error) {
	if req.Before == nil {
		return req, nil
	}
	panicked := true
	defer func() {
		if panicked { // the caller may survive that: its slot is given back
			_ = r.withdraw(nil)
		}
	}()
	vars, err := req.Before(r.ctx)
	panicked = false
	if err != nil {
		return nil, err
	}
	decided := *req
	decided.Vars = vars
	return &decided, decided.check()
}

// withdraw gives the slot of a request back that is not to be sent after all. A connection
// that no worker has accepted yet is closed.
func (r *Response) withdraw(why error) error {
	if c := r.slot.conn; !c.accepted {
		r.pool.drop(c)
		r.slot.conn = nil
	}
	r.pool.giveBack(r.slot)
	return &Error{Phase: PhaseQueue, Sent: SentNo, Script: r.script, ID: r.id, Err: why, Granted: r.slot.since}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
