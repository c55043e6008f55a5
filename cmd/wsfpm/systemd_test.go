package main

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestASystemdThatDoesNotReadBlocksNothing(t *testing.T) {
	socket := &net.UnixAddr{Name: filepath.Join(t.TempDir(), "notify"), Net: "unixgram"}
	systemd, err := net.ListenUnixgram("unixgram", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	fill, err := net.DialUnix("unixgram", nil, socket)
	if err != nil {
		t.Fatal(err)
	}
	defer fill.Close()
	for err == nil { // until its queue is full
		_ = fill.SetWriteDeadline(time.Now().Add(10 * time.Millisecond))
		_, err = fill.Write([]byte("WATCHDOG=1"))
	}
	t.Setenv("NOTIFY_SOCKET", socket.Name)
	returned := make(chan struct{})
	go func() {
		notify(stopping)
		close(returned)
	}()
	select {
	case <-returned:
	case <-time.After(patience):
		t.Fatal("notify blocks on systemd")
	}
}
