package stack

import (
	"encoding/json"
	"fmt"
	"strings"
)

// LogLine is one line of the gateway's JSON log.
type LogLine map[string]any

// Text is the line's field as text, "" when absent.
func (l LogLine) Text(key string) string {
	if l[key] == nil {
		return ""
	}
	return fmt.Sprint(l[key])
}

// Log is every JSON line written until now.
func (g *GatewayServer) Log() []LogLine {
	var lines []LogLine
	for text := range strings.Lines(g.out.String()) {
		var line LogLine
		if json.Unmarshal([]byte(text), &line) == nil {
			lines = append(lines, line)
		}
	}
	return lines
}

// LogText is the raw log.
func (g *GatewayServer) LogText() string { return g.out.String() }

// AwaitLog waits for a log line of the given level ("" for any) that has all
// the words, and returns it.
func (g *GatewayServer) AwaitLog(t T, level string, words ...string) LogLine {
	t.Helper()
	var found LogLine
	Wait(t, fmt.Sprintf("a %q log line with %q", level, words), func() bool {
		lines := g.LogLines(level, words...)
		if len(lines) > 0 {
			found = lines[0]
		}
		return found != nil
	})
	return found
}

// LogLines are the log lines of the given level ("" for any) that have all the words.
func (g *GatewayServer) LogLines(level string, words ...string) []LogLine {
	var found []LogLine
	for _, line := range g.Log() {
		if level != "" && line.Text("level") != level {
			continue
		}
		text := strings.ToLower(fmt.Sprint(map[string]any(line)))
		all := true
		for _, word := range words {
			all = all && strings.Contains(text, strings.ToLower(word))
		}
		if all {
			found = append(found, line)
		}
	}
	return found
}

// Logged waits for n lines, since the log is written after the events, and fails the
// test if there are more.
func (g *GatewayServer) Logged(t T, n int, level string, words ...string) {
	t.Helper()
	Wait(t, fmt.Sprintf("%d lines of the log with %q", n, words), func() bool { return len(g.LogLines(level, words...)) >= n })
	if got := len(g.LogLines(level, words...)); got != n {
		t.Errorf("got %d lines of the log with %q, want %d", got, words, n)
	}
}
