package dev

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

func TestPHPRunsAsTheUserBehindSudo(t *testing.T) {
	contract.Row(t, "5.dev-user")
	dir := project(t, map[string]string{"ws.php": echo})
	for _, c := range []struct {
		env   []string
		uid   int // as root
		shows string
	}{
		{nil, 0, "PHP runs as root"},
		{[]string{"SUDO_UID=33"}, 33, "PHP runs as www-data"},
	} {
		s := stack.Dev(t, dir, c.env)
		client := stack.Dial(t, "ws://"+s.Address, stack.DialOptions{})
		client.Send("x")
		client.Expect("echo x")
		uid, shown := c.uid, c.shows
		if os.Geteuid() != 0 {
			uid, shown = os.Geteuid(), "PHP-FPM:"
		}
		shows(t, s, shown)
		all := s.Children()
		if len(all) < 2 {
			t.Fatalf("got the processes %v, want a master and workers", all)
		}
		for _, pid := range all {
			if status := read(t, fmt.Sprintf("/proc/%d/status", pid)); !strings.Contains(status, fmt.Sprintf("\nUid:\t%d\t%d\t", uid, uid)) {
				t.Errorf("process %d does not run as %d:\n%s", pid, uid, status)
			}
		}
		s.Signal(syscall.SIGTERM)
		s.Exit(t)
		gone(t, all)
	}
}
