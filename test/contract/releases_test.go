package contract

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// deployed is a folder as deploys by a link have it: releases/1, releases/2, and
// current, a link to one of them.
type deployed struct {
	t   *testing.T
	dir string
}

// deploys writes two releases of a script that answers with its release. The
// files are old, so that opcache keeps them.
func deploys(t *testing.T) *deployed {
	t.Helper()
	dir, err := filepath.EvalSymlinks(stack.Scripts(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	d := &deployed{t, dir}
	for n := 1; n <= 2; n++ {
		file := fmt.Sprintf("releases/%d/ws/chat.php", n)
		stack.AddScript(t, dir, file, fmt.Sprintf(`echo "release %d as $_SERVER[SCRIPT_FILENAME] in $_SERVER[DOCUMENT_ROOT]";`, n))
		old := time.Now().Add(-time.Hour)
		if err := os.Chtimes(filepath.Join(dir, file), old, old); err != nil {
			t.Fatal(err)
		}
	}
	d.to(1)
	return d
}

// to switches the link in one step, as deploys do.
func (d *deployed) to(release int) {
	d.t.Helper()
	next := filepath.Join(d.dir, "next")
	if err := os.Symlink(fmt.Sprintf("releases/%d", release), next); err != nil {
		d.t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(d.dir, "current")); err != nil {
		d.t.Fatal(err)
	}
}

// runs is what the script of a release answers.
func (d *deployed) runs(release int) string {
	root := fmt.Sprintf("%s/releases/%d/ws", d.dir, release)
	return fmt.Sprintf("release %d as %s/chat.php in %s", release, root, root)
}

func TestADeployByALinkRunsAtOnce(t *testing.T) {
	d := deploys(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 2, Ini: map[string]string{"opcache.enable": "1"}})
	w := start(t, setup{options: stack.GatewayOptions{FPM: fpm, Limits: "messages_per_second = 0", Routes: strings.ReplaceAll(`
[[route]]
path = "/by/{script}"
root = "CURRENT"
on_error = "close"
[[route]]
path = "/fixed"
script = "CURRENT/chat.php"
on_error = "close"
`, "CURRENT", d.dir+"/current/ws")}}, "1.script", "1.resolve-root", "5.path")
	stayed := map[string]*stack.Client{}
	for _, path := range []string{"/by/chat", "/fixed"} {
		stayed[path] = stack.Dial(t, w.URL+path, stack.DialOptions{})
		stayed[path].Expect(d.runs(1))
	}
	for i := range 6 {
		release := 2 - i%2
		d.to(release)
		for path, c := range stayed {
			newcomer := stack.Dial(t, w.URL+path, stack.DialOptions{}) // no handshake fails meanwhile, no event does
			if got := string(newcomer.Next().Data); got != d.runs(1) && got != d.runs(2) {
				t.Fatalf("%s: a newcomer got %q", path, got)
			}
			newcomer.Close(1000, "")
			stack.Wait(t, fmt.Sprintf("release %d on %s", release, path), func() bool {
				c.Send("?")
				return string(c.Next().Data) == d.runs(release)
			})
		}
	}
	d.to(2)
	for path, c := range stayed {
		stack.Wait(t, "release 2 on "+path, func() bool {
			c.Send("?")
			return string(c.Next().Data) == d.runs(2)
		})
	}
	if err := os.RemoveAll(filepath.Join(d.dir, "releases/1")); err != nil {
		t.Fatal(err)
	}
	for path, c := range stayed {
		for range 4 { // each worker
			c.Send("?")
			c.Expect(d.runs(2))
			stack.Dial(t, w.URL+path, stack.DialOptions{}).Expect(d.runs(2))
		}
	}
}

func TestLinksAreLeftToPHPWhereTheRouteSaysSo(t *testing.T) {
	d := deploys(t)
	w := start(t, setup{options: stack.GatewayOptions{
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = \"%s/current/ws/chat.php\"\nresolve_root = false\n", d.dir)}}, "1.resolve-root")
	w.open().Expect(fmt.Sprintf("release 1 as %[1]s/chat.php in %[1]s", d.dir+"/current/ws"))
}
