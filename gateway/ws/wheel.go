package ws

import (
	"sync"
	"time"
)

// tickLength is how exact a Wheel is: turns within one tick come together.
const tickLength = 10 * time.Millisecond

// Wheel is what the connections of a process share: one timer for the pings
// and time limits of all of them, spare read buffers and libraries, and the watch over those
// that are parked. Its timer starts a goroutine when turns are due, which
// writes without waiting and ends; the watch has one.
type Wheel struct {
	start   time.Time
	buffers sync.Pool // of *[inputBuffer]byte
	spares  chan *library
	watch   watcher

	turning sync.Mutex // held while turns are taken; locked before mu

	mu      sync.Mutex // guards what follows; locked after Conn.mu
	turns   []turn     // a heap: the earliest is the first
	timer   *time.Timer
	next    time.Duration // when the timer fires; 0: it does not
	stopped bool
}

// turn is when a connection wants to be looked at.
type turn struct {
	at time.Duration // since Wheel.start
	c  *Conn
}

// NewWheel makes a wheel without connections. Stop ends it.
func NewWheel() *Wheel {
	return &Wheel{start: time.Now(), spares: make(chan *library, mostSpares)}
}

// Stop ends the wheel and waits for the turns that are being taken. Close
// codes still go out, but nothing times out any more.
func (w *Wheel) Stop() {
	w.mu.Lock()
	w.stopped = true
	w.turns = nil
	if w.timer != nil {
		w.timer.Stop()
	}
	w.mu.Unlock()
	w.watch.stop()
	w.turning.Lock()
	defer w.turning.Unlock()
}

// now is the time since the wheel was made, never zero.
func (w *Wheel) now() time.Duration { return time.Since(w.start) + 1 }

// buffer lends a read buffer.
func (w *Wheel) buffer() *[inputBuffer]byte {
	if b, ok := w.buffers.Get().(*[inputBuffer]byte); ok {
		return b
	}
	return new([inputBuffer]byte)
}

// recycle takes a read buffer back.
func (w *Wheel) recycle(b *[inputBuffer]byte) { w.buffers.Put(b) }

// arm lets c have a turn at a time, or earlier if it wants one earlier.
func (w *Wheel) arm(c *Conn, at time.Duration) {
	at = (at + tickLength - 1) / tickLength * tickLength
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
		return
	case c.turn == 0:
		w.turns = append(w.turns, turn{at, c})
		c.turn = len(w.turns)
	case w.turns[c.turn-1].at <= at:
		return
	default:
		w.turns[c.turn-1].at = at
	}
	w.up(c.turn - 1)
	w.setLocked()
}

// remove takes c's turn away.
func (w *Wheel) remove(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if c.turn > 0 && !w.stopped {
		w.takeLocked(c.turn - 1)
	}
}

// setLocked lets the timer fire at the earliest turn.
func (w *Wheel) setLocked() {
	if w.stopped || len(w.turns) == 0 {
		return
	}
	first := w.turns[0].at
	if w.next != 0 && w.next <= first {
		return
	}
	w.next = first
	wait := first - w.now()
	if w.timer == nil {
		w.timer = time.AfterFunc(wait, w.take)
		return
	}
	w.timer.Reset(wait)
}

// take gives every connection its turn that is due.
func (w *Wheel) take() {
	w.turning.Lock()
	defer w.turning.Unlock()
	for {
		w.mu.Lock()
		now := w.now()
		if len(w.turns) == 0 || w.turns[0].at > now {
			w.next = 0
			w.setLocked()
			w.mu.Unlock()
			return
		}
		c := w.takeLocked(0)
		w.mu.Unlock()
		c.tick(now)
	}
}

// takeLocked removes the turn at index i and returns its connection.
func (w *Wheel) takeLocked(i int) *Conn {
	c := w.turns[i].c
	last := len(w.turns) - 1
	w.swap(i, last)
	w.turns[last] = turn{}
	w.turns = w.turns[:last]
	c.turn = 0
	if i < last {
		w.down(i)
		w.up(i)
	}
	return c
}

// swap exchanges two turns.
func (w *Wheel) swap(i, j int) {
	w.turns[i], w.turns[j] = w.turns[j], w.turns[i]
	w.turns[i].c.turn, w.turns[j].c.turn = i+1, j+1
}

// up moves a turn towards the front, to its place.
func (w *Wheel) up(i int) {
	for i > 0 && w.turns[i].at < w.turns[(i-1)/2].at {
		w.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
}

// down moves a turn towards the end, to its place.
func (w *Wheel) down(i int) {
	for {
		least := i
		for child := 2*i + 1; child <= 2*i+2 && child < len(w.turns); child++ {
			if w.turns[child].at < w.turns[least].at {
				least = child
			}
		}
		if least == i {
			return
		}
		w.swap(i, least)
		i = least
	}
}
