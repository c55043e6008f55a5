package fcgi

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Lane is the queue in which a request waits while all slots are taken.
type Lane uint8

// While all have requests waiting, LaneHigh is served three times as often as
// LaneNormal, and LaneLow gets one slot of sixteen.
const (
	LaneHigh Lane = iota
	LaneNormal
	LaneLow

	lanes = 3
)

// Request is one run of a script. [Pool.Do] does not change it.
type Request struct {
	// Env holds the parameters that stay the same; it names the script.
	Env *Env
	// Vars are this request's own parameters, such as REQUEST_METHOD and
	// CONTENT_TYPE. They follow the Env's. CONTENT_LENGTH is set from Body.
	Vars []Var
	// Body is complete before anything is sent: PHP would run a script on half a
	// body and say nothing. It must never be changed again, not even after Do has
	// failed: a worker that was slow to read may still be receiving it.
	Body []byte
	// ID is for errors and events only.
	ID string
	// Lane is where to wait while all slots are taken.
	Lane Lane
	// Owner is whom the request is for: while others wait, all requests of one
	// owner hold at most Config.Share of the slots. Empty: nobody in particular.
	Owner string
	// Finish keeps a request that is being sent from ending with Do's context: that
	// bounds the wait for a slot and a connection only.
	Finish bool
	// Timeout is the time from having a slot to the end of the answer.
	// 0: Config.Timeout.
	Timeout time.Duration
	// MaxAnswer bounds the answer's body. 0: Config.MaxAnswer.
	MaxAnswer int64
}

// Do waits for a slot, sends r and returns when the answer's header block has come.
// The caller must then read the response to its end, or close it.
//
// Every error is an [*Error]. When ctx ends, Do returns at once, unless r is to be
// finished; a script that has begun runs on, and its slot is taken until it ends.
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

// check finds what could never be sent.
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

// failed counts a failure and puts it into words.
func (p *Pool) failed(r *Request, phase Phase, sent Sent, err error) error {
	script := ""
	if r.Env != nil {
		script = r.Env.script
	}
	p.countFailure(phase, err)
	return &Error{Phase: phase, Sent: sent, Script: script, ID: r.ID, Err: err}
}

// send connects and sends r. When not one byte was taken by the kernel it is sent
// again, once, on a new connection.
func (r *Response) send(req *Request, until time.Time) error {
	if r.deadline.Before(until) {
		until = r.deadline
	}
	for fresh := false; ; fresh = true {
		if err := r.pool.connect(r.ctx, &r.slot, until, fresh); err != nil {
			r.pool.release(r.slot, false)
			return r.failed(PhaseDial, SentNo, err)
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
		err := c.send(req, r.deadline)
		if err == nil || c.sent > 0 {
			return nil // sent in part: the answer, or its lack, decides
		}
		r.stop()
		r.pool.drop(c)
		r.slot.conn = nil
		if isTimeout(err) || fresh {
			r.pool.release(r.slot, false)
			return r.failed(PhaseSend, SentNo, r.cause(err))
		}
		r.pool.count(func(s *Stats) { s.Retries++ })
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
