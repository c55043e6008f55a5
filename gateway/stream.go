package gateway

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/envelope"
	"wsfpm/gateway/phpreport"
)

// stream sends an answer line by line, as PHP flushes it. Its headers are applied first. A
// stream that ends badly is a failed event; lines sent before stay sent.
func (c *connection) stream(ctx context.Context, rt *route, on *pool, h answer.Head, response *fcgi.Response) error {
	// SetStream comes first: only a closed stream stops its script at the next flush. The
	// script of a refused stream would otherwise occupy a worker until its end.
	response.SetStream(time.Duration(rt.Timeout), time.Duration(rt.StreamTimeout))
	if !on.streams.tryAcquire() {
		return failed("too many concurrent streams: fpm.%s.max_streams is reached", on.name)
	}
	defer on.streams.release()
	ctx, cancel := context.WithTimeout(ctx, time.Duration(rt.StreamTimeout)) // includes waits for a slow client
	defer cancel()
	stop := context.AfterFunc(ctx, response.Close)
	defer stop()
	if !c.whenLost(cancel) {
		return c.streamEnded()
	}
	defer c.whenLost(nil)
	begin := answer.Reply{Head: h, Own: h.Own}
	with := c.closeAfter(&begin) // after the last line
	if begin.Own.Close = nil; c.closeAfter(&begin) != nil {
		begin.Own.Expires = nil
	}
	if err := c.apply(ctx, &begin); err != nil {
		return err
	}
	if err := c.sendLines(ctx, rt, response); err != nil {
		switch ctx.Err() {
		case context.Canceled:
			return c.streamEnded()
		case context.DeadlineExceeded:
			err = fmt.Errorf("%w: stream_timeout is over", fcgi.ErrTimeout)
		}
		stderr, _ := response.Stderr()
		return withDetail(err, stderr, nil)
	}
	c.endReplies(context.WithoutCancel(ctx))
	if with != nil {
		c.close(*with)
	}
	return nil
}

// sendLines reads the stream to its end and sends each line.
func (c *connection) sendLines(ctx context.Context, rt *route, response *fcgi.Response) error {
	lines := phpreport.Lines{Script: c.env.Script(), Look: rt.DetectPHPErrors}
	for {
		chunk, err := response.Next()
		last := err == io.EOF // the only regular end
		if err != nil && !last {
			return err
		}
		ready, report := lines.Add(chunk, last)
		if err := c.sendEach(ctx, ready); err != nil {
			return err
		}
		if report != "" {
			return reported(report)
		}
		if last {
			return c.streamEnd(rt, response)
		}
		if lines.Unfinished() > int(rt.AnswerLimit) {
			return failed("a line of the stream is longer than answer_limit")
		}
	}
}

// sendEach sends whole lines, and waits for a slow client to bound the memory of a stream.
func (c *connection) sendEach(ctx context.Context, lines []byte) error {
	for line := range bytes.Lines(lines) {
		message, err := answer.ParseLine(line)
		if err != nil {
			return malformed(err)
		}
		if message == nil {
			continue
		}
		if c.re != "" {
			message = envelope.Reply{To: c.re, More: true, Data: message}.Message()
		}
		if err := c.session.Reply(message); err != nil {
			return notEnded(err)
		}
		if err := c.drained(ctx); err != nil {
			return err
		}
	}
	return nil
}

// streamEnd looks for PHP's errors on stderr, which is now complete.
func (c *connection) streamEnd(rt *route, response *fcgi.Response) error {
	stderr, _ := response.Stderr()
	if !rt.DetectPHPErrors {
		return nil
	}
	if report := phpreport.Find(c.env.Script(), false, stderr, nil); report != "" {
		return reported(report)
	}
	return nil
}

// readAll reads the rest of an answer: a stream, too, within stream_timeout and answer_limit.
func readAll(rt *route, streams bool, response *fcgi.Response) (body []byte, err error) {
	if !streams {
		return response.ReadAll()
	}
	response.SetStream(time.Duration(rt.Timeout), time.Duration(rt.StreamTimeout))
	for {
		chunk, err := response.Next()
		body = append(body, chunk...)
		switch {
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, err
		case int64(len(body)) > int64(rt.AnswerLimit):
			return nil, failed("the stream is longer than answer_limit, and only a client can take more")
		}
	}
}
