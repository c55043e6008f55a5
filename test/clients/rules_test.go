package clients

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// The client's rules hold on a clock and sockets of the test's own: what takes minutes, or
// what no server can be made to do at the right moment.
func TestThePageKeepsItsRules(t *testing.T) {
	stack.Integration(t)
	contract.Row(t, "2.come-back", "7.told", "9.again")
	out, err := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), "rules.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if rules := bytes.Count(out, []byte("\n")); rules < 25 {
		t.Errorf("%d rules were held to, want 25:\n%s", rules, out)
	}
}

// comments are the lines that a site may leave out of what it serves.
var comments = regexp.MustCompile(`(?m)^ *//.*\n|^ */\*\*(?s:.*?)\*/\n`)

func TestThePagesClientIsSmall(t *testing.T) {
	const most = 3 << 10 // bytes
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "client", "js", "live.js"))
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	w, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if _, err := w.Write(comments.ReplaceAll(text, nil)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > most {
		t.Errorf("%d bytes by gzip without comments, want at most %d", packed.Len(), most)
	}
	t.Logf("%d bytes by gzip without comments", packed.Len())
}
