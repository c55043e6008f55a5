package stack

import (
	"embed"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// library holds the PHP scripts that many tests use.
//
//go:embed php/*.php
var library embed.FS

// Scripts writes the given files into a temporary folder, beside the
// package's own library (echo.php, dump.php, …), and returns the folder. A
// name.php that does not begin with <?php is given it; other files, such as
// pages, are written as they are.
func Scripts(t T, sources map[string]string) string {
	t.Helper()
	dir := TempDir(t)
	files, err := library.ReadDir("php")
	if err != nil {
		t.Fatalf("list the PHP library: %v", err)
	}
	for _, file := range files {
		text, err := library.ReadFile("php/" + file.Name())
		if err != nil {
			t.Fatalf("read %s: %v", file.Name(), err)
		}
		writeScript(t, filepath.Join(dir, file.Name()), string(text))
	}
	for name, source := range sources {
		AddScript(t, dir, name, source)
	}
	return dir
}

// AddScript writes one more file into a folder made by Scripts.
func AddScript(t T, dir, name, source string) {
	t.Helper()
	if strings.HasSuffix(name, ".php") && !strings.HasPrefix(source, "<?php") {
		source = "<?php\n" + source
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatalf("make a folder for %s: %v", name, err)
	}
	writeScript(t, path, source)
}

func writeScript(t T, path, source string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(source), 0o644); err != nil {
		t.Fatalf("write a PHP script: %v", err)
	}
}

// Event is one event as a PHP script saw it: what dump.php answers and
// trace.php writes down.
type Event struct {
	Server map[string]any    `json:"server"`
	Get    map[string]any    `json:"get"`
	Post   map[string]any    `json:"post"`
	Cookie map[string]string `json:"cookie"`
	Body   []byte            `json:"body"` // base64 in JSON, hence any bytes
	Begin  float64           `json:"begin"`
	End    float64           `json:"end"`
}

// Var is one entry of $_SERVER, "" when absent.
func (e Event) Var(name string) string {
	s, _ := e.Server[name].(string)
	return s
}

// Has reports whether $_SERVER has the entry.
func (e Event) Has(name string) bool {
	_, ok := e.Server[name]
	return ok
}

// ParseEvent reads what dump.php answered.
func ParseEvent(t T, text []byte) Event {
	t.Helper()
	e, err := parseEvent(text)
	if err != nil {
		t.Fatalf("read an event: %v in %.200q", err, text)
	}
	return e
}

func parseEvent(text []byte) (Event, error) {
	var e Event
	err := json.Unmarshal(text, &e)
	return e, err
}

// Trace reads the events that trace.php has written into a file. A route gets
// the file by params = { TRACE = "…" }.
type Trace struct{ File string }

// NewTrace makes an empty trace file that PHP may write to.
func NewTrace(t T) Trace {
	t.Helper()
	file := filepath.Join(TempDir(t), "trace")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatalf("make a trace file: %v", err)
	}
	return Trace{File: file}
}

// Events are the events written until now, in the order they ended.
func (tr Trace) Events() []Event {
	text, _ := os.ReadFile(tr.File)
	var events []Event
	for line := range strings.Lines(string(text)) {
		if e, err := parseEvent([]byte(line)); err == nil {
			events = append(events, e)
		}
	}
	return events
}

// Of are the events of one kind: connect, message or disconnect.
func (tr Trace) Of(kind string) []Event {
	var events []Event
	for _, e := range tr.Events() {
		if e.Var("WS_EVENT") == kind {
			events = append(events, e)
		}
	}
	return events
}

// Await waits until n events of a kind have been written and returns them.
func (tr Trace) Await(t T, kind string, n int) []Event {
	t.Helper()
	Wait(t, kind+" to reach PHP", func() bool { return len(tr.Of(kind)) >= n })
	return tr.Of(kind)
}

var placeholder = regexp.MustCompile(`\b(LISTEN|DIR|PORT)\b`)

func replaceAll(text string, values map[string]string) string {
	return placeholder.ReplaceAllStringFunc(text, func(word string) string { return values[word] })
}
