package stack

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// ChatFolder is where the chat example is.
func ChatFolder(t T) string {
	t.Helper()
	return filepath.Join(Root(t), "examples", "php", "chat")
}

// ChatTables is the chat example's own configuration, for [GatewayOptions.Routes]: its
// route and presence. The script reads presence from redis, a URL, and keeps its messages
// in the folder store.
func ChatTables(t T, redis, store string) string {
	t.Helper()
	folder := ChatFolder(t)
	text, err := os.ReadFile(filepath.Join(folder, "wsfpm.dev.toml"))
	if err != nil {
		t.Fatalf("read the chat's configuration: %v", err)
	}
	const script = "script = \"ws.php\"\n"
	if !strings.Contains(string(text), script) {
		t.Fatalf("the chat's configuration has no line %q", script)
	}
	return strings.Replace(string(text), script, fmt.Sprintf("script = %q\nparams = { CHAT_DIR = %q, WSFPM_REDIS_URL = %q }\n",
		filepath.Join(folder, "ws.php"), store, redis), 1)
}
