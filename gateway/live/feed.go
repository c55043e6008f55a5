package live

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"wsfpm/gateway"
)

// The bounds of a feed.
const (
	MostReaders = 4
	mostWaiting = 1 << 20 // bytes of a reader's lines that it has not taken
)

// ErrTooMany is returned while [MostReaders] have the feed open.
var ErrTooMany = errors.New("4 readers have events or figures open, the maximum: close another one")

// Feed passes events to readers. It is safe for concurrent use.
type Feed struct {
	watch func(func(*gateway.Event)) (stop func())

	mu      sync.Mutex
	readers int
}

// NewFeed returns a feed of [gateway.Gateway.Observe].
func NewFeed(watch func(func(*gateway.Event)) (stop func())) *Feed {
	return &Feed{watch: watch}
}

// open has see called with each event until stop is called.
func (f *Feed) open(see func(*gateway.Event)) (stop func(), err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.readers == MostReaders {
		return nil, ErrTooMany
	}
	f.readers++
	end := f.watch(see)
	return sync.OnceFunc(func() {
		end()
		f.mu.Lock()
		defer f.mu.Unlock()
		f.readers--
	}), nil
}

// Reader is the events that a filter selects, as lines of JSON. [Reader.Close] ends it.
type Reader struct {
	// Close frees the reader's place.
	Close func()

	match func(*gateway.Event) bool
	line  func(*gateway.Event) ([]byte, error)
	more  chan struct{} // capacity one: there are lines

	mu      sync.Mutex
	lines   []byte
	dropped int64 // events without room
}

// Open begins to collect events for a reader, with the content of messages if bodies is set.
func (f *Feed) Open(filter Filter, bodies bool) (*Reader, error) {
	text := 0
	if bodies {
		text = MaxBody
	}
	return f.Collect(filter.Matches, func(e *gateway.Event) ([]byte, error) { return json.Marshal(NewRecord(e, text)) })
}

// Collect is Open for the events that match, with lines in another form. Line has the event
// for the time of the call only, and leaves the newline to the reader.
func (f *Feed) Collect(match func(*gateway.Event) bool, line func(*gateway.Event) ([]byte, error)) (*Reader, error) {
	r := &Reader{match: match, line: line, more: make(chan struct{}, 1)}
	var err error
	r.Close, err = f.open(r.see)
	return r, err
}

// see collects an event. It does not wait.
func (r *Reader) see(e *gateway.Event) {
	if !r.match(e) {
		return
	}
	if !r.add(nil) { // without the work of making a line
		return
	}
	line, err := r.line(e)
	if err != nil {
		return // no record has what JSON cannot hold
	}
	if r.add(append(line, '\n')) {
		select {
		case r.more <- struct{}{}:
		default:
		}
	}
}

// add appends a line, or counts its event as dropped if there is no room. Other events may
// have taken the room since it was looked for.
func (r *Reader) add(line []byte) (room bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if room = len(r.lines) < mostWaiting; !room {
		r.dropped++
		return false
	}
	r.lines = append(r.lines, line...)
	return true
}

// Next waits for events and returns their lines. Events that were dropped after them are one
// more line, {"dropped": 17}. The error is that of ctx, once there are no lines.
func (r *Reader) Next(ctx context.Context) (lines []byte, err error) {
	select {
	case <-r.more:
	case <-ctx.Done():
		select {
		case <-r.more:
		default:
			return nil, ctx.Err()
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	lines, r.lines = r.lines, nil
	if r.dropped > 0 {
		lines = fmt.Appendf(lines, "{\"dropped\":%d}\n", r.dropped)
		r.dropped = 0
	}
	return lines, nil
}
