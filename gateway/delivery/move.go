package delivery

import (
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// moveSize is about the memory of the goroutine of a move, in bytes.
const moveSize = 8 << 10

// moving are the sessions whose channels are being changed, with the commands that
// came for them meanwhile. The worker adds, the goroutines of the moves remove. What
// all of it holds is bounded by maxBytes: beyond that the worker waits, and moves end
// within the time that Redis has to confirm.
type moving struct {
	running sync.WaitGroup
	count   atomic.Int64  // len(after), read without the lock
	room    chan struct{} // room for one: fewer bytes are held

	mu    sync.Mutex // guards what follows
	after map[*session.Session][]task
	bytes int64 // that the moves hold, and the commands in after
}

// begin runs move on a goroutine of its own, which holds so many bytes, if there is
// room. Commands for the sessions wait from now on, until next has no more of them.
func (m *moving) begin(sessions []*session.Session, held int64, move func()) (begun bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.holdLocked(held) {
		return false
	}
	if m.after == nil {
		m.after = make(map[*session.Session][]task)
	}
	for _, s := range sessions {
		m.after[s] = nil
	}
	m.count.Store(int64(len(m.after)))
	m.running.Go(func() {
		defer m.release(held)
		move()
	})
	return true
}

// follows reports whether a task's command has to wait for a move of s, and whether
// there is room: then it was put after what waits already.
func (m *moving) follows(s *session.Session, t *task) (moving, room bool) {
	if m.count.Load() == 0 {
		return false, true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, moving = m.after[s]; !moving {
		return false, true
	}
	held := t.size()
	if !m.holdLocked(held) {
		return true, false
	}
	m.after[s] = append(m.after[s], task{command: t.command, held: held})
	return true, true
}

// holdLocked counts n bytes more if there is room for them.
func (m *moving) holdLocked(n int64) bool {
	if m.bytes > 0 && m.bytes+n > maxBytes {
		return false
	}
	m.bytes += n
	return true
}

// release takes n bytes off.
func (m *moving) release(n int64) {
	m.mu.Lock()
	m.bytes -= n
	m.mu.Unlock()
	signal(m.room)
}

// held is how many bytes are held.
func (m *moving) held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
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
		signal(m.room) // the worker may wait for the end of this very move
		return nil
	}
	first := waiting[0]
	m.after[s] = waiting[1:]
	m.bytes -= first.held
	signal(m.room)
	return first.command
}
