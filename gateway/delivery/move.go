package delivery

import (
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// moveSize is about the memory of the goroutine of a move, in bytes.
const moveSize = 8 << 10

// moving are the sessions whose channels are being changed, with the commands that
// came for them meanwhile. The worker adds, the goroutines of the moves remove.
type moving struct {
	running sync.WaitGroup
	count   atomic.Int64 // len(after), read without the lock

	mu    sync.Mutex // guards what follows
	room  sync.Cond  // fewer bytes wait
	after map[*session.Session][]task
	bytes int64 // that the commands in after hold
}

// begin runs move on a goroutine of its own. Commands for the sessions wait from now
// on, until next has no more of them.
func (m *moving) begin(sessions []*session.Session, move func()) {
	m.mu.Lock()
	if m.after == nil {
		m.after = make(map[*session.Session][]task)
	}
	for _, s := range sessions {
		m.after[s] = nil
	}
	m.count.Store(int64(len(m.after)))
	m.mu.Unlock()
	m.running.Go(move)
}

// follows reports whether a task's command waits for a move of s, and if so puts it
// after what waits already. It blocks while more than maxBytes wait: moves end
// within the time that Redis has to confirm.
func (m *moving) follows(s *session.Session, t *task) bool {
	if m.count.Load() == 0 {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	size := t.size()
	for {
		if _, found := m.after[s]; !found {
			return false
		}
		if m.bytes == 0 || m.bytes+size <= maxBytes {
			break
		}
		m.room.Wait()
	}
	m.after[s] = append(m.after[s], task{command: t.command, held: size})
	m.bytes += size
	return true
}

// next takes the oldest command that waits for a move of s. When there is none it
// returns nil, and s is not moving any more.
func (m *moving) next(s *session.Session) *session.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	waiting := m.after[s]
	if len(waiting) == 0 {
		if delete(m.after, s); len(m.after) == 0 {
			m.after = nil // after a command for many, their memory is given back
		}
		m.count.Store(int64(len(m.after)))
		m.room.Broadcast() // the worker may wait for the end of this very move
		return nil
	}
	first := waiting[0]
	m.after[s] = waiting[1:]
	m.bytes -= first.held
	m.room.Broadcast()
	return first.command
}
