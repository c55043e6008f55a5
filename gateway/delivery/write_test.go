package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"wsfpm/session"
)

// busy makes so many clients of one worker, all in a room, and keeps the worker busy
// until release: what is sent meanwhile is one batch.
func (l *lab) busy(clients int) (outs []*outlet, release func()) {
	l.t.Helper()
	first := l.enter("first", "wait")
	first.hold = make(chan struct{})
	shard := l.hub.Shard(l.hub.Conn("first"))
	for i := 0; len(outs) < clients; i++ {
		id := fmt.Sprint(i)
		s := session.New(id, &outlet{})
		if l.hub.Shard(s) == shard {
			outs = append(outs, l.enter(id, "room"))
		}
	}
	l.send("x", session.Channel("wait"))
	eventually(l.t, "the worker is busy", func() bool { return l.workers[shard].queue.idle() })
	return outs, func() { close(first.hold) }
}

// Queued messages are written together, as many as one system call takes.
func TestABatchWritesManyMessagesAtOnce(t *testing.T) {
	l := newLab(t)
	outs, release := l.busy(20)
	for i := range batchTasks {
		l.send(fmt.Sprint(i), session.Channel("room"))
	}
	release()
	l.idle()
	for _, o := range outs {
		if len(o.messages()) != batchTasks || o.flushed > 1+batchTasks/16 {
			t.Fatalf("a client got %d messages in %d writes, want %d, some sixteen at once", len(o.messages()), o.flushed, batchTasks)
		}
	}
}

// idle reports whether the worker has taken everything.
func (q *queue) idle() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.tasks) == 0
}

func TestABugInAWriteIsSurvived(t *testing.T) {
	l := newLab(t)
	outs, release := l.busy(3)
	for _, o := range outs[:2] {
		o.broken = true
	}
	l.send("1", session.Channel("room"))
	release()
	l.idle()
	l.send("2", session.Channel("room"))
	l.idle()
	for i, o := range outs {
		if got := o.messages(); !slices.Equal(got, []string{"1", "2"}) || o.unsent > 0 {
			t.Errorf("client %d got %v, %d of them unsent", i, got, o.unsent)
		}
	}
	if got := l.panics.Load(); got != 2 {
		t.Errorf("%d panics were reported, want 2", got)
	}
}

// Messages that a batch has not written yet do not count into the bound of a client's
// unread pushes.
func TestABatchDoesNotTakeAReaderForASlowOne(t *testing.T) {
	l := newLab(t)
	outs, release := l.busy(1)
	outs[0].limit = 64 << 10
	l.send("small", session.Channel("room"))
	for range 4 {
		l.send(strings.Repeat("x", 60<<10), session.Channel("room"))
	}
	for i := range batchTasks / 2 {
		l.send(strings.Repeat("x", 4<<10)+fmt.Sprint(i), session.Channel("room"))
	}
	release()
	l.idle()
	if outs[0].slow {
		t.Error("more waited for the client than its limit, though it takes whatever is written")
	}
}

// A client with room for less than a batch writes at once is written to more often.
func TestAPushThatFindsNoRoomComesAfterAWrite(t *testing.T) {
	l := newLab(t)
	outs, release := l.busy(2)
	var want []string
	for i := range 10 {
		want = append(want, fmt.Sprint("first ", i))
		l.send(want[i], session.Channel("room"))
	}
	for i := range 5 {
		text := fmt.Sprint(i)
		l.send(text, session.Channel("room"))
		l.deliver(&session.Command{To: []session.Address{session.Channel("room")}, Join: []string{text}, Message: session.NewMessage(false, []byte("in"))})
		l.send("joined", session.Channel(text))
		want = append(want, text, "in", "joined")
	}
	for _, o := range outs {
		o.room = 1
	}
	release()
	l.idle()
	for i, o := range outs {
		if got := o.messages(); !slices.Equal(got, want) {
			t.Errorf("client %d got %v, want %v", i, got, want)
		}
	}
}

// A command after one that joins reaches the joining clients, whether they still wait
// for Redis or have joined meanwhile.
func TestWhatFollowsAJoinReachesTheOnesThatJoin(t *testing.T) {
	for _, held := range []bool{true, false} {
		l := newLab(t)
		if held {
			l.gate = make(chan struct{})
		}
		var outs []*outlet
		for i := range 20 {
			outs = append(outs, l.enter(fmt.Sprint(i)))
		}
		other := l.enter("other")
		var want []string
		for i := range 30 {
			room := fmt.Sprint("room", i)
			for n := range outs {
				l.deliver(&session.Command{To: []session.Address{session.User(fmt.Sprint("u", n))}, Join: []string{room}, Message: session.NewMessage(false, []byte("in"))})
			}
			l.send(room, session.Channel(room), session.Channel("nowhere"))
			want = append(want, "in", room)
		}
		if held {
			close(l.gate)
		}
		l.idle()
		for i, o := range outs {
			if got := o.messages(); !slices.Equal(got, want) {
				t.Fatalf("held %v: client %d got %d messages %v, want %d", held, i, len(got), got, len(want))
			}
		}
		if got := other.messages(); len(got) > 0 {
			t.Errorf("a client in no room got %v", got)
		}
		for _, w := range l.workers {
			if w.queue.joins.Load() != 0 || len(w.moving.joins) != 0 || w.moving.count.Load() != 0 {
				t.Errorf("left: %d joins, %v, %d moving", w.queue.joins.Load(), w.moving.joins, w.moving.count.Load())
			}
		}
	}
}
