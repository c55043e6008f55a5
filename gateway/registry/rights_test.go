package registry

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// TestTheDocumentedRightsAreEnoughAndNeeded gives a real user the rights of docs/deploy.md,
// then takes each one away.
func TestTheDocumentedRightsAreEnoughAndNeeded(t *testing.T) {
	stack.Integration(t)
	text, err := os.ReadFile("../../docs/deploy.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `registry`.* \\| `(.*)` \\|$").FindSubmatch(text)
	if row == nil {
		t.Fatal("docs/deploy.md has no rights for the registry")
	}
	rights := strings.Fields(string(row[1]))
	server := stack.Redis(t, stack.RedisOptions{})
	user := func(without string) error {
		args := []any{"acl", "setuser", "ws", "reset", "on", ">secret", "-@all"}
		for _, r := range rights {
			if r != without {
				args = append(args, r)
			}
		}
		server.Do(t, args...)
		server.Do(t, "script", "flush")
		return Try(context.Background(), newClient(t, "redis://ws:secret@"+server.Addr+"/0"), "ws:", "n-check")
	}
	if err := user(""); err != nil {
		t.Fatalf("with all rights: %v", err)
	}
	if left := server.Do(t, "keys", "ws:node:*"); left != "[]" && left != "[ws:node:n-check:claimed]" {
		t.Errorf("keys are left: %s", left)
	}
	for _, right := range rights {
		err := user(right)
		name := strings.TrimPrefix(right, "+")
		if err == nil || strings.HasPrefix(right, "+") && !strings.Contains(strings.ToLower(err.Error()), name) {
			t.Errorf("without %s: got %v, want an error that names it", right, err)
		}
	}
	if policy, err := Policy(context.Background(), newClient(t, server.URL())); policy != NoEviction || err != nil {
		t.Errorf("got %q, %v, want noeviction", policy, err)
	}
}
