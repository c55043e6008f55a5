// Package clients lets WebSocket clients of other languages talk to the real
// gateway: text and binary messages from 0 bytes to 16 MiB, whole and in frames.
package clients

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "clients", func(*stack.Suite) {}))
}

// echoURL is a gateway whose /ws gives back messages of up to 16 MiB.
func echoURL(t *testing.T) string {
	t.Helper()
	stack.Integration(t)
	fpm := stack.FPM(t, stack.FPMOptions{Ini: map[string]string{"post_max_size": "32M", "memory_limit": "256M"}})
	dir := stack.Scripts(t, nil)
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM:    fpm,
		Limits: "messages_per_second = 0",
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/echo.php\"\nmessage_limit = \"16MiB\"\nanswer_limit = \"16MiB\"\n",
	})
	return g.URL + "/ws"
}

// run runs a client program and wants its last line to be ok.
func run(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "ok ") {
		t.Fatalf("%s: %v\n%s", args[0], err, out)
	}
	t.Log(strings.TrimSpace(string(out)))
}

func TestPythonWebsocketsEchoes(t *testing.T) {
	run(t, stack.Tool(t, "python3-websockets", "/usr/bin/python3"), "echo.py", echoURL(t))
}

func TestNodeWSEchoes(t *testing.T) {
	run(t, stack.Tool(t, "nodejs", "node"), "echo.mjs", echoURL(t))
}
