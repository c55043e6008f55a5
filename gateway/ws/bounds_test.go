package ws

import (
	"context"
	"errors"
	"runtime"
	"testing"
	"time"

	"wsfpm/gateway/out"
)

func TestDrainedWaitsForTheNumberOfRepliesToo(t *testing.T) {
	s := NewShared(0)
	defer s.Wheel.Stop()
	c := New(&Limits{Out: out.Limits{QueueLimit: 1 << 20, QueueMessages: 100}}, s)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	var err error
	n := 0
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	for ; n < 1<<20 && err == nil; n++ { // as sendEach does
		if err = c.QueueReply(text("1")); err != nil {
			t.Fatal(err)
		}
		err = c.Drained(ctx)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	t.Logf("%d replies wait, %d bytes by count, %d KiB of heap", n, c.Buffered(), (after.HeapAlloc-before.HeapAlloc)>>10)
	if !errors.Is(err, context.DeadlineExceeded) || n > 101 {
		t.Errorf("%d replies wait, want 101 at most", n)
	}
}
