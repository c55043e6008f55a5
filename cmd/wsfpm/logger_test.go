package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway/config"
)

// logged is what a logger with this configuration writes to a file.
func logged(t *testing.T, cfg config.Log, use func(*zap.Logger, zap.AtomicLevel)) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	journal, err := openJournal(cfg, f)
	if err != nil {
		t.Fatal(err)
	}
	use(journal.log, journal.level)
	journal.Close()
	text, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogIsJSONAwayFromATerminal(t *testing.T) {
	text := logged(t, config.Log{Level: "info", Format: "auto"}, func(log *zap.Logger, _ zap.AtomicLevel) {
		log.Info("line\nbreak", zap.Duration("took", 1500*time.Millisecond))
	})
	var line map[string]string
	if err := json.Unmarshal([]byte(text), &line); err != nil || strings.Count(text, "\n") != 1 {
		t.Fatalf("got %q, %v, want one line of JSON", text, err)
	}
	if _, err := time.Parse(time.RFC3339Nano, line["time"]); err != nil || line["level"] != "info" || line["took"] != "1.5s" {
		t.Errorf("got %v", line)
	}
}

func TestLogLevelCanBeChanged(t *testing.T) {
	text := logged(t, config.Log{Level: "info", Format: "console"}, func(log *zap.Logger, level zap.AtomicLevel) {
		log.Debug("first")
		level.SetLevel(zap.DebugLevel)
		log.Debug("second")
	})
	if strings.Contains(text, "first") || !strings.Contains(text, "second") || strings.Contains(text, "{") {
		t.Errorf("got %q, want the second line alone, for a person", text)
	}
}

func TestOneTextCannotFillTheDisk(t *testing.T) {
	text := logged(t, config.Log{Level: "info", Format: "json"}, func(log *zap.Logger, _ zap.AtomicLevel) {
		for range 10 * logBurst {
			log.Info("again")
		}
		log.Info("other")
	})
	if n := strings.Count(text, "again"); n < logBurst || n > 3*logBurst || !strings.Contains(text, "other") {
		t.Errorf("got %d lines of %d, want about %d", n, 10*logBurst, logBurst+9)
	}
}
