package gateway

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"go.uber.org/zap"

	"wsfpm/fcgi"
	"wsfpm/gateway/cookies"
	"wsfpm/gateway/phpreport"
	"wsfpm/session"
)

// exchange is the memory of one call, used again by the next.
type exchange struct {
	request fcgi.Request
	vars    [20]fcgi.Var
}

var exchanges = sync.Pool{New: func() any { return new(exchange) }}

// call runs the script for one event and returns its answer, complete and
// valid, or the reason why there is none. A streamed answer has been sent on
// by then. An event without an answer is counted here, any other by whoever
// applies the answer, which may fail too.
func (c *connection) call(ctx context.Context, e event) (a reply, err error) {
	began := time.Now()
	defer func() {
		a.took = time.Since(began)
		if err != nil {
			c.g.stats.event(e.kind, err, a.took)
		}
	}()
	if err := c.followLinks(began); err != nil {
		return reply{}, err
	}
	rt := c.route()
	x := exchanges.Get().(*exchange)
	x.request = fcgi.Request{
		Env:       c.env,
		Vars:      e.vars(x.vars[:0], c),
		Body:      e.body,
		ID:        c.id(),
		Lane:      e.lane(),
		Owner:     c.owner(),
		Finish:    e.kind == kindConnect, // its answer decides whether a disconnect event follows
		Timeout:   time.Duration(rt.Timeout),
		MaxAnswer: int64(rt.AnswerLimit),
	}
	answer, err := rt.pool.Do(ctx, &x.request)
	if err != nil {
		c.running = fcgi.Freed(err)
		x.request = fcgi.Request{}
		exchanges.Put(x)
		return reply{}, err
	}
	defer func() {
		answer.Close()
		c.running = answer.Freed()
		x.request = fcgi.Request{}
		exchanges.Put(x)
	}()
	h, err := parseHead(answer.Status, answer.Header)
	if err != nil {
		if h.mediaType == typeStream { // its script may run for long: end it rather than wait for it
			answer.SetStream(0, time.Duration(rt.StreamTimeout))
		}
		return reply{}, err
	}
	if e.kind == kindMessage && h.mediaType == typeStream && answersWith(rt, h.status) && !h.died {
		return reply{}, c.stream(ctx, rt, h, answer)
	}
	body, err := answer.ReadAll()
	if err != nil {
		return reply{}, err
	}
	return c.judge(rt, e.kind, h, body, answer)
}

// judge decides whether a complete answer counts, and puts it into commands.
func (c *connection) judge(rt *route, k kind, h head, body []byte, answer *fcgi.Response) (reply, error) {
	stderr, unseen := answer.Stderr()
	if rt.DetectPHPErrors {
		if k == kindConnect && unseen > 0 {
			return reply{}, withDetail(failed("the connect script wrote %d bytes to stderr, too many to look for errors in", len(stderr)+unseen), stderr, body)
		}
		if report := phpreport.Find(c.env.Script(), k == kindConnect, stderr, body); report != "" {
			return reply{}, withDetail(failed("PHP reported %q", clip(report)), stderr, body)
		}
	}
	if h.died {
		return reply{}, withDetail(failed("the script ended early, with PHP's exit status 255 (WS-Failed)"), stderr, body)
	}
	if phpreport.NotRun(h.status, stderr, body) {
		return reply{}, withDetail(failed("PHP-FPM cannot run SCRIPT_FILENAME %s: is it there, readable for PHP-FPM's user, and allowed by security.limit_extensions?", c.env.Script()), stderr, body)
	}
	if len(stderr) > 0 {
		c.log().Warn("script wrote to stderr", zap.Stringer("event", k), zap.ByteString("php", clipBytes(stderr)))
	}
	if k == kindConnect {
		if err := c.checkConnect(rt, h, body); err != nil {
			return reply{}, err
		}
	} else if !answersWith(rt, h.status) {
		return reply{}, failed("the script answered with status %d", h.status)
	}
	a, err := parseAnswer(h, body)
	if err != nil {
		return reply{}, err
	}
	if err := c.checkHead(k, h); err != nil {
		return reply{}, err
	}
	return a, nil
}

// checkConnect makes of an answer that does not let the client in a refusal.
func (c *connection) checkConnect(rt *route, h head, body []byte) error {
	switch {
	case h.status < 200 || h.status > 599:
		return failed("the connect script answered with status %d", h.status)
	case h.status >= 500:
		refused := refuse(h.status, "script", "the connect script answered with status %d", h.status)
		for _, v := range h.fields.Values("Retry-After") {
			refused.header = http.Header{"Retry-After": {v}}
		}
		return refused
	case h.status >= 300:
		refused := refuse(h.status, "script", "the connect script refused the client")
		refused.header, refused.body = make(http.Header), append([]byte{}, body...) // not nil: an empty body stays empty
		passOn(refused.header, h.fields, notOnRefusal)
		return refused
	case rt.DetectPHPErrors && !h.accepted && phpreport.ComesFirst(body):
		return failed("the connect script accepted the client behind output that it did not mean (%q): a refusal would have been lost", clip(string(body)))
	case !h.acceptedBy(rt):
		return failed(`the connect script did not send "WS-Accept: 1", which the route's accept = "header" asks for`)
	}
	return nil
}

// checkHead checks what depends on the event.
func (c *connection) checkHead(k kind, h head) error {
	if k != kindConnect && h.protocol != "" && h.protocol != c.protocol {
		return failed("WS-Protocol on a %s event: the subprotocol is agreed on connect", k)
	}
	return nil
}

// withDetail adds to a failure what PHP said: on stderr, else in its output.
func withDetail(err error, stderr, body []byte) error {
	var f *failure
	if errors.As(err, &f) {
		if f.detail = string(clipBytes(stderr)); f.detail == "" {
			f.detail = string(clipBytes(body))
		}
	}
	return err
}

// keepCookies keeps the cookies of an accepted answer with the connection, so that
// later events carry them: a browser that has its 101 already cannot.
func (c *connection) keepCookies(lines []string) {
	if len(lines) == 0 {
		return
	}
	old := c.env.Params()
	header, ignored := cookies.Set(old["HTTP_COOKIE"], lines, time.Now())
	if ignored > 0 {
		c.log().Warn("cookies ignored", zap.Int("lines", ignored))
	}
	if header == old["HTTP_COOKIE"] {
		return
	}
	params, err := c.g.withCookies(c, old, header)
	if err == nil {
		var env *fcgi.Env
		if env, err = newEnv(params); err == nil {
			c.env = env
		}
	}
	if err != nil {
		c.log().Warn("cookies ignored", zap.Error(err))
	}
}

// next is the membership after an answer's commands for its own connection. The
// messages that they send it are appended to messages, in order.
func (c *connection) next(from session.Membership, a *reply, messages []*session.Message) (session.Membership, []*session.Message, error) {
	limit := c.g.settings.Load().Limits.Channels
	for i := -1; i < len(a.more); i++ {
		command := &a.own
		if i >= 0 {
			command = &a.more[i]
		}
		var err error
		if from, err = from.With(*command, limit); err != nil {
			c.g.stats.reached.channels.Add(1)
			return from, nil, failed("%v (limits.channels)", err)
		}
		if command.Message != nil {
			messages = append(messages, command.Message)
		}
	}
	return from, messages, nil
}

// closing is the last close that an answer asks for, or nil.
func (a *reply) closing() *session.Close {
	for i := len(a.more) - 1; i >= 0; i-- {
		if a.more[i].Close != nil {
			return a.more[i].Close
		}
	}
	return a.own.Close
}

// clipBytes keeps what PHP wrote from filling the log.
func clipBytes(b []byte) []byte {
	const most = 4 << 10
	b = bytes.TrimSpace(b)
	return b[:min(len(b), most)]
}
