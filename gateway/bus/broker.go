package bus

import (
	"context"
	"time"

	"wsfpm/gateway/redis"
)

// broker is a publish/subscribe server, or several that work as one: it carries payloads
// between processes under names. [Bus] has one broker, and one line of it at a time. All
// methods are safe for concurrent use.
type broker interface {
	// Open connects and subscribes to the name that the broker was made with, which is the
	// same in every process. It returns when that is confirmed, and an error when ctx ends
	// or the server does not answer within seconds.
	Open(ctx context.Context) (line, error)
	// Publish sends one payload, once, and returns how many subscribers the server has
	// for the name. It waits for the answer until ctx ends. After an error the payload
	// may still arrive.
	Publish(ctx context.Context, name string, payload []byte) (heard int64, err error)
	// PublishAll is Publish for several payloads, in order and in one round trip. It returns
	// the error of each.
	PublishAll(ctx context.Context, list []redis.Payload) []error
	// Moves reports whether a failover may leave an open line at another server than the
	// one that publishes go to, see [Bus.watch].
	Moves() bool
	// Close ends all connections. The line has been closed before; a publish that comes
	// later returns an error.
	Close() error
}

// line is one connection that receives what is published. It never reconnects: the first
// error of a method ends it, and the Bus opens the next.
//
// For each name of Subscribe, SubscribePatterns and Unsubscribe the server confirms by an
// event of its own, in the order of the calls and of the names in them. What is published
// under a name, or one that matches a pattern, after its confirmation is received, in the
// order that the server got it.
//
// One goroutine calls Receive, one other the methods above it; Close may be called by any
// goroutine and several times. They do not wait for confirmations. No list is empty.
type line interface {
	Subscribe(names []string) error
	// SubscribePatterns subscribes to glob patterns, as PSUBSCRIBE of Redis reads them. It
	// is called only when relays are configured.
	SubscribePatterns(patterns []string) error
	Unsubscribe(names []string) error
	// Ping asks for an EventPong, or any other event.
	Ping() error
	// Receive waits for the next event. That none came within timeout is an error.
	Receive(timeout time.Duration) (redis.Event, error)
	// Close wakes receive.
	Close()
}

// redisBroker is the [broker] that package redis implements.
type redisBroker struct{ *redis.Client }

func newRedisBroker(url, anchor string) (redisBroker, error) {
	c, err := redis.New(url, anchor)
	return redisBroker{c}, err
}

// Open returns the line as an interface.
func (b redisBroker) Open(ctx context.Context) (line, error) {
	l, err := b.Client.Open(ctx)
	if err != nil {
		return nil, err
	}
	return l, nil
}
