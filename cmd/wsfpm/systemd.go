package main

import (
	"context"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// What systemd is told (sd_notify(3)).
const (
	ready    = daemon.SdNotifyReady
	stopping = daemon.SdNotifyStopping
)

// reloading begins a reload; systemd wants to know when.
func reloading() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}

// notify tells systemd, if it started this process and listens.
func notify(state string) {
	_, _ = daemon.SdNotify(false, state) // nobody can do anything about a failure
}

// watchdog shows systemd that the process lives, when the unit has
// WatchdogSec. The returned function ends that.
func (s *server) watchdog() (stop func()) {
	interval, err := daemon.SdWatchdogEnabled(false)
	if err != nil || interval == 0 {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(interval / 2)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				notify(daemon.SdNotifyWatchdog)
			}
		}
	})
	return func() {
		cancel()
		running.Wait()
	}
}
