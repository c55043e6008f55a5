package stack

import (
	"fmt"
	"net"
	"strconv"
	"sync"
)

// Ports are handed out below the range from which Linux takes the ports of
// clients and of listeners on port 0 (32768 to 60999), so that neither can be
// given one of them. A test process owns whole blocks of ports and shares none.
const (
	firstPort  = 10_100 // 10080 is the last port that browsers refuse (Fetch, 2.9: port blocking)
	blockPorts = 100
	blocks     = 220
)

// ports are this process's blocks. A port is free again when its test is over.
var ports struct {
	sync.Mutex
	owned []net.Listener // one lock for each block, until the process ends
	next  int            // the block to try next
	free  []int          // the one longest unused first
}

// FreePort returns a loopback TCP port that belongs to this test until it is
// over: no other test gets it, of this process or of another.
func FreePort(t T) int {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for {
		if len(ports.free) == 0 && !claimBlockLocked() {
			t.Fatalf("all %d blocks of ports are taken by running tests", blocks)
		}
		port := ports.free[0]
		ports.free = ports.free[1:]
		if !bindable(port) {
			continue // of a program that is no test of ours
		}
		t.Cleanup(func() {
			ports.Lock()
			defer ports.Unlock()
			ports.free = append(ports.free, port)
		})
		return port
	}
}

// claimBlockLocked takes a block that no process owns. An abstract unix socket
// is the lock: like ports it belongs to the network namespace, and the kernel
// frees it with the process.
func claimBlockLocked() bool {
	for ; ports.next < blocks; ports.next++ {
		lock, err := net.Listen("unix", fmt.Sprintf("@wsfpm-test-ports-%d", ports.next))
		if err != nil {
			continue
		}
		ports.owned = append(ports.owned, lock)
		for i := range blockPorts {
			ports.free = append(ports.free, firstPort+ports.next*blockPorts+i)
		}
		ports.next++
		return true
	}
	return false
}

// bindable reports whether no other program listens on the port.
func bindable(port int) bool {
	l, err := net.Listen("tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return false
	}
	l.Close()
	return true
}

// FreeAddress is 127.0.0.1 with a free port.
func FreeAddress(t T) string {
	t.Helper()
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(FreePort(t)))
}
