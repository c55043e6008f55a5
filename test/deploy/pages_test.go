package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

var (
	codePath = regexp.MustCompile("`((?:cmd|gateway|fcgi|session|deploy|examples|scripts|docs)/[a-z0-9_./-]+)`")
	link     = regexp.MustCompile(`\]\(([^)#:]+)?(#[^)]+)?\)`)
)

func TestPagesNameOnlyFilesThatExist(t *testing.T) {
	root := stack.Root(t)
	for _, page := range userPages(t) {
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

// A page that no reader finds is no page: the README's table has each of docs.
func TestTheREADMELinksEachPage(t *testing.T) {
	readme := read(t, "README.md")
	for _, page := range userPages(t) {
		if strings.HasPrefix(page, "docs/") && !strings.Contains(readme, "]("+page) {
			t.Errorf("README.md does not link %s", page)
		}
	}
}
