package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Without a flag or a variable that names a gateway, push goes to the installed one.
func TestPushFindsTheInstalledGateway(t *testing.T) {
	defer func(was string) { shippedConfig = was }(shippedConfig)
	shippedConfig = filepath.Join(t.TempDir(), "wsfpm.toml")
	address := func(p *pushCmd) string {
		t.Helper()
		cfg, err := p.load()
		if err != nil {
			t.Fatal(err)
		}
		return cfg.Admin
	}
	if got := address(&pushCmd{}); got != "" {
		t.Errorf("got %s, and nothing is installed", got)
	}
	if err := os.WriteFile(shippedConfig, []byte("admin = \"127.0.0.1:1\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := address(&pushCmd{}); got != "127.0.0.1:1" {
		t.Errorf("got %q, want the installed gateway's", got)
	}
	other := "127.0.0.1:2"
	if got := address(&pushCmd{settings: settings{Admin: &other}}); got != other {
		t.Errorf("got %q, want the flag's", got)
	}
	t.Setenv("WSFPM_ADMIN", "127.0.0.1:3")
	if got := address(&pushCmd{}); got != "127.0.0.1:3" {
		t.Errorf("got %q, want the environment's", got)
	}
}

// A cron job with another encoding must not send something else.
func TestArgumentsThatAreNoTextAreRefused(t *testing.T) {
	if err := checkText([]string{"push", "user:42", "grüße"}); err != nil {
		t.Error(err)
	}
	if err := checkText([]string{"push", "user:42", "gr\xfc\xdfe"}); err == nil || !strings.Contains(err.Error(), `argument 3 is not UTF-8: "gr\xfc\xdfe"`) {
		t.Errorf("got %v", err)
	}
}
