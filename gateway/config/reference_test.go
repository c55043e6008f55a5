package config

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestEveryKeyHasACommentInItsOwnWords(t *testing.T) {
	goWord := regexp.MustCompile(`\[[A-Z]|\b[a-z]*[a-z][A-Z]\w+\b`)
	usual := []string{"subProtocol"} // words in which a capital letter follows a small one
	keys := Keys()
	for _, k := range keys {
		text := strings.NewReplacer("ReadHeader", "", "KiB", "", "MiB", "", "wsfpm", "").Replace(k.Comment)
		if !strings.HasPrefix(k.Comment, k.Name+" ") {
			t.Errorf("%s: the comment does not begin with the key: %q", k.Path(), k.Comment)
		}
		if w := goWord.FindString(text); w != "" && !slices.Contains(usual, w) {
			t.Errorf("%s: %q is a name of the code: %q", k.Path(), w, k.Comment)
		}
		if k.Default == "" {
			t.Errorf("%s has no default", k.Path())
		}
	}
	c := Default()
	c.FPM[DefaultPool] = newPool(DefaultPool)
	for _, path := range c.scalarKeys() {
		path = strings.Replace(path, "fpm.default.", "fpm.NAME.", 1)
		if !slices.ContainsFunc(keys, func(k Key) bool { return k.Path() == path }) {
			t.Errorf("%s is not among the keys", path)
		}
	}
}

func TestChangedKeysAreListedWithTheirPlace(t *testing.T) {
	c, err := Load(Source{
		File: write(t, `drain = "30s"
listen = ["127.0.0.1:8080", "unix:/run/ws.sock"]
[fpm.a]
address = "unix:/run/a.sock"
[fpm.b]
address = "unix:/run/b.sock"
max_connections = 8
[[route]]
path = "/ws/{script}"
root = "/srv"
fpm = ["a", "b"]
params = { SECRET = "hush", A = "b" }
`),
		Environ: []string{"WSFPM_REDIS_URL=redis://app:hush@host:6379", "WSFPM_ADMIN_TOKEN=hushhushhush", "WSFPM_ADMIN=127.0.0.1:8081"},
		Flags:   map[string]string{"limits.burst": "50", "log.level": "info"},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []Setting{
		{"", "listen", `["127.0.0.1:8080", "unix:/run/ws.sock"]`, `["127.0.0.1:8080"]`, "line 2"},
		{"", "admin", `"127.0.0.1:8081"`, `""`, "WSFPM_ADMIN"},
		{"", "admin_token", `"…"`, `""`, "WSFPM_ADMIN_TOKEN"},
		{"fpm.a", "address", `"unix:/run/a.sock"`, `"unix:/run/php/php8.2-fpm.sock"`, "line 4"},
		{"fpm.b", "address", `"unix:/run/b.sock"`, `"unix:/run/php/php8.2-fpm.sock"`, "line 6"},
		{"fpm.b", "max_connections", "8", "3", "line 7"},
		{"redis", "url", `"redis://…@host:6379"`, `""`, "WSFPM_REDIS_URL"},
		{"limits", "burst", "50", "30", "command line"},
		{"route[1]", "path", `"/ws/{script}"`, `""`, "line 9"},
		{"route[1]", "root", `"/srv"`, `""`, "line 10"},
		{"route[1]", "fpm", `["a", "b"]`, `""`, "line 11"},
		{"route[1]", "params", `{ "A" = "…", "SECRET" = "…" }`, "{ }", "line 12"},
	}
	if got := c.Changed(); !slices.Equal(got, want) {
		for i := range max(len(got), len(want)) {
			t.Logf("got %q, want %q", at(got, i), at(want, i))
		}
		t.Error("other settings than expected")
	}
	c, err = Load(Source{Script: "/srv/ws.php"})
	if err != nil {
		t.Fatal(err)
	}
	want = []Setting{{"route[1]", "path", `"*"`, `""`, "command line"}, {"route[1]", "script", `"/srv/ws.php"`, `""`, "command line"}}
	if got := c.Changed(); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func at(list []Setting, i int) Setting {
	if i < len(list) {
		return list[i]
	}
	return Setting{}
}
