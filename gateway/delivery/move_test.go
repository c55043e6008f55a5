package delivery

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"wsfpm/session"
)

// join is a command that joins one client to a channel.
func join(id string) *session.Command {
	return &session.Command{To: []session.Address{session.Conn(id)}, Join: []string{"new"}}
}

// The memory of a burst of commands that join, with their goroutines, is bounded.
func TestMovesAreBounded(t *testing.T) {
	l := newLab(t)
	l.gate = make(chan struct{})
	outs, release := l.busy(2 * maxBytes / moveSize)
	shard := l.hub.Shard(l.hub.Conn("first"))
	for i := 0; i < 20*len(outs); i++ {
		if id := fmt.Sprint(i); l.hub.Conn(id) != nil {
			l.deliver(join(id))
		}
	}
	release()
	w := l.workers[shard]
	eventually(t, "moves fill their room", func() bool { return w.queue.idle() || w.moving.held() > maxBytes-2*moveSize })
	if held := w.moving.held(); held > maxBytes || w.queue.idle() {
		t.Errorf("moves hold %d bytes, at most %d may be held", held, maxBytes)
	}
	close(l.gate)
	l.idle()
	if n := l.hub.Count(&session.Command{To: []session.Address{session.Channel("new")}}); n != len(outs) {
		t.Errorf("%d clients joined, want %d", n, len(outs))
	}
}

// The worker waits for room if too many commands follow a move: messages queued for
// other clients are written before, and the waiting command is counted.
func TestAWaitForRoomHoldsNoWrittenMessageBack(t *testing.T) {
	l := newLab(t)
	l.gate = make(chan struct{})
	outs, release := l.busy(2)
	moving, other := l.hub.Conn("first"), outs[0]
	l.deliver(join(moving.ID()))
	l.send("seen", session.Channel("room"))
	for range maxBytes / (1 << 20) { // with the move, more than there is room for
		l.send(strings.Repeat("x", 1<<20-512), session.Conn("first"))
	}
	release()
	eventually(t, "the other client has its message", func() bool {
		other.mu.Lock()
		defer other.mu.Unlock()
		return slices.Equal(other.got, []string{"seen"}) && other.unsent == 0
	})
	eventually(t, "what follows the move is counted", func() bool { return l.workers[l.hub.Shard(moving)].moving.held() > maxBytes-2<<20 })
	close(l.gate)
	l.idle()
}

// A command may name 1,000 addresses of 200 bytes.
func TestNamesCountInAQueue(t *testing.T) {
	long := strings.Repeat("x", session.MaxName)
	for _, c := range []session.Command{
		{To: []session.Address{session.User(long)}}, {Except: []session.Address{session.User(long)}}, {Join: []string{long}}, {Leave: []string{long}},
	} {
		list := task{command: &c}
		if got := list.size() - (&task{command: &session.Command{}}).size(); got < session.MaxName {
			t.Errorf("%+v counts for %d bytes", c, got)
		}
	}
}
