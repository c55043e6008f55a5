package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"wsfpm/gateway/config"
)

func TestPrintedKeysAreTheDocumentationAndAConfiguration(t *testing.T) {
	const page = "../../docs/config.toml"
	var printed bytes.Buffer
	if err := printKeys(&printed); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(page)
	if err != nil || string(text) != printed.String() {
		t.Errorf("docs/config.toml is not what is printed, %v: go run ./cmd/wsfpm config > docs/config.toml", err)
	}
	if _, err := config.Load(config.Source{File: page, Script: "/srv/ws.php"}); err != nil {
		t.Errorf("the text as a configuration: %v", err)
	}
	// With each key as it stands there, and what has no default filled in.
	all := regexp.MustCompile(`(?m)^#([a-z_]+ = |\[)`).ReplaceAllString(printed.String(), "$1")
	all = strings.NewReplacer("[fpm.NAME]", "[fpm.default]", `path = ""`, `path = "/ws"`, `script = ""`, `script = "/srv/ws.php"`,
		`pattern = ""`, `pattern = "x.*"`, `to = ""`, `to = "channel:{name}"`, `fpm = ""`, `fpm = "default"`, `node = ""`, `node = "a"`).Replace(all)
	cfg, err := config.Load(config.Source{File: write(t, "wsfpm.toml", all)})
	if err != nil {
		t.Fatalf("with all keys: %v", err)
	}
	for _, s := range cfg.Changed() {
		if s.Default != `""` && s.Name != "max_streams" { // 0 stands for half of max_connections
			t.Errorf("%s.%s = %s has another default than the printed one, %s", s.Table, s.Name, s.Value, s.Default)
		}
	}
}
