package redis

import (
	"context"
	"errors"
	"fmt"
	"io"
	"syscall"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Event is a message or a confirmation received on a [Line].
type Event struct {
	Kind    EventKind
	Name    string // that was published under, or the name or pattern of a confirmation
	Pattern string // that the name matched, with SubscribePatterns
	Payload string
}

// EventKind is the kind of an [Event].
type EventKind uint8

// The kinds of event.
const (
	EventMessage EventKind = iota + 1
	EventSubscribed
	EventUnsubscribed
	EventPatternSubscribed
	EventPong
	EventOther // only shows that the server answers
)

// Line is one connection that receives published payloads. It never reconnects: after an
// error of a method it is unusable.
//
// For each name Redis confirms a subscription by an [Event] of its own, in the order of the
// calls and of the names in them. One goroutine may call Receive, one other the methods above
// it; Close may be called by any and several times. No list may be empty.
type Line struct {
	pubsub *goredis.PubSub
	ended  context.Context
}

// Open connects, subscribes to the anchor and waits for the confirmation, which proves
// that the connection works. It returns an error when ctx ends or Redis does not answer
// within 3 s.
func (c *Client) Open(ctx context.Context) (*Line, error) {
	// go-redis would reconnect and resubscribe silently inside any call. To dial it
	// needs a context that has not ended: all calls but the first get an ended one.
	ended, end := context.WithCancel(context.Background())
	end()
	l := &Line{pubsub: c.redis.Subscribe(ctx), ended: ended}
	err := l.pubsub.Subscribe(ctx, c.anchor)
	if err == nil {
		_, err = l.Receive(ioTimeout)
	}
	if err == nil {
		return l, nil
	}
	l.Close()
	if c.cluster != nil {
		c.cluster.ReloadState(ctx) // the anchor's node may have changed
	}
	if !c.secure && (errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET)) {
		err = fmt.Errorf("%w: Redis ended the connection without an answer, as its port for TLS does: that one needs rediss://", err)
	}
	return nil, err
}

// Subscribe subscribes to Redis channels. Like the other methods it does not wait for the
// confirmation.
func (l *Line) Subscribe(names []string) error {
	return l.pubsub.Subscribe(l.ended, names...)
}

// SubscribePatterns subscribes to glob patterns (PSUBSCRIBE).
func (l *Line) SubscribePatterns(patterns []string) error {
	return l.pubsub.PSubscribe(l.ended, patterns...)
}

// Unsubscribe ends subscriptions. Without names it would end all.
func (l *Line) Unsubscribe(names []string) error {
	return l.pubsub.Unsubscribe(l.ended, names...)
}

// Ping asks for an [EventPong], or any other event.
func (l *Line) Ping() error { return l.pubsub.Ping(l.ended) }

// Receive waits for the next event. After an error, including a timeout, the line is
// unusable: a reply may have been read partly.
func (l *Line) Receive(timeout time.Duration) (Event, error) {
	got, err := l.pubsub.ReceiveTimeout(l.ended, timeout)
	if err != nil {
		return Event{}, err
	}
	switch got := got.(type) {
	case *goredis.Message:
		return Event{Kind: EventMessage, Name: got.Channel, Pattern: got.Pattern, Payload: got.Payload}, nil
	case *goredis.Pong:
		return Event{Kind: EventPong}, nil
	case *goredis.Subscription:
		return Event{Kind: confirmation(got.Kind), Name: got.Channel}, nil
	}
	return Event{Kind: EventOther}, nil
}

func confirmation(kind string) EventKind {
	switch kind {
	case "subscribe":
		return EventSubscribed
	case "unsubscribe":
		return EventUnsubscribed
	case "psubscribe":
		return EventPatternSubscribed
	}
	return EventOther
}

// Close ends the connection and wakes Receive.
func (l *Line) Close() { _ = l.pubsub.Close() } // its only error says that it is closed
