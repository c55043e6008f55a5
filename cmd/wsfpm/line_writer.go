package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// logBuffer is how many bytes of log lines may wait until they are written;
// as many again may be under way.
const logBuffer = 1 << 20

// lineWriter writes log lines without ever making its caller wait: a bounded
// buffer, which one goroutine empties. When the reader of the log is slow, or
// has gone, lines are dropped and counted, and a notice in the log says how
// many are missing and where. It is safe for concurrent use.
//
// The report of Go's runtime on a crash does not come here: the runtime writes it to
// descriptor 2 and stops everything else meanwhile, for as long as that is full. It
// stays so. O_NONBLOCK would end the wait and lose the report, and it belongs to the
// open file, which other processes share. The watchdog ends such a process.
type lineWriter struct {
	to     io.Writer
	limit  int                      // bytes that may wait
	notice func(lines int64) []byte // the line that says how many are missing

	mu      sync.Mutex // guards what follows
	pending []byte
	missing int64 // lines that found no room after pending
	closed  bool

	wake    chan struct{} // room for one: there is something to do
	done    chan struct{} // closed when run has ended
	dropped atomic.Int64  // lines that were never written, in all

	// Of run alone:
	unsaid int64 // lines that are missing in the log, of which no notice says so
	torn   bool  // the last write ended inside of a line
}

// newLineWriter starts the writer's goroutine, which Close ends.
func newLineWriter(to io.Writer, limit int, notice func(lines int64) []byte) *lineWriter {
	w := &lineWriter{to: to, limit: limit, notice: notice, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write takes one line. It never waits and never fails.
func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.signal()
	// After the first line without room none is taken until the buffer is
	// empty: the notice stands where the gap is.
	if w.closed || w.missing > 0 || len(w.pending)+len(line) > w.limit {
		w.missing++
		w.dropped.Add(1)
		return len(line), nil
	}
	w.pending = append(w.pending, line...)
	return len(line), nil
}

// Sync does nothing: lines are on their way as soon as they are taken.
func (w *lineWriter) Sync() error { return nil }

func (w *lineWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // run will look anyway
	}
}

// Dropped is the number of lines that were never written.
func (w *lineWriter) Dropped() int64 { return w.dropped.Load() }

// Close has what waits written, for as long as that may take. After that the
// goroutine is left to the end of the process: a write cannot be taken back.
func (w *lineWriter) Close(within time.Duration) {
	w.mu.Lock()
	w.closed = true
	w.signal()
	w.mu.Unlock()
	select {
	case <-w.done:
	case <-time.After(within):
	}
}

// run writes until Close.
func (w *lineWriter) run() {
	defer close(w.done)
	var spare []byte
	for range w.wake {
		batch, missing, closed := w.take(spare)
		w.put(batch)
		w.unsaid += missing
		w.say()
		if closed {
			return
		}
		spare = batch[:0]
	}
}

// take exchanges the buffer for an empty one. Memory that one stall has needed
// is not kept.
func (w *lineWriter) take(spare []byte) (batch []byte, missing int64, closed bool) {
	const usual = 64 << 10
	if cap(spare) > usual {
		spare = nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	batch, missing = w.pending, w.missing
	w.pending, w.missing = spare, 0
	return batch, missing, w.closed
}

// put writes lines, after the notice of a gap before them.
func (w *lineWriter) put(batch []byte) {
	if len(batch) == 0 {
		return
	}
	w.say()
	n, err := w.to.Write(batch)
	if err == nil {
		w.torn = false
		return
	}
	lost := int64(bytes.Count(batch[n:], []byte("\n")))
	w.dropped.Add(lost)
	w.unsaid += lost
	w.torn = n > 0 && batch[n-1] != '\n' || n == 0 && w.torn
}

// say writes the notice of what is missing, if anything is.
func (w *lineWriter) say() {
	if w.unsaid == 0 {
		return
	}
	line := w.notice(w.unsaid)
	if w.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := w.to.Write(line)
	if err == nil {
		w.unsaid, w.torn = 0, false
		return
	}
	w.torn = w.torn || n > 0
}
