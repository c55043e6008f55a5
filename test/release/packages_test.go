package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func testLintian(t *testing.T, dist string) {
	out := must(t, dist, nil, stack.Tool(t, "lintian", "lintian"), "--fail-on", "error,warning", "--tag-display-limit", "0",
		file(t, dist, "*_amd64.deb"), file(t, dist, "*_arm64.deb"))
	t.Log(out)
}

// debian is a new Debian in a folder, in which systemctl only writes down how it was called,
// as if systemd ran there.
type debian struct {
	t    *testing.T
	root string
}

func newDebian(t *testing.T) debian {
	t.Helper()
	d := debian{t, filepath.Join(stack.TempDir(t), "root")}
	t.Cleanup(func() { // t.Context has ended
		if err := exec.Command("sudo", "-n", "rm", "-rf", d.root).Run(); err != nil && os.Geteuid() == 0 {
			err = os.RemoveAll(d.root)
			if err != nil {
				t.Error(err)
			}
		}
	})
	asRoot(t, stack.Tool(t, "debootstrap", "debootstrap", "/usr/sbin/debootstrap"), "--variant=minbase", "bookworm", d.root)
	d.sh(`mkdir -p /run/systemd/system && touch /called && echo '#!/bin/sh
echo "$@" >>/called' >/usr/local/bin/systemctl && chmod 755 /usr/local/bin/systemctl`)
	return d
}

// sh runs a shell command in the new Debian, as root.
func (d debian) sh(command string) string {
	d.t.Helper()
	return asRoot(d.t, "chroot", d.root, "/bin/sh", "-ec", command)
}

// dpkg runs dpkg on the new Debian, and returns what it printed and how systemctl was called meanwhile.
func (d debian) dpkg(args ...string) (out, called string) {
	d.t.Helper()
	d.sh(": >/called")
	out = asRoot(d.t, "dpkg", append([]string{"--root=" + d.root}, args...)...)
	return out, d.sh("cat /called")
}

// files lists what is there, but dpkg's own state and logs.
func (d debian) files() string {
	d.t.Helper()
	return d.sh(`find / -xdev ! -path '/var/lib/dpkg/*' ! -path '/var/log/*' ! -path /called -printf '%p %y %m %s %l\n' | grep -v ' d ' | sort
		find / -xdev -type d ! -path '/var/lib/dpkg/*' ! -path '/var/lib/systemd*' | sort`)
}

// contains fails the test when a text lacks a word.
func contains(t *testing.T, what, text, word string) {
	t.Helper()
	if !strings.Contains(text, word) {
		t.Errorf("%s: want %q in\n%s", what, word, text)
	}
}

// newer is the same package with a higher version and another configuration.
func newer(t *testing.T, deb string) string {
	t.Helper()
	dir := stack.TempDir(t)
	must(t, dir, nil, "dpkg-deb", "--raw-extract", deb, "content")
	must(t, dir, nil, "sed", "-i", "s/^Version: .*/Version: 1.98.8/", "content/DEBIAN/control")
	must(t, dir, nil, "sed", "-i", "1i # newer", "content/etc/wsfpm/wsfpm.toml")
	must(t, dir, nil, "dpkg-deb", "--root-owner-group", "--build", "content", "newer.deb")
	return filepath.Join(dir, "newer.deb")
}

func testDebian(t *testing.T, dist string) {
	d := newDebian(t)
	deb := file(t, dist, "*_amd64.deb")
	before := d.files()

	out, called := d.dpkg("--install", deb)
	contains(t, "install", out, "systemctl enable --now wsfpm")
	if strings.TrimSpace(called) != "--system daemon-reload" {
		t.Errorf("the installation called systemctl %s", called)
	}
	contains(t, "version", d.sh("wsfpm version"), "v"+version)
	d.sh("wsfpm check --config /etc/wsfpm/wsfpm.toml")
	d.sh("grep -q '^ExecStart=/usr/bin/wsfpm serve' /usr/lib/systemd/system/wsfpm.service")
	if mode := d.sh("stat -c '%a %U' /etc/wsfpm/secrets.env /etc/wsfpm/wsfpm.toml"); mode != "600 root\n644 root\n" {
		t.Errorf("modes and owners of the configuration: %s", mode)
	}
	d.sh("! grep wsfpm /etc/passwd; ! ls /etc/systemd/system/*/wsfpm*")
	asRoot(t, "systemctl", "--root="+d.root, "enable", "wsfpm.service", "wsfpm.socket")

	d.sh("echo '# mine' >>/etc/wsfpm/wsfpm.toml; echo '#WSFPM_ADMIN_TOKEN=mine' >/etc/wsfpm/secrets.env")
	mine := d.sh("md5sum /etc/wsfpm/*")
	out, called = d.dpkg("--force-confold", "--install", newer(t, deb))
	contains(t, "upgrade", out, "systemctl restart wsfpm")
	if strings.TrimSpace(called) != "--system daemon-reload" {
		t.Errorf("the upgrade called systemctl %s", called)
	}
	if got := d.sh("md5sum /etc/wsfpm/wsfpm.toml /etc/wsfpm/secrets.env"); len(strings.Fields(mine)) != 4 || !strings.Contains(mine, strings.Fields(got)[0]) ||
		!strings.Contains(mine, strings.Fields(got)[2]) {
		t.Errorf("the upgrade changed the configuration:\n%s%s", mine, got)
	}
	d.sh("ls /etc/systemd/system/multi-user.target.wants/wsfpm.service") // still enabled

	_, called = d.dpkg("--purge", "wsfpm")
	contains(t, "purge", called, "stop wsfpm.socket wsfpm.service")
	if after := d.files(); after != before {
		t.Errorf("the purge left:\n%s", lacking(after, before))
	}
	t.Run("TenMinutes", func(t *testing.T) { d.t = t; testTenMinutes(t, d, deb) })
}

// lacking is the lines of a text that another has not.
func lacking(text, other string) string {
	var lines strings.Builder
	for line := range strings.Lines(text) {
		if !strings.Contains(other, line) {
			lines.WriteString(line)
		}
	}
	return lines.String()
}

func testRPM(t *testing.T, dist string) {
	rpm := stack.Tool(t, "rpm", "rpm")
	pkg := file(t, dist, "*.x86_64.rpm")
	files := must(t, dist, nil, rpm, "--query", "--package", "--queryformat", `[%{FILEMODES:perms} %{FILEUSERNAME} %{FILEFLAGS:fflags} %{FILENAMES}\n]`, pkg)
	for _, want := range []string{"-rw------- root cn /etc/wsfpm/secrets.env\n", "-rw-r--r-- root cn /etc/wsfpm/wsfpm.toml\n",
		"-rwxr-xr-x root  /usr/bin/wsfpm\n", "-rw-r--r-- root  /usr/lib/systemd/system/wsfpm.service\n"} {
		contains(t, "files", files, want)
	}
	scripts := must(t, dist, nil, rpm, "--query", "--package", "--scripts", pkg)
	contains(t, "scripts", scripts, "systemctl enable --now wsfpm")

	root := filepath.Join(stack.TempDir(t), "root")
	t.Cleanup(func() { _ = exec.Command("sudo", "-n", "rm", "-rf", root).Run() }) // root's files, where the tests run as another user
	asRoot(t, rpm, "--root", root, "--install", "--nodeps", "--noscripts", "--ignorearch", pkg)
	contains(t, "version", must(t, root, nil, "usr/bin/wsfpm", "version"), "v"+version)
	must(t, root, nil, "usr/bin/wsfpm", "check", "--config", "etc/wsfpm/wsfpm.toml")
	contains(t, "the unit", must(t, root, nil, "cat", "usr/lib/systemd/system/wsfpm.service"), "\nSupplementaryGroups=nginx\n")
	contains(t, "the configuration", must(t, root, nil, "cat", "etc/wsfpm/wsfpm.toml"), `listen_group = "nginx"`)
}
