package bus

import (
	"context"
	"errors"
	"strings"
	"unicode/utf8"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// A relayed frame of a client is published on its address's own channel, so that only nodes
// with members get it. In front of it stand frameMark, a byte of flags, and two texts with a
// byte of length: the client's address, and the id of the connection that does not get it.
//
// No text begins with the mark, which is not UTF-8. A version of wsfpm that does not know it
// drops the frame, rather than take it for the word of a script.
const frameMark = "\xff\xfewsfpm-frame\x01"

// The flags of a frame.
const (
	frameBinary  = 1 << iota // else it is text
	frameWrapped             // see [session.Head]
)

var errFrame = errors.New("not a relayed frame of this version")

// isFrame reports whether a command is a relayed frame of a client.
func isFrame(c *session.Command) bool { return c.Message != nil && c.Message.Head().From != "" }

// hasFrame reports whether a payload claims to be a relayed frame.
func hasFrame(payload string) bool { return strings.HasPrefix(payload, frameMark) }

// encodeFrame returns the payload of a relayed frame for its address.
func encodeFrame(c *session.Command) []byte {
	h, data := c.Message.Head(), c.Message.Data()
	var flags byte
	if c.Message.Binary() {
		flags |= frameBinary
	}
	if h.Wrapped {
		flags |= frameWrapped
	}
	except := ""
	if len(c.Except) > 0 {
		except = c.Except[0].Name
	}
	b := make([]byte, 0, len(frameMark)+3+len(h.From)+len(except)+len(data))
	b = append(append(b, frameMark...), flags, byte(len(h.From)))
	b = append(append(b, h.From...), byte(len(except)))
	return append(append(b, except...), data...)
}

// decodeFrame reads a payload of encodeFrame that was published for an address. The command
// goes to that address and to no other.
func decodeFrame(payload string, to session.Address) (c session.Command, err error) {
	rest := strings.TrimPrefix(payload, frameMark)
	if rest == payload || rest == "" || to.Kind == session.KindAll {
		return c, errFrame
	}
	flags := rest[0]
	from, rest, ok := cutText(rest[1:])
	if !ok {
		return c, errFrame
	}
	except, data, ok := cutText(rest)
	sender, err := session.ParseAddress(from)
	switch {
	case !ok, err != nil, sender.Kind != session.KindUser && sender.Kind != session.KindConn:
		return c, errFrame
	case flags&^(frameBinary|frameWrapped) != 0, flags == frameBinary|frameWrapped:
		return c, errFrame
	case flags&frameBinary == 0 && !utf8.ValidString(data):
		return c, errFrame
	}
	c.To = []session.Address{to}
	if except != "" {
		if session.CheckName(except) != nil {
			return c, errFrame
		}
		c.Except = []session.Address{session.Conn(except)}
	}
	head := session.Head{From: from, Wrapped: flags&frameWrapped != 0}
	c.Message = session.NewMessageWith(head, flags&frameBinary != 0, []byte(data))
	return c, nil
}

// cutText cuts a text with its length in front off s.
func cutText(s string) (text, rest string, ok bool) {
	if s == "" || len(s) <= int(s[0]) {
		return "", "", false
	}
	end := 1 + int(s[0])
	return s[1:end], s[end:], true
}

// mostFrames is how many frames are sent to Redis at once.
const mostFrames = 128

// publication is a frame on its way to Redis.
type publication struct {
	redis.Payload
	ended chan error // gets the result; has room for it
}

// publishFrame publishes a frame with those of other connections that wait at the same time.
func (b *Bus) publishFrame(ctx context.Context, payload redis.Payload) error {
	p := publication{payload, make(chan error, 1)}
	select {
	case b.frames <- p:
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ended:
		return ErrClosed
	}
	select {
	case err := <-p.ended:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-b.ended:
		return ErrClosed
	}
}

// publishFrames sends the frames that wait in one round trip, then those that came meanwhile
// (group commit), until ctx ends: a round trip for each of many small frames would cost more
// than all else.
func (b *Bus) publishFrames(ctx context.Context) {
	var batch []publication
	var payloads []redis.Payload
	for {
		batch, payloads = batch[:0], payloads[:0]
		select {
		case p := <-b.frames:
			batch = append(batch, p)
		case <-ctx.Done():
			return
		}
		for len(batch) < mostFrames && len(b.frames) > 0 {
			batch = append(batch, <-b.frames)
		}
		for _, p := range batch {
			payloads = append(payloads, p.Payload)
		}
		confirm, cancel := context.WithTimeout(ctx, b.cfg.Confirm)
		for i, err := range b.broker.PublishAll(confirm, payloads) {
			batch[i].ended <- err
		}
		cancel()
		clear(batch)
		clear(payloads)
	}
}

// deliverFrame delivers a relayed frame.
func (b *Bus) deliverFrame(ctx context.Context, e redis.Event, to session.Address) error {
	b.counts.frame.Add(1)
	if int64(len(e.Payload)) > b.cfg.PushLimit {
		b.drop(e, errTooLarge, &b.counts.tooLarge)
		return nil
	}
	c, err := decodeFrame(e.Payload, to)
	if err != nil {
		b.drop(e, err, &b.counts.malformed)
		return nil
	}
	return b.pass(ctx, &c)
}
