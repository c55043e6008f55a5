package stack

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Each of several processes at once takes ports; none is handed out twice.
func TestNoPortIsHandedOutTwice(t *testing.T) {
	const processes, each = 4, 150 // more than one block
	if os.Getenv("STACK_PORTS") != "" {
		for range each {
			fmt.Println("port", FreePort(t))
		}
		_, _ = os.Stdin.Read(make([]byte, 1)) // holds them until the parent has all
		return
	}
	owner := make(map[string]int)
	for i := range processes {
		ready := &output{}
		child := exec.Command(os.Args[0], "-test.run=^TestNoPortIsHandedOutTwice$")
		child.Env, child.Stdout = append(os.Environ(), "STACK_PORTS=1"), ready
		hold, err := child.StdinPipe()
		if err == nil {
			err = child.Start()
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			hold.Close()
			child.Wait()
		})
		WaitWithin(t, 3*Patience, "a process to take its ports", func() bool {
			return bytes.Count([]byte(ready.String()), []byte("port ")) == each
		})
		for line := range strings.Lines(ready.String()) {
			if before, taken := owner[line]; taken {
				t.Fatalf("%s has been given to processes %d and %d", strings.TrimSpace(line), before, i)
			}
			owner[line] = i
		}
	}
}

func TestAPortIsFreeAgainAfterItsTest(t *testing.T) {
	var first int
	t.Run("one", func(t *testing.T) { first = FreePort(t) })
	ports.Lock()
	defer ports.Unlock()
	if last := ports.free[len(ports.free)-1]; last != first {
		t.Errorf("the last free port is %d, want %d", last, first)
	}
}
