package style

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// vague are words that leave open which client, process or program a text is about, or
// which verb it means: "returns", "reports" or "logs". They are also found in the names of
// tests.
var vague = regexp.MustCompile(`\b([Nn]o|[Ss]ome)body\b|\b[Ww]ho` + `ever\b|\b[Tt]el` + `ls\b|(No|Some)body[A-Z]|Tel` + `ls[A-Z]`)

// TestTextIsInPlainWords covers code, scripts, documentation and examples.
func TestTextIsInPlainWords(t *testing.T) {
	const root = "../.."
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name := d.Name(); name == "node_modules" || name == ".git" || name == "build" || name == "fuzz" {
				return filepath.SkipDir
			}
			return nil
		}
		if !d.Type().IsRegular() {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err // binary files have no words
		}
		for i, line := range bytes.Split(text, []byte("\n")) {
			if word := vague.Find(line); word != nil {
				t.Errorf("%s:%d has %q: name who or what is meant, with a plain verb", path[len(root)+1:], i+1, word)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
