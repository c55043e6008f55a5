package style

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	// codeBlock is a fenced block, with the comment in the line before it.
	codeBlock = regexp.MustCompile("(?m)^(?: *<!-- ([^\n]*) -->\n)? *```(\\w*)\n((?:.*\n)*?) *```$")
	runBy     = regexp.MustCompile(`^run by ([\w/]+)\.(Test\w+)$`)
)

// pagesWithCode are those whose readers copy from them.
var pagesWithCode = []string{"README.md", "docs/*.md", "deploy/*/README.md", "examples/*/README.md", "examples/php/*/README.md"}

// TestEachBlockIsRunOrSaysWhyNot requires one of three comments before each block of code:
//
//	<!-- run by test/pages.TestLaravel -->    that test exists, and its package names the page
//	<!-- from deploy/proxies/Caddyfile -->    that file, which a test runs, has the block in it
//	<!-- not run: the reason -->
func TestEachBlockIsRunOrSaysWhyNot(t *testing.T) {
	const root = "../.."
	for _, pattern := range pagesWithCode {
		pages, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil || len(pages) == 0 {
			t.Fatalf("no page is %s, %v", pattern, err)
		}
		for _, page := range pages {
			text, err := os.ReadFile(page)
			if err != nil {
				t.Fatal(err)
			}
			for _, at := range codeBlock.FindAllSubmatchIndex(text, -1) {
				comment := ""
				if at[2] >= 0 {
					comment = string(text[at[2]:at[3]])
				}
				if err := blockIsHeld(root, page, comment, string(text[at[6]:at[7]])); err != nil {
					t.Errorf("%s:%d: %v", page[len(root)+1:], strings.Count(string(text[:at[6]]), "\n"), err)
				}
			}
		}
	}
}

// blockIsHeld checks a block's comment.
func blockIsHeld(root, page, comment, block string) error {
	if file, ok := strings.CutPrefix(comment, "from "); ok {
		source, err := os.ReadFile(filepath.Join(root, file))
		if err == nil && !strings.Contains(string(source), block) {
			err = fmt.Errorf("%s does not have this block", file)
		}
		return err
	}
	if reason, ok := strings.CutPrefix(comment, "not run: "); ok && reason != "" {
		return nil
	}
	m := runBy.FindStringSubmatch(comment)
	if m == nil {
		return errors.New("a block of code needs <!-- run by FOLDER.TestName -->, <!-- from FILE --> or <!-- not run: the reason --> in the line before it")
	}
	files, err := filepath.Glob(filepath.Join(root, m[1], "*_test.go"))
	if err != nil {
		return err
	}
	all := ""
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		all += string(text)
	}
	if !strings.Contains(all, "\nfunc "+m[2]+"(t *testing.T) {") {
		return fmt.Errorf("%s has no %s", m[1], m[2])
	}
	if !strings.Contains(all, filepath.Base(page)) {
		return fmt.Errorf("no test in %s reads %s", m[1], filepath.Base(page))
	}
	return nil
}

// What the check of blocks lets pass, and what not.
func TestTheCheckOfBlocksFindsEachFault(t *testing.T) {
	const root = "../.."
	for comment, good := range map[string]bool{
		"":                                false,
		"not run: ":                       false,
		"not run: a drawing":              true,
		"run by test/pages.TestLaravel":   true,
		"run by test/pages.TestNothing":   false,
		"run by test/nowhere.TestLaravel": false,
		"run by test/style.TestEachBlockIsRunOrSaysWhyNot": false,
		"from deploy/proxies/Caddyfile":                    true,
		"from deploy/proxies/none":                         false,
		"from deploy/nginx/wsfpm.conf":                     false,
	} {
		if err := blockIsHeld(root, "docs/framework"+"s.md", comment, "example.com {\n"); (err == nil) != good {
			t.Errorf("%q: got %v", comment, err)
		}
	}
}
