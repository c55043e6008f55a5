//go:build !linux

package gateway

import "time"

// occupy only sleeps: the monitor thread is woken for each message.
func occupy(d time.Duration) { time.Sleep(d) }
