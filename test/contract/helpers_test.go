package contract

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"wsfpm/test/stack"
)

// decode reads JSON.
func decode[V any](t *testing.T, text []byte) V {
	t.Helper()
	var v V
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("decode %.200q: %v", text, err)
	}
	return v
}

// checkConfig runs wsfpm check on a sound configuration with further lines in
// its route.
func checkConfig(t *testing.T, routeLines string) (string, int) {
	t.Helper()
	return checkFile(t, "[fpm.default]\naddress = \"unix:/run/php/php-fpm.sock\"\n[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n"+routeLines+"\n")
}

// checkFile runs wsfpm check on a configuration.
func checkFile(t *testing.T, text string, args ...string) (string, int) {
	t.Helper()
	stack.Integration(t)
	file := filepath.Join(t.TempDir(), "wsfpm.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return stack.Command(t, append([]string{"check", "--config", file}, args...)...)
}

// pidFile is the process id that a script has written into DIR/pid, 0 before.
func pidFile(dir string) int {
	text, _ := os.ReadFile(filepath.Join(dir, "pid"))
	pid, _ := strconv.Atoi(string(text))
	return pid
}

// readFile is a file's text, "" when it is not there.
func readFile(path string) string {
	text, _ := os.ReadFile(path)
	return string(text)
}
