package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// said is the output of go test -json for tests that name rows and end so.
func said(lines ...string) string {
	var b strings.Builder
	for _, line := range lines {
		test, rest, _ := strings.Cut(line, " ")
		if rest == "pass" || rest == "fail" || rest == "skip" {
			b.WriteString(`{"Action":"` + rest + `","Package":"wsfpm/p","Test":"` + test + `"}` + "\n")
		} else {
			b.WriteString(`{"Action":"output","Package":"wsfpm/p","Test":"` + test + `","Output":"    x_test.go:1: contract-row: ` + rest + `\n"}` + "\n")
		}
	}
	return b.String()
}

func TestTheTableNamesWhatIsNotHeld(t *testing.T) {
	file := filepath.Join(t.TempDir(), "contract.md")
	text := `<a id="1.one"></a> one <a id="1.two"></a> two`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct{ output, complaint string }{
		"all held":      {said("A 1.one", "A pass", "B 1.two", "B pass"), ""},
		"one by two":    {said("A 1.one", "A 1.two", "A pass", "B 1.two", "B fail"), ""},
		"no test":       {said("A 1.one", "A pass"), "1.two has no passing test"},
		"failing test":  {said("A 1.one", "A pass", "B 1.two", "B fail"), "1.two has no passing test"},
		"skipped test":  {said("A 1.one", "A pass", "B 1.two", "B skip"), "1.two has no passing test"},
		"unknown id":    {said("A 1.one", "A 1.two", "A 1.three", "A pass"), "no row 1.three"},
		"broken output": {"not JSON\n" + said("A 1.one", "A 1.two", "A pass"), ""},
	} {
		var page strings.Builder
		err := cover(file, strings.NewReader(test.output), &page)
		if (err == nil) != (test.complaint == "") || err != nil && !strings.Contains(err.Error(), test.complaint) {
			t.Errorf("%s: got %v, want %q", name, err, test.complaint)
		}
		if !strings.Contains(page.String(), "| [1.one](contract.md#1.one) | `p.A` |") {
			t.Errorf("%s: no row for 1.one in\n%s", name, page.String())
		}
	}
}

func TestAnIDMayStandOnce(t *testing.T) {
	file := filepath.Join(t.TempDir(), "contract.md")
	if err := os.WriteFile(file, []byte(`<a id="1.one"></a><a id="1.one"></a>`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := cover(file, strings.NewReader(""), &strings.Builder{}); err == nil {
		t.Error("an id that stands twice was taken")
	}
}
