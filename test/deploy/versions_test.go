package deploy

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// The page names the versions that the tests run with, where they run on the Debian
// that it names.
func TestPageNamesTheTestedVersions(t *testing.T) {
	page := read(t, "docs/install.md")
	release, err := run(t, exec.Command("sh", "-c", ". /etc/os-release; echo $PRETTY_NAME"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(release, "Debian GNU/Linux 12 ") {
		t.Logf("this is %s: other versions are to be expected", release)
		return
	}
	for part, command := range map[string][]string{
		"PHP-FPM": {stack.Tool(t, "php-fpm", "/usr/sbin/php-fpm*"), "-v"},
		"nginx":   {stack.Tool(t, "nginx", "nginx", "/usr/sbin/nginx"), "-v"},
		"Redis":   {stack.Tool(t, "redis-server", "redis-server"), "--version"},
		"systemd": {stack.Tool(t, "systemd", "systemd-analyze"), "--version"},
	} {
		out, err := run(t, exec.Command(command[0], command[1:]...))
		if err != nil {
			t.Fatalf("%s: %v\n%s", part, err, out)
		}
		_, row, found := strings.Cut(page, "| "+part+" | ")
		version, _, _ := strings.Cut(row, " |")
		if !found || !strings.Contains(strings.Split(out, "\n")[0], version) {
			t.Errorf("docs/install.md says %s %q, and this is %s", part, version, out)
		}
	}
}

func TestManualPageHasEveryCommand(t *testing.T) {
	page := read(t, "deploy/package/wsfpm.1")
	help, code := stack.Command(t, "--help")
	_, list, found := strings.Cut(help, "Commands:\n")
	if code != 0 || !found {
		t.Fatalf("exit status %d, %s", code, help)
	}
	for _, m := range regexp.MustCompile(`(?m)^  (\w+) `).FindAllStringSubmatch(list, -1) {
		if !strings.Contains(page, "\n.It Cm "+m[1]+"\n") {
			t.Errorf("deploy/package/wsfpm.1 does not have the command %s", m[1])
		}
	}
}
