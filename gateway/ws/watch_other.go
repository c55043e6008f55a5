//go:build !linux

package ws

// canPark says that connections may be parked.
const canPark = false

// watcher has nothing to do where nothing is parked.
type watcher struct{}

func (w *watcher) add(*Conn) error { return nil }
func (w *watcher) forget(*Conn)    {}
func (w *watcher) stop()           {}
