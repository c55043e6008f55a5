package ws

import (
	"testing"

	"wsfpm/session"
)

func TestCutKeepsWhatHasBegun(t *testing.T) {
	var o outbox
	for _, s := range []string{"one", "two", "three", "four"} {
		o.add(session.NewEncoding([]byte(s)), push)
	}
	o.pong = []byte("pong")
	o.bytes += 4
	var bufs [2][]byte
	if n, size := o.gather(bufs[:]); n != 2 || size != 7 {
		t.Fatalf("gathered %d frames of %d bytes, want the pong and the first", n, size)
	}
	o.cut()
	o.close([]byte("bye"))
	if len(o.frames) != 3 || o.bytes != 10 {
		t.Fatalf("got %d frames of %d bytes, want what the writer holds and the Close frame", len(o.frames), o.bytes)
	}
	o.wrote(5) // all of the pong, one byte of the first
	if len(o.frames) != 2 || o.offset != 1 || o.bytes != 5 {
		t.Fatalf("got %d frames, offset %d, %d bytes; want the rest of the first and the Close frame", len(o.frames), o.offset, o.bytes)
	}
	o.wrote(2)
	if len(o.frames) != 1 || o.frames[0].kind != closing || o.bytes != 3 {
		t.Fatalf("got %d frames, %d bytes; want the Close frame alone", len(o.frames), o.bytes)
	}
}

func TestCutDropsWhatTheWriterCouldNotWrite(t *testing.T) {
	var o outbox
	for _, s := range []string{"one", "two", "three", "four"} {
		o.add(session.NewEncoding([]byte(s)), push)
	}
	var bufs [4][]byte
	o.gather(bufs[:])
	o.cut()
	o.close([]byte("bye"))
	o.wrote(0) // the socket took nothing
	if len(o.frames) != 1 || o.frames[0].kind != closing || o.bytes != 3 || o.pushed != 0 || o.pushes != 0 {
		t.Fatalf("got %d frames, %d bytes, %d of them of %d pushes; want the Close frame alone", len(o.frames), o.bytes, o.pushed, o.pushes)
	}
}
