// Package contract tests every promise of docs/contract.md with real servers.
//
// Each promise there has an id, such as 1.connect-once. A test says by Row
// which promises it holds; test/report contract reads the tests'
// output and makes the page that shows which test holds which promise.
package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"

	"wsfpm/test/stack"
)

// Marker precedes an id in the output of a test.
const Marker = "contract-row: "

var anchor = regexp.MustCompile(`<a id="([0-9]\.[a-z0-9-]+)"></a>`)

// IDs are the ids of all promises in the text of docs/contract.md, in its
// order. An id that occurs twice is an error.
func IDs(text []byte) ([]string, error) {
	var ids []string
	seen := make(map[string]bool)
	for _, m := range anchor.FindAllSubmatch(text, -1) {
		id := string(m[1])
		if seen[id] {
			return nil, fmt.Errorf("the id %s occurs twice", id)
		}
		seen[id] = true
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		return nil, fmt.Errorf("no ids found")
	}
	return ids, nil
}

// known reads the ids of this checkout's contract once.
var known = sync.OnceValues(func() (map[string]bool, error) {
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "contract.md"))
	if err != nil {
		return nil, err
	}
	ids, err := IDs(text)
	set := make(map[string]bool)
	for _, id := range ids {
		set[id] = true
	}
	return set, err
})

// Row says that the test holds the promises with these ids. An id that the
// contract does not have fails the test. Tests of other folders that hold a
// promise write Marker and the id themselves.
func Row(t stack.T, ids ...string) {
	t.Helper()
	set, err := known()
	if err != nil {
		t.Fatalf("read the contract: %v", err)
	}
	for _, id := range ids {
		if !set[id] {
			t.Fatalf("docs/contract.md has no row %s", id)
		}
		t.Logf("%s%s", Marker, id)
	}
}
