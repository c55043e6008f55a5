package pages

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// A page is a Node program that runs a page's script.
type page struct {
	t     *testing.T
	lines chan string // what it has shown, as JSON
}

// openPage runs the JavaScript of a page until the test ends.
func (s *site) openPage(script, cookie string) *page {
	s.t.Helper()
	file := filepath.Join(stack.TempDir(s.t), "page.js")
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command(stack.Tool(s.t, "nodejs", "node"), "testdata/page.mjs", s.URL, file)
	cmd.Env = append(os.Environ(), "PAGE_COOKIE="+cookie)
	cmd.Stderr = s.t.Output()
	out, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	p := &page{t: s.t, lines: make(chan string, 100)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	s.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-read
		_ = cmd.Wait()
	})
	return p
}

// expect wants the page to show this next.
func (p *page) expect(want string) {
	p.t.Helper()
	select {
	case got := <-p.lines:
		if got != want {
			p.t.Fatalf("the page shows %s, want %s", got, want)
		}
	case <-time.After(stack.Patience):
		p.t.Fatalf("the page shows nothing within %v, want %s", stack.Patience, want)
	}
}
