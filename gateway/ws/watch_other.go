//go:build !linux

package ws

import "errors"

// watcher watches nothing where there is no epoll: a goroutine waits for each idle client.
type watcher struct{}

func (*watcher) add(*Conn) error { return errors.ErrUnsupported }
func (*watcher) forget(*Conn)    {}
func (*watcher) stop()           {}
