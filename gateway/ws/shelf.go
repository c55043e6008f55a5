package ws

import "slices"

// dropInput gives the read buffer back when there is nothing in it.
func (c *Conn) dropInput() {
	if in := &c.input; in.lo == in.hi {
		c.freeInput()
	}
}

// freeInput gives the read buffer back, whatever is in it.
func (c *Conn) freeInput() {
	in := &c.input
	if in.buf != nil {
		c.shared.Wheel.recycle(in.buf)
		in.buf, in.lo, in.hi = nil, 0, 0
	}
}

// shelve gives the read buffer back for a wait, and keeps what is in it, so many
// bytes, in memory of that size. Of a message or frame that is being waited for
// that is a part of a frame's header or a control frame, at most.
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
	in.hi = copy(in.buf[:], in.rest)
	in.rest = nil
}

// countInputLocked counts the read buffer among Shared.Memory for as long as
// there is input in it and nothing is read.
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

// buffer lends a read buffer.
func (w *Wheel) buffer() *[inputBuffer]byte {
	if b, ok := w.buffers.Get().(*[inputBuffer]byte); ok {
		return b
	}
	return new([inputBuffer]byte)
}

// recycle takes a read buffer back.
func (w *Wheel) recycle(b *[inputBuffer]byte) { w.buffers.Put(b) }
