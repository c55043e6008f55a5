package gateway

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/config"
	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/phpreport"
)

// exchange is the memory of one call, used again by the next.
type exchange struct {
	request fcgi.Request
	vars    [20]fcgi.Var
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// reply is an event's answer, complete and valid.
type reply struct {
	answer.Reply
	began    time.Time
	granted  time.Time     // when it got a worker; zero: not at all, or see the error
	took     time.Duration // of the event, until the end of the answer
	pushes   pushes        // of connect
	streamed bool          // it has been sent on
	told     *told         // nil: there is no observer
	cached   bool          // PHP has not run
}

// call runs the script for one event and returns its answer, complete and
// valid, or the reason why there is none. A streamed answer has been sent on
// by then. An event without an answer is counted here, any other after its
// answer was applied, which may fail too.
func (c *connection) call(ctx context.Context, e event) (a reply, err error) {
	began := time.Now()
	var granted time.Time
	var noted *told
	defer func() {
		a.began, a.granted, a.took, a.told = began, granted, time.Since(began), noted
		if err != nil {
			c.concluded(&e, &a, err)
		}
	}()
	rt := e.route
	if p := c.rt.files.current(began); p != c.paths && !e.whole {
		if err := c.followLinks(p); err != nil {
			return reply{}, err
		}
	}
	id, membership := c.session.ID(), e.membershipOf(c)
	x := exchanges.Get().(*exchange)
	x.request = fcgi.Request{
		Env:       c.env,
		Vars:      e.vars(x.vars[:0], c, id, &membership),
		Body:      e.body,
		ID:        id,
		Lane:      e.lane(),
		Owner:     ownerOf(&membership, &c.client),
		Finish:    e.kind == kindConnect && !e.single, // its answer decides whether a disconnect event follows
		Waited:    e.waited,
		Timeout:   time.Duration(rt.Timeout),
		MaxAnswer: int64(rt.AnswerLimit),
	}
	if c.asksFirst(&e) {
		decided := e // only such an event is allocated
		x.request.Before = c.before(&decided)
	}
	if e.single || c.g.observers.any() {
		noted = note(&x.request)
	}
	response, ran, err := rt.upstream.Do(ctx, &x.request)
	if err != nil {
		c.running = fcgi.Freed(err)
		x.request = fcgi.Request{}
		exchanges.Put(x)
		return reply{}, err
	}
	granted = response.Granted()
	defer func() {
		response.Close()
		c.running = response.Freed()
		x.request = fcgi.Request{}
		exchanges.Put(x)
	}()
	h, err := answer.ParseHead(response.Status, response.Header)
	if err != nil {
		if h.IsStream() { // its script may run for long: end it rather than wait for it
			response.SetStream(0, time.Duration(rt.StreamTimeout))
		}
		return reply{}, malformed(err)
	}
	streams := e.kind == kindMessage && h.IsStream() && answer.Accepts(rt.AnswerStatuses, h.Status) && !h.Died
	if streams && !e.single {
		return reply{streamed: true}, c.stream(ctx, rt, ran, h, response)
	}
	body, err := readAll(rt, streams, response)
	if err != nil {
		return reply{}, err
	}
	a.streamed = streams
	a.Reply, err = c.judge(rt, e.kind, h, body, response)
	return a, err
}

// judge decides whether a complete answer counts, and puts it into commands.
func (c *connection) judge(rt *route, k kind, h answer.Head, body []byte, response *fcgi.Response) (a answer.Reply, err error) {
	stderr, unseen := response.Stderr()
	if rt.DetectPHPErrors {
		if k == kindConnect && unseen > 0 {
			return a, withDetail(failed("the connect script wrote %d bytes to stderr, too many to look for errors in", len(stderr)+unseen), stderr, body)
		}
		if report := phpreport.Find(c.env.Script(), k == kindConnect, stderr, body); report != "" {
			return a, withDetail(reported(report), stderr, body)
		}
	}
	if h.Died {
		return a, withDetail(failed("the script ended early, with PHP's exit status 255 (WS-Failed)"), stderr, body)
	}
	if phpreport.NotRun(h.Status, stderr, body) {
		return a, withDetail(refusedBy(h.Status, "PHP-FPM cannot run SCRIPT_FILENAME %s: is it there, readable for PHP-FPM's user, and allowed by security.limit_extensions?", c.env.Script()), stderr, body)
	}
	if len(stderr) > 0 {
		c.log().Warn("script wrote to stderr", zap.Stringer("event", k), zap.ByteString("php", clipBytes(stderr)))
	}
	if k == kindConnect {
		if err := c.checkConnect(rt, h, body); err != nil {
			return a, err
		}
	} else if !answer.Accepts(rt.AnswerStatuses, h.Status) {
		return a, refusedBy(h.Status, "the script answered with status %d", h.Status)
	}
	if a, err = answer.Parse(h, body); err != nil {
		return a, malformed(err)
	}
	if k != kindConnect && h.Protocol != "" && h.Protocol != c.protocol {
		return a, failed("WS-Protocol on a %s event: the subprotocol is agreed on connect", k)
	}
	if k != kindConnect && h.Resume.Named {
		return a, failed("WS-Resume on a %s event: messages that the client missed are sent after connect", k)
	}
	return a, nil
}

// checkConnect makes of an answer that does not let the client in a refusal.
func (c *connection) checkConnect(rt *route, h answer.Head, body []byte) error {
	switch {
	case h.Status < 200 || h.Status > 599:
		return failed("the connect script answered with status %d", h.Status)
	case h.Status >= 500:
		refused := refuse(h.Status, "script", "the connect script answered with status %d", h.Status)
		for _, v := range h.Fields.Values("Retry-After") {
			refused.header = http.Header{"Retry-After": {v}}
		}
		return refused
	case h.Status >= 300:
		refused := refuse(h.Status, "script", "the connect script refused the client")
		refused.header, refused.body = make(http.Header), append([]byte{}, body...) // not nil: an empty body stays empty
		passOn(refused.header, h.Fields, notOnRefusal)
		return refused
	case rt.DetectPHPErrors && !h.Accepted && phpreport.ComesFirst(body):
		const brief = "the connect script accepted the client after output that it did not mean: a refusal would have been lost"
		return &failure{reason: fmt.Sprintf("%s (%q)", brief, excerpt.Of(string(body))), brief: brief}
	case rt.Accept == config.AcceptHeader && !h.Accepted:
		return failed(`the connect script did not send "WS-Accept: 1", which the route's accept = "header" asks for`)
	}
	return nil
}
