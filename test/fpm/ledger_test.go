package fpm

import (
	"os"
	"strings"
	"testing"
)

// ledger is the file in which testdata/ws.php writes the beginning and the end
// of every run.
type ledger struct {
	t    *testing.T
	file string
}

// run is one line of the ledger.
type run struct {
	begins     bool
	connection string // the client's id
	number     string // of the event in its connection
	event      string // connect, message or disconnect
	code       string // of a disconnect
}

// runs are all lines until now.
func (l ledger) runs() []run {
	l.t.Helper()
	text, err := os.ReadFile(l.file)
	if err != nil && !os.IsNotExist(err) {
		l.t.Fatal(err)
	}
	var runs []run
	for line := range strings.Lines(string(text)) {
		f := append(strings.Fields(line), "", "")
		connection, number, _ := strings.Cut(f[1], ":")
		runs = append(runs, run{f[0] == "begin", connection, number, f[2], f[3]})
	}
	return runs
}

// begun are the runs of one event, of all connections when id is "".
func (l ledger) begun(id, event string) []run {
	l.t.Helper()
	var found []run
	for _, r := range l.runs() {
		if r.begins && r.event == event && (id == "" || r.connection == id) {
			found = append(found, r)
		}
	}
	return found
}

// peak is how many scripts ran at once at most. A run whose worker was killed
// never ends in the ledger, so it is for tests that kill none.
func (l ledger) peak() int {
	l.t.Helper()
	now, most := 0, 0
	for _, r := range l.runs() {
		if !r.begins {
			now--
			continue
		}
		now++
		most = max(most, now)
	}
	return most
}

// check wants no event to have run twice, the events of each connection in
// their order, nothing after a disconnect, and one disconnect at most.
func (l ledger) check() {
	l.t.Helper()
	ran := make(map[string]bool)
	last := make(map[string]int)
	for _, r := range l.runs() {
		if !r.begins {
			continue
		}
		id := r.connection + ":" + r.number
		if ran[id] {
			l.t.Errorf("the event %s (%s) ran twice", id, r.event)
		}
		ran[id] = true
		n := number(l.t, r.number)
		if before, found := last[r.connection]; found && n <= before {
			l.t.Errorf("%s: event %d ran after event %d", r.connection, n, before)
		}
		last[r.connection] = n
		if r.event == "disconnect" {
			last[r.connection] = 1 << 30 // whatever comes now is out of order
		}
	}
}
