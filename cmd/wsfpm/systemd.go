package main

import (
	"context"
	"net"
	"os"
	"sync"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// States for systemd (sd_notify(3)).
const (
	ready    = daemon.SdNotifyReady
	stopping = daemon.SdNotifyStopping
)

// reloading is the state during a reload; systemd requires its start time.
func reloading() string {
	return daemon.SdNotifyReloading + "\n" + daemon.SdNotifyMonotonicUsec()
}

// notifyTime bounds the wait for systemd to accept a state: reload and drain wait for
// it.
const notifyTime = time.Second

// notify sends systemd a state, if systemd started this process. daemon.SdNotify would
// block while systemd does not read.
func notify(state string) {
	socket := os.Getenv("NOTIFY_SOCKET")
	if socket == "" {
		return
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return // there is no remedy
	}
	defer conn.Close()
	_ = conn.SetWriteDeadline(time.Now().Add(notifyTime))
	_, _ = conn.Write([]byte(state))
}

// watchdog sends systemd's keep-alive pings if the unit has WatchdogSec. Stop ends
// them.
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
