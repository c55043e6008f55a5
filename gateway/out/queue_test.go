package out

import (
	"testing"

	"wsfpm/session"
)

func TestCutKeepsWhatHasBegun(t *testing.T) {
	var q queue
	for _, s := range []string{"one", "two", "three", "four"} {
		q.add(session.NewEncoding([]byte(s)), push)
	}
	q.hurry(session.NewEncoding([]byte("pong")))
	var bufs [2][]byte
	if n, size := q.gather(bufs[:]); n != 2 || size != 7 {
		t.Fatalf("gathered %d frames of %d bytes, want the pong and the first", n, size)
	}
	q.cut()
	q.close(session.NewEncoding([]byte("bye")))
	if len(q.waiting) != 3 || q.bytes != 10 {
		t.Fatalf("got %d frames of %d bytes, want what the writer holds and the Close frame", len(q.waiting), q.bytes)
	}
	q.wrote(5) // all of the pong, one byte of the first
	if len(q.waiting) != 2 || q.offset != 1 || q.bytes != 5 {
		t.Fatalf("got %d frames, offset %d, %d bytes; want the rest of the first and the Close frame", len(q.waiting), q.offset, q.bytes)
	}
	q.wrote(2)
	if len(q.waiting) != 1 || q.waiting[0].kind != last || q.bytes != 3 {
		t.Fatalf("got %d frames, %d bytes; want the Close frame alone", len(q.waiting), q.bytes)
	}
}

// One call is given more to write than the piece that it may have begun: only that
// piece stands before the last.
func TestWhatIsBeingWrittenDoesNotKeepTheLastBack(t *testing.T) {
	var q queue
	for range 20 {
		q.add(session.NewEncoding(make([]byte, lastPiece)), reply)
	}
	var bufs [atATime][]byte
	q.gather(bufs[:])
	if got := q.begun(); got != lastPiece {
		t.Errorf("%d bytes stand before the last, want those of one piece", got)
	}
	q.cut()
	q.close(session.NewEncoding([]byte("bye")))
	q.wrote(1000)
	if got := len(q.waiting); got != 2 || q.begun() != lastPiece-1000 {
		t.Errorf("%d pieces are left, %d bytes of the first: want the one that has begun and the last", got, q.begun())
	}
}

func TestCutDropsWhatTheWriterCouldNotWrite(t *testing.T) {
	var q queue
	for _, s := range []string{"one", "two", "three", "four"} {
		q.add(session.NewEncoding([]byte(s)), push)
	}
	var bufs [4][]byte
	q.gather(bufs[:])
	q.cut()
	q.close(session.NewEncoding([]byte("bye")))
	q.wrote(0) // the socket took nothing
	if len(q.waiting) != 1 || q.waiting[0].kind != last || q.bytes != 3 || q.pushed != 0 || q.pushes != 0 {
		t.Fatalf("got %d frames, %d bytes, %d of them of %d pushes; want the Close frame alone", len(q.waiting), q.bytes, q.pushed, q.pushes)
	}
}

func TestAnEmptyQueueHoldsNoMemory(t *testing.T) {
	var q queue
	for n := range 3 {
		for range n {
			q.add(session.NewEncoding([]byte("x")), reply)
		}
		if messages := q.wrote(n); messages != int64(n) {
			t.Errorf("%d messages are written, want %d", messages, n)
		}
		if q.waiting != nil || q.one[0].Encoding != nil || q.bytes != 0 {
			t.Errorf("after %d: %d bytes, %v", n, q.bytes, q.waiting)
		}
	}
}
