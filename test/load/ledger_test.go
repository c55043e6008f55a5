package load

import (
	"bufio"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// run is one line of the ledger: a script that PHP-FPM has begun.
type run struct {
	event   string // connect, message or disconnect
	node    string
	request string // the connection's id and the event's number
	tag     string // a message's first word, or the code of a disconnect
}

// ledger reads what testdata/work.php has written into a file, once each connect
// in it has its disconnect: a client that has gone is out of all metrics for a
// moment before its disconnect event waits. What lacks one after a while is left to
// farewells.
func ledger(t *testing.T, file string) (runs []run) {
	t.Helper()
	deadline := time.Now().Add(3 * stack.Patience)
	for runs = entries(t, file); len(unended(runs)) > 0 && time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		runs = entries(t, file)
	}
	return runs
}

func entries(t *testing.T, file string) []run {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	defer f.Close()
	var runs []run
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := append(strings.SplitN(lines.Text(), " ", 4), "", "", "")
		runs = append(runs, run{fields[0], fields[1], fields[2], fields[3]})
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("read the ledger: %v", err)
	}
	return runs
}

// farewells wants no event to have run twice, and every connect to have one
// disconnect.
func farewells(t *testing.T, runs []run) {
	t.Helper()
	ran := make(map[string]bool, len(runs))
	for _, r := range runs {
		if ran[r.request] {
			t.Errorf("PHP ran the event %s (%s) twice", r.request, r.event)
		}
		ran[r.request] = true
	}
	for connection, n := range unended(runs) {
		t.Errorf("the connection %s has %d disconnects, want one", connection, n+1)
	}
}

// unended returns, by connection, how many disconnects more than connects ran,
// where they are not as many.
func unended(runs []run) map[string]int {
	ends := make(map[string]int)
	for _, r := range runs {
		connection := r.request[:strings.LastIndex(r.request, ":")]
		switch r.event {
		case "connect":
			ends[connection]--
		case "disconnect":
			ends[connection]++
		}
	}
	maps.DeleteFunc(ends, func(_ string, n int) bool { return n == 0 })
	return ends
}

// disconnects counts the disconnect events of a node by their close codes.
func disconnects(runs []run, node string) map[string]int {
	codes := make(map[string]int)
	for _, r := range runs {
		if r.event == "disconnect" && strings.HasPrefix(r.node, node+"-") {
			codes[r.tag]++
		}
	}
	return codes
}
