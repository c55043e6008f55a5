package faults

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// journal is what the scripts have noted of their events, by connection. It reads only what
// has been written since the last look.
type journal struct {
	path string
	read int64 // bytes

	let      map[string]time.Time // when the connect event began that let it in
	ends     map[string][]finish
	messages map[string]time.Time // when its newest message began
	odd      []string             // lines that cannot be read
}

// finish is a run of a disconnect event.
type finish struct {
	at   time.Time // when it began
	lost bool      // it was run for a dead node
}

func newJournal(path string) *journal {
	return &journal{path: path, let: make(map[string]time.Time), ends: make(map[string][]finish), messages: make(map[string]time.Time)}
}

// look reads the new lines. A line that is not whole yet is left for the next look.
func (j *journal) look() error {
	file, err := os.Open(j.path)
	if os.IsNotExist(err) {
		return nil // no event yet
	}
	if err != nil {
		return err
	}
	defer file.Close()
	if _, err := file.Seek(j.read, io.SeekStart); err != nil {
		return err
	}
	text, err := io.ReadAll(file)
	if err != nil {
		return err
	}
	whole := text[:bytes.LastIndexByte(text, '\n')+1]
	j.read += int64(len(whole))
	for line := range strings.Lines(string(whole)) {
		j.note(strings.TrimSuffix(line, "\n"))
	}
	return nil
}

// note takes a line: the event, the connection, microseconds, the request's id.
func (j *journal) note(line string) {
	var kind, id, request string
	var micro int64
	if _, err := fmt.Sscan(line, &kind, &id, &micro, &request); err != nil {
		j.odd = append(j.odd, fmt.Sprintf("%v: %.80q", err, line))
		return
	}
	at := time.UnixMicro(micro)
	switch kind {
	case "connect":
		j.let[id] = at
	case "disconnect":
		j.ends[id] = append(j.ends[id], finish{at, request == id+":lost"})
	case "message":
		if at.After(j.messages[id]) {
			j.messages[id] = at
		}
	}
}

func TestTheJournalIsReadOnce(t *testing.T) {
	j := newJournal(filepath.Join(t.TempDir(), "journal"))
	write := func(text string) {
		t.Helper()
		file, err := os.OpenFile(j.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		if _, err := file.WriteString(text); err != nil {
			t.Fatal(err)
		}
		if err := j.look(); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.look(); err != nil {
		t.Fatalf("no journal yet: %v", err)
	}
	write("connect a-1 1000 a-1:0\nmessage a-1 2000 a-1:1\ndisconnect a-1 30")
	if len(j.let) != 1 || len(j.messages) != 1 || len(j.ends) != 0 {
		t.Errorf("got %+v, want a connect and a message", j)
	}
	write("00 a-1:lost\ndisconnect a-1 4000 a-1:2\n")
	want := []finish{{time.UnixMicro(3000), true}, {time.UnixMicro(4000), false}}
	if got := j.ends["a-1"]; len(got) != 2 || got[0] != want[0] || got[1] != want[1] || len(j.odd) > 0 {
		t.Errorf("got %v and %q, want %v", got, j.odd, want)
	}
}
