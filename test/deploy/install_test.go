package deploy

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// install runs make install into a folder.
func install(t *testing.T, into string, env ...string) string {
	t.Helper()
	cmd := exec.Command("make", "--no-print-directory", "install")
	cmd.Env = append(os.Environ(), "DESTDIR="+into)
	cmd.Env = append(cmd.Env, env...)
	out, err := run(t, cmd)
	if err != nil {
		t.Fatalf("make install: %v\n%s", err, out)
	}
	return out
}

// fakeBinary is a file to install: what is in it does not matter.
func fakeBinary(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(stack.TempDir(t), "wsfpm")
	write(t, path, text)
	if err := os.Chmod(path, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree lists the files below a folder with their modes.
func tree(t *testing.T, root string) map[string]fs.FileMode {
	t.Helper()
	files := make(map[string]fs.FileMode)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files[strings.TrimPrefix(path, root)] = info.Mode()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestInstallPutsEverythingInPlace(t *testing.T) {
	root := stack.TempDir(t)
	install(t, root, "PREFIX=/usr", "BINARY="+fakeBinary(t, "one"))
	want := map[string]fs.FileMode{
		"/usr/bin/wsfpm":                        0o755,
		"/usr/lib/systemd/system/wsfpm.service": 0o644,
		"/usr/share/wsfpm/probe.php":            0o644,
		"/usr/lib/systemd/system/wsfpm.socket":  0o644,
		"/etc/wsfpm/wsfpm.toml":                 0o644,
		"/etc/wsfpm/secrets.env":                0o600,
	}
	got := tree(t, root)
	for file, mode := range want {
		if got[file] != mode {
			t.Errorf("%s: mode %v, want %v", file, got[file], mode)
		}
	}
	for file := range got {
		if _, ok := want[file]; !ok {
			t.Errorf("%s was installed too", file)
		}
	}
	service, err := os.ReadFile(root + "/usr/lib/systemd/system/wsfpm.service")
	if err != nil || !strings.Contains(string(service), "ExecStart=/usr/bin/wsfpm ") || strings.Contains(string(service), "/usr/local") {
		t.Errorf("the unit does not run /usr/bin/wsfpm: %v", regexp.MustCompile(`ExecStart=.*`).FindString(string(service)))
	}
}

func TestInstallAgainKeepsWhatTheOperatorWrote(t *testing.T) {
	root := stack.TempDir(t)
	install(t, root, "BINARY="+fakeBinary(t, "one"))
	mine := map[string]string{"/etc/wsfpm/wsfpm.toml": "# mine\n", "/etc/wsfpm/secrets.env": "WSFPM_ADMIN_TOKEN=mine\n"}
	for file, text := range mine {
		write(t, root+file, text)
	}
	before := tree(t, root)
	install(t, root, "BINARY="+fakeBinary(t, "two"))
	mine["/usr/local/bin/wsfpm"] = "two"
	for file, text := range mine {
		got, err := os.ReadFile(root + file)
		if err != nil || string(got) != text {
			t.Errorf("%s holds %q, %v, want %q", file, got, err, text)
		}
	}
	after := tree(t, root)
	if len(after) != len(before) {
		t.Errorf("the second run left %v, want %v", after, before)
	}
}

func TestInstallSaysWhatIsMissing(t *testing.T) {
	cmd := exec.Command("scripts/install")
	cmd.Env = append(os.Environ(), "DESTDIR="+stack.TempDir(t), "BINARY=/nonexistent/wsfpm")
	out, err := run(t, cmd)
	if err == nil || !strings.Contains(out, "make build") {
		t.Errorf("got %v, %q, want a word about make build", err, out)
	}
}

func TestSysctlNamesWhatTheKernelHas(t *testing.T) {
	line := regexp.MustCompile(`^(-?)([a-z0-9_.]+) = [0-9, ]+$`)
	for text := range strings.Lines(read(t, "deploy/sysctl/wsfpm.conf")) {
		text = strings.TrimSpace(text)
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		found := line.FindStringSubmatch(text)
		if found == nil {
			t.Errorf("%q is no setting", text)
			continue
		}
		_, err := os.Stat("/proc/sys/" + strings.ReplaceAll(found[2], ".", "/"))
		if err != nil && found[1] == "" {
			t.Errorf("%s: %v", found[2], err)
		}
	}
}
