package bus

import (
	"context"
	"time"
)

// broker is a publish/subscribe server, or several that work as one: it carries payloads
// between processes under names. [Bus] has one broker, and one line of it at a time. All
// methods are safe for concurrent use.
type broker interface {
	// open connects and subscribes to the name that the broker was made with, which is the
	// same in every process. It returns when that is confirmed, and an error when ctx ends
	// or the server does not answer within seconds.
	open(ctx context.Context) (line, error)
	// publish sends one payload, once, and returns how many subscribers the server has
	// for the name. It waits for the answer until ctx ends. After an error the payload
	// may still arrive.
	publish(ctx context.Context, name string, payload []byte) (heard int64, err error)
	// moves reports whether a failover may leave an open line at another server than the
	// one that publishes go to, see [Bus.watch].
	moves() bool
	// close ends all connections. The line has been closed before; a publish that comes
	// later returns an error.
	close() error
}

// line is one connection that receives what is published. It never reconnects: the first
// error of a method ends it, and the Bus opens the next.
//
// For each name of subscribe, subscribePatterns and unsubscribe the server confirms by an
// event of its own, in the order of the calls and of the names in them. What is published
// under a name, or one that matches a pattern, after its confirmation is received, in the
// order that the server got it.
//
// One goroutine calls receive, one other the methods above it; close may be called by any
// goroutine and several times. They do not wait for confirmations. No list is empty.
type line interface {
	subscribe(names []string) error
	// subscribePatterns subscribes to glob patterns, as PSUBSCRIBE of Redis reads them. It
	// is called only when relays are configured.
	subscribePatterns(patterns []string) error
	unsubscribe(names []string) error
	// ping asks for an eventPong, or any other event.
	ping() error
	// receive waits for the next event. That none came within timeout is an error.
	receive(timeout time.Duration) (event, error)
	// close wakes receive.
	close()
}

// event is a message or confirmation received on a line.
type event struct {
	kind    eventKind
	name    string // that was published under, or the name or pattern of a confirmation
	pattern string // of a relay's message
	payload string
}

type eventKind uint8

const (
	eventMessage eventKind = iota + 1
	eventSubscribed
	eventUnsubscribed
	eventPatternSubscribed
	eventPong
	eventOther // only shows that the server answers
)
