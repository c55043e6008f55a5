//go:build linux

package ws

import (
	"errors"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// watcher waits for the input of all parked connections with epoll and one goroutine. Go's
// own poller would need a waiting goroutine with its stack per connection. The zero value
// is ready; the goroutine starts with the first connection.
type watcher struct {
	mu      sync.Mutex // guards what follows; nothing is locked under it
	file    *os.File   // the epoll instance; nil: not started
	fd      int        // its descriptor
	stopped bool
	parked  []*Conn // by file descriptor

	running sync.WaitGroup
}

// add has c woken when its client has sent something or closed its side. Wake-ups may be
// spurious.
func (w *watcher) add(c *Conn) error {
	if err := w.start(); err != nil {
		return err
	}
	op := unix.EPOLL_CTL_MOD
	if !c.watched {
		op = unix.EPOLL_CTL_ADD
	}
	var failed error
	err := c.out.Socket.Raw.Control(func(fd uintptr) {
		c.watched = true // before put: the connection may be woken and park again before EpollCtl is back
		w.put(int(fd), c)
		event := unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLONESHOT, Fd: int32(fd)}
		if failed = unix.EpollCtl(w.fd, op, int(fd), &event); failed != nil {
			w.take(int(fd), c)
			c.watched = false
		}
	})
	if err == nil {
		err = failed
	}
	return err
}

// forget undoes add for a connection that is about to be closed; the kernel removes a
// closed socket from epoll.
func (w *watcher) forget(c *Conn) {
	_ = c.out.Socket.Raw.Control(func(fd uintptr) { w.take(int(fd), c) }) // fails on a closed socket, which has been forgotten
}

// start creates the epoll instance and its goroutine, once.
func (w *watcher) start() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped:
		return os.ErrClosed
	case w.file != nil:
		return nil
	}
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // else Go does not poll it
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	file := os.NewFile(uintptr(fd), "epoll")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return err
	}
	w.file, w.fd = file, fd
	w.running.Go(func() { w.run(raw) })
	return nil
}

// run wakes connections until the watcher is stopped.
func (w *watcher) run(raw syscall.RawConn) {
	var events [128]unix.EpollEvent
	for {
		var n int
		var failed error
		err := raw.Read(func(fd uintptr) bool {
			n, failed = unix.EpollWait(int(fd), events[:], 0)
			return n != 0
		})
		if errors.Is(failed, unix.EINTR) {
			continue
		}
		if err != nil || failed != nil {
			w.wakeAll()
			return
		}
		for _, e := range events[:n] {
			if c := w.take(int(e.Fd), nil); c != nil {
				c.wake()
			}
		}
	}
}

// wakeAll wakes every connection when the watcher fails or stops.
func (w *watcher) wakeAll() {
	w.mu.Lock()
	w.stopped = true
	parked := w.parked
	w.parked = nil
	w.mu.Unlock()
	for _, c := range parked {
		if c != nil {
			c.wake()
		}
	}
}

// stop ends the watcher and waits for its goroutine.
func (w *watcher) stop() {
	w.mu.Lock()
	w.stopped = true
	file := w.file
	w.mu.Unlock()
	if file != nil {
		file.Close()
	}
	w.running.Wait()
}

func (w *watcher) put(fd int, c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for fd >= len(w.parked) {
		w.parked = append(w.parked, nil)
	}
	w.parked[fd] = c
}

// take removes and returns the connection parked under fd: c, or any if c is nil.
func (w *watcher) take(fd int, c *Conn) *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if fd >= len(w.parked) || c != nil && w.parked[fd] != c {
		return nil
	}
	c = w.parked[fd]
	w.parked[fd] = nil
	return c
}
