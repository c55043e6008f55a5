package delivery

import (
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"wsfpm/session"
)

// moveSize estimates the memory of a move's goroutine, in bytes.
const moveSize = 8 << 10

// moving holds the sessions whose channels are being changed, with the commands for them
// that arrived meanwhile. The worker adds, the goroutines of the moves remove. Its
// memory is bounded by maxBytes: beyond that the worker waits; moves end within the
// time that Redis has to confirm.
type moving struct {
	running sync.WaitGroup
	count   atomic.Int64  // len(after), read without the lock
	room    chan struct{} // capacity 1: fewer bytes are held

	mu    sync.Mutex // guards what follows
	after map[*session.Session][]task
	bytes int64                               // held by the moves and the commands in after
	joins map[string]map[*session.Session]int // by channel: number of commands with which a session joins it
}

// begin runs move, which applies c and holds this number of bytes, on its own goroutine
// if there is room. From now on commands for the sessions are queued, until next
// returns nil.
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
// there was room to queue it.
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

// holdLocked adds n bytes if there is room for them.
func (m *moving) holdLocked(n int64) bool {
	if m.bytes > 0 && m.bytes+n > maxBytes {
		return false
	}
	m.bytes += n
	return true
}

// release subtracts n bytes.
func (m *moving) release(n int64) {
	m.mu.Lock()
	m.bytes -= n
	m.mu.Unlock()
	signal(m.room)
}

// held returns the number of bytes held.
func (m *moving) held() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.bytes
}

// joinLocked adds n to the number of commands with which s joins c's channels.
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

// joiners returns the sessions that are joining a channel.
func (m *moving) joiners(channel string) []*session.Session {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Collect(maps.Keys(m.joins[channel]))
}

// next removes and returns the oldest command queued for s, after done was applied. If
// there is none it returns nil, and s is no longer moving.
func (m *moving) next(s *session.Session, done *session.Command) *session.Command {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.joinLocked(s, done, -1)
	waiting := m.after[s]
	if len(waiting) == 0 {
		if delete(m.after, s); len(m.after) == 0 {
			m.after = nil // releases the memory of a command for many
		}
		m.count.Store(int64(len(m.after)))
		signal(m.room) // the worker may be waiting for this move
		return nil
	}
	first := waiting[0]
	m.after[s] = waiting[1:]
	m.bytes -= first.held
	signal(m.room)
	return first.command
}
