package delivery

import (
	"maps"
	"slices"
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
	bytes int64                               // that the moves hold, and the commands in after
	joins map[string]map[*session.Session]int // by channel: how many commands let a session join it
}

// begin runs move on a goroutine of its own, which carries c out and holds so many
// bytes, if there is room. Commands for the sessions wait from now on, until next has
// no more of them.
func (m *moving) begin(sessions []*session.Session, c *session.Command, held int64, move func()) (begun bool) {
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
		m.joinLocked(s, c, 1)
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
	m.joinLocked(s, t.command, 1)
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

// joinLocked counts n commands more that let s join their channels.
func (m *moving) joinLocked(s *session.Session, c *session.Command, n int) {
	for _, name := range c.Join {
		joining := m.joins[name]
		if joining == nil {
			joining = make(map[*session.Session]int)
			if m.joins == nil {
				m.joins = make(map[string]map[*session.Session]int)
			}
			m.joins[name] = joining
		}
		if joining[s] += n; joining[s] == 0 {
			delete(joining, s)
		}
		if len(joining) == 0 {
			delete(m.joins, name)
		}
	}
}

// joiners are the sessions that are about to join a channel.
func (m *moving) joiners(channel string) []*session.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.joins[channel]))
}

// next takes the oldest command that waits for a move of s, after done was carried
// out. When there is none it returns nil, and s is not moving any more.
func (m *moving) next(s *session.Session, done *session.Command) *session.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joinLocked(s, done, -1)
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
