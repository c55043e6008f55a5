package deploy

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"wsfpm/gateway/config"
	"wsfpm/test/stack"
)

// pages are those that this package looks after.
var pages = [...]string{"SECURITY.md", "docs/deploy.md", "docs/metrics.md"}

var (
	codePath = regexp.MustCompile("`((?:cmd|gateway|fcgi|session|deploy|examples|scripts|docs)/[a-z0-9_./-]+)`")
	link     = regexp.MustCompile(`\]\(([^)#:]+)?(#[^)]+)?\)`)
	limitKey = regexp.MustCompile("`limits\\.([a-z_]+)`")
)

func TestPagesNameOnlyFilesThatExist(t *testing.T) {
	root := stack.Root(t)
	for _, page := range pages {
		text := read(t, page)
		for _, m := range codePath.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, m[1])); err != nil {
				t.Errorf("%s: %v", page, err)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			to := page
			if m[1] != "" {
				to = filepath.Join(filepath.Dir(page), m[1])
			}
			if _, err := os.Stat(filepath.Join(root, to)); err != nil {
				t.Errorf("%s: %v", page, err)
			} else if m[2] != "" && !hasHeading(read(t, to), m[2][1:]) {
				t.Errorf("%s: %s has no heading %s", page, to, m[2])
			}
		}
	}
}

// hasHeading reports whether a page has the anchor that a heading makes.
func hasHeading(text, anchor string) bool {
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		slug := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		if strings.ReplaceAll(slug, " ", "-") == anchor {
			return true
		}
	}
	return strings.Contains(text, `id="`+anchor+`"`)
}

func TestPagesNameOnlyLimitsThatExist(t *testing.T) {
	known := make(map[string]bool)
	for field := range reflect.TypeFor[config.Limits]().Fields() {
		known[field.Tag.Get("toml")] = true
	}
	for _, page := range pages {
		for _, m := range limitKey.FindAllStringSubmatch(read(t, page), -1) {
			if !known[m[1]] {
				t.Errorf("%s names limits.%s, which is no key", page, m[1])
			}
		}
	}
}
