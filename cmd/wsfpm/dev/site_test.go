package dev

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestPagesComeFromTheFolderMeantForTheWeb(t *testing.T) {
	for want, names := range map[string][]string{
		"public": {"ws.php", "public/", "web/"},
		"web":    {"ws.php", "web/x.html", "public"},
		".":      {"ws.php", "index.html"},
	} {
		dir := folder(t, names...)
		s, err := Open(dir, "")
		if err != nil || s.Pages != filepath.Join(dir, want) || s.CheckScript() != nil {
			t.Errorf("%q: got %+v, %v, %v, want the pages in %s", names, s, err, s.CheckScript(), want)
		}
	}
}

func TestInitKeepsWhatIsThere(t *testing.T) {
	for _, c := range []struct {
		there []string
		wrote []string
	}{
		{nil, []string{"ws.php", "push.php", "public/index.html"}},
		{[]string{"web/"}, []string{"ws.php", "push.php", "web/index.html"}},
		{[]string{"push.php", "public/index.php"}, []string{"ws.php"}},
		{[]string{"public/index.html"}, []string{"ws.php", "push.php"}},
		{[]string{"index.php"}, []string{"ws.php", "push.php"}},
	} {
		dir := folder(t, c.there...)
		wrote, err := Init(dir, nil)
		for i := range wrote {
			wrote[i] = strings.TrimPrefix(wrote[i], dir+"/")
		}
		if err != nil || !slices.Equal(wrote, c.wrote) {
			t.Errorf("%q: wrote %q, %v, want %q", c.there, wrote, err, c.wrote)
		}
		for _, name := range c.there {
			if text, err := os.ReadFile(filepath.Join(dir, name)); !strings.HasSuffix(name, "/") && string(text) != "mine" {
				t.Errorf("%q: %s was replaced: %q, %v", c.there, name, text, err)
			}
		}
	}
}

func TestInitRefusesAProjectWithAScript(t *testing.T) {
	dir := folder(t, "other.php")
	if err := os.Symlink("nowhere.php", filepath.Join(dir, ScriptName)); err != nil { // not even through a dangling link
		t.Fatal(err)
	}
	wrote, err := Init(dir, nil)
	left, _ := fs.Glob(os.DirFS(dir), "*")
	if err == nil || len(wrote) > 0 || !slices.Equal(left, []string{"other.php", ScriptName}) {
		t.Errorf("wrote %q, %v, and the folder has %q", wrote, err, left)
	}
}

func TestTheNewestPHPFPMIsFound(t *testing.T) {
	for _, c := range []struct {
		names []string
		want  string
	}{
		{[]string{"php-fpm8.2*", "php-fpm8.10*", "php-fpm7.4*"}, "php-fpm8.10"},
		{[]string{"php-fpm82*", "php-fpm84*", "php*"}, "php-fpm84"},
		{[]string{"php-fpm8.4*", "php-fpm*"}, "php-fpm"},
		{[]string{"php-fpm8.4", "php-fpm8.1*", "php-fpm8.3/", "php-fpm8.5.conf*"}, "php-fpm8.1"},
		{[]string{"php", "php-cgi8.2*"}, ""},
	} {
		dir := folder(t, c.names...)
		got, err := findFPM([]string{"relative", dir, "/nonexistent"})
		if got != filepath.Join(dir, c.want) && c.want != "" {
			t.Errorf("%q: got %q, %v, want %q", c.names, got, err, c.want)
		}
		if c.want == "" && (err == nil || !strings.Contains(err.Error(), "apt-get install php-fpm")) {
			t.Errorf("%q: got %q, %v, want how to install it", c.names, got, err)
		}
	}
}
