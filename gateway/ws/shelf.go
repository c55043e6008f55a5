package ws

import "slices"

// dropInput gives the read buffer back if it is empty.
func (c *Conn) dropInput() {
	if in := &c.input; in.lo == in.hi {
		c.freeInput()
	}
}

// freeInput gives the read buffer back and drops its content.
func (c *Conn) freeInput() {
	in := &c.input
	if in.buf != nil {
		c.shared.Wheel.recycle(in.buf)
		in.buf, in.lo, in.hi = nil, 0, 0
	}
}

// shelve gives the read buffer back for a wait, keeps a copy of its content and returns the
// size of the copy. Within a message or frame this is at most a part of a frame header or a
// control frame.
func (c *Conn) shelve() (bytes int64) {
	in := &c.input
	if in.lo < in.hi {
		in.rest = slices.Clone(in.buf[in.lo:in.hi])
	}
	c.freeInput()
	return int64(len(in.rest))
}

// unshelve undoes shelve.
func (c *Conn) unshelve() {
	in := &c.input
	if len(in.rest) == 0 {
		return
	}
	in.buf = c.shared.Wheel.buffer()
	in.hi = int32(copy(in.buf[:], in.rest))
	in.rest = nil
}

// countInputLocked counts the read buffer in Shared.Memory while it has input and nothing
// is read.
func (c *Conn) countInputLocked(kept bool) {
	switch {
	case kept == c.kept:
	case kept:
		c.shared.Memory.Take(inputBuffer)
	default:
		c.shared.Memory.Release(inputBuffer)
	}
	c.kept = kept
}

// buffer returns a read buffer from the pool.
func (w *Wheel) buffer() *[inputBuffer]byte {
	if b, ok := w.buffers.Get().(*[inputBuffer]byte); ok {
		return b
	}
	return new([inputBuffer]byte)
}

// recycle returns a read buffer to the pool.
func (w *Wheel) recycle(b *[inputBuffer]byte) { w.buffers.Put(b) }
