package clients

import (
	"bytes"
	"compress/gzip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
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

// So does the connector of Laravel Echo, with replies that no server can be made to give at the
// right moment.
func TestEchoKeepsItsRules(t *testing.T) {
	stack.Integration(t)
	out, err := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), "laravel.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if rules := bytes.Count(out, []byte("\n")); rules != 8 {
		t.Errorf("%d rules were held to, want 8:\n%s", rules, out)
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

// exported are the names of a file of types, and the members of its interfaces.
var exported = regexp.MustCompile(`(?m)^export (?:function|class|type|interface) (\w+)|^  (\w+)\??[(:]`)

// A compiler takes live.d.ts and echo.d.ts: the names that they export are used
// in types.ts, and those that the modules export stand in them.
func TestTheTypesOfThePagesClient(t *testing.T) {
	stack.Integration(t)
	read := func(name string) []byte {
		text, err := os.ReadFile(filepath.Join(stack.Root(t), "client", "js", name))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	types := append(read("live.d.ts"), read("echo.d.ts")...)
	page, err := os.ReadFile("types.ts")
	if err != nil {
		t.Fatal(err)
	}
	values := regexp.MustCompile(`(?m)^export (?:function|class) \w+|^  [a-z]\w*\(`)
	said, has := values.FindAllString(string(types), -1), values.FindAllString(string(read("live.js")), -1)
	has = append(has, regexp.MustCompile(`(?m)^export class \w+`).FindAllString(string(read("echo.js")), -1)...) // its methods are also the connector's own
	for i := range said {
		said[i] = strings.TrimSpace(said[i])
	}
	for _, what := range has {
		if what = strings.TrimSpace(what); !slices.Contains(said, what) {
			t.Errorf("the types have no %q, which the module has", what)
		}
	}
	for _, m := range exported.FindAllSubmatch(types, -1) {
		name := string(m[1]) + string(m[2])
		if name != "constructor" && !regexp.MustCompile(`\b`+name+`\b`).Match(page) {
			t.Errorf("types.ts does not use %s", name)
		}
	}
	compiler := filepath.Join(stack.Root(t), "test", "browser", "node_modules", "typescript", "bin", "tsc")
	out, err := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), compiler, "--strict", "--noEmit", "--target", "es2022", "--module", "es2022",
		"--moduleResolution", "bundler", "--lib", "es2022,dom", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes", "types.ts").CombinedOutput()
	if err != nil {
		t.Errorf("tsc: %v\n%s", err, out)
	}
}
