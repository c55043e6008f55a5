package contract

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// cachePage is codeOf docs/cache.md.
func cachePage(t *testing.T, language, containing string) string {
	t.Helper()
	return codeOf(t, "cache.md", language, containing)
}

// codeOf returns the code of a page of docs in one language that contains a text.
func codeOf(t *testing.T, page, language, containing string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile("(?s)```(\\w+)\n(.*?)```").FindAllSubmatch(text, -1) {
		if string(m[1]) == language && strings.Contains(string(m[2]), containing) {
			return strings.TrimPrefix(string(m[2]), "<?php ")
		}
	}
	t.Fatalf("docs/%s has no %s code with %q", page, language, containing)
	return ""
}

// The prices of docs/cache.md, with its configuration: users share them until the program
// that changes them has purged them, of which a page hears.
func TestTheDocumentedPricesAreShared(t *testing.T) {
	const query = `function prices_of($list) { return [$list => bin2hex(random_bytes(4))]; }` + "\n"
	table := cachePage(t, "toml", "[[route]]")
	w := start(t, setup{redis: true, scripts: map[string]string{"prices.php": "require __DIR__ . '/who.php';\n" + query + cachePage(t, "php", "// ws/prices.php"),
		"who.php": `if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: ' . $_SERVER['HTTP_X_AS']); header('WS-Join: prices'); }`},
		options: stack.GatewayOptions{Routes: strings.Replace(table, "/srv/app/ws/", "$DIR/", 1)}}, "2.cache", "2.cache-key-all", "4.purge-first")
	dial := func(as string) *stack.Client {
		return stack.Dial(t, w.URL+"/ws/prices", stack.DialOptions{Header: header("X-As", as)})
	}
	ann, bob := dial("ann"), dial("bob")
	askFor(ann, "metals")
	stored := askFor(ann, "metals")
	equal(t, "the other's answer", askFor(bob, "metals"), stored)

	published := filepath.Join(t.TempDir(), "published")
	program := "<?php class R { function publish($channel, $text) { file_put_contents($_SERVER['argv'][1], json_encode([$channel, $text])); } }\n$redis = new R;\n" +
		cachePage(t, "php", "// change.php")
	file := filepath.Join(t.TempDir(), "change.php")
	if err := os.WriteFile(file, []byte(program), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(stack.Tool(t, "php", "php"), file, published).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var call [2]string
	if err := json.Unmarshal([]byte(readFile(published)), &call); err != nil || call[0] != "ws:command" {
		t.Fatalf("got %q, %v", call, err)
	}
	w.publish("command", call[1])
	bob.Expect("changed")
	if askFor(bob, "metals") == stored {
		t.Error("got the old price after the news")
	}
}

func TestTheDocumentedVaryPartsUsersAndLanguages(t *testing.T) {
	w := start(t, setup{script: cachePage(t, "php", "// ws/welcome.php"), route: "cache = \"16MiB\"\ncache_key = []\n"}, "2.cache-vary")
	for range 3 {
		equal(t, "a German guest", askFor(w.dial("", stack.DialOptions{Header: german}), "hello"), "de: hello guest")
		equal(t, "a French guest", askFor(w.dial("", stack.DialOptions{Header: french}), "hello"), "fr: hello guest")
		equal(t, "a guest", askFor(w.open(), "hello"), "en: hello guest")
	}
	equal(t, "runs", len(w.trace.Of("message")), 4) // the first of all is not stored
}
