package main

import (
	"bytes"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// logBuffer bounds the log lines waiting to be written, in bytes; as many again may
// be in the write in progress.
const logBuffer = 1 << 20

// lineWriter is an asynchronous writer of log lines: a bounded buffer, emptied by one
// goroutine. Write never blocks. If the reader of the log is slow or gone, lines are
// dropped and counted, and a notice in the log marks the gap. It is safe for
// concurrent use.
//
// A crash report of Go's runtime is not written through it: the runtime writes to
// descriptor 2 and blocks while that is full. O_NONBLOCK would lose the report, and it
// is a property of the open file, which other processes share. The watchdog ends such
// a process.
type lineWriter struct {
	to     io.Writer
	limit  int                      // of pending, in bytes
	notice func(lines int64) []byte // returns the line that reports dropped ones

	mu      sync.Mutex // guards what follows
	pending []byte
	missing int64 // lines dropped after pending
	closed  bool

	wake    chan struct{} // capacity 1: there is work
	done    chan struct{} // closed when run has ended
	dropped atomic.Int64  // lines never written, in total

	// Used by run only:
	unreported int64 // dropped lines without a notice yet
	torn       bool  // the last write ended inside a line
}

// newLineWriter starts the writer's goroutine, which Close ends.
func newLineWriter(to io.Writer, limit int, notice func(lines int64) []byte) *lineWriter {
	w := &lineWriter{to: to, limit: limit, notice: notice, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// Write queues one line. It never blocks and never fails.
func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.signal()
	// After the first dropped line all are dropped until the buffer is empty, so
	// that there is one gap and the notice stands in it.
	if w.closed || w.missing > 0 || len(w.pending)+len(line) > w.limit {
		w.missing++
		w.dropped.Add(1)
		return len(line), nil
	}
	w.pending = append(w.pending, line...)
	return len(line), nil
}

// Sync does nothing: lines are written as soon as possible.
func (w *lineWriter) Sync() error { return nil }

func (w *lineWriter) signal() {
	select {
	case w.wake <- struct{}{}:
	default: // run is already signaled
	}
}

// Dropped returns the number of lines that were never written.
func (w *lineWriter) Dropped() int64 { return w.dropped.Load() }

// Close waits until pending lines are written, at most for within. A write that blocks
// longer cannot be interrupted: its goroutine remains until the process exits.
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
		w.unreported += missing
		w.report()
		if closed {
			return
		}
		spare = batch[:0]
	}
}

// take exchanges the buffer for an empty one. A buffer grown by a stall is not kept.
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

// put writes lines, preceded by the notice of a gap.
func (w *lineWriter) put(batch []byte) {
	if len(batch) == 0 {
		return
	}
	w.report()
	n, err := w.to.Write(batch)
	if err == nil {
		w.torn = false
		return
	}
	lost := int64(bytes.Count(batch[n:], []byte("\n")))
	w.dropped.Add(lost)
	w.unreported += lost
	w.torn = n > 0 && batch[n-1] != '\n' || n == 0 && w.torn
}

// report writes the notice of dropped lines, if there are any.
func (w *lineWriter) report() {
	if w.unreported == 0 {
		return
	}
	line := w.notice(w.unreported)
	if w.torn {
		line = append([]byte("\n"), line...)
	}
	n, err := w.to.Write(line)
	if err == nil {
		w.unreported, w.torn = 0, false
		return
	}
	w.torn = w.torn || n > 0
}
