package release

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "release", func(*stack.Suite) {}))
}

// version is the tag that the tests release.
const version = "1.98.7-rc.1"

// must runs a program in a folder, with further environment, and returns what it printed.
func must(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// asRoot runs a program as root, where need be by sudo.
func asRoot(t *testing.T, name string, args ...string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	return must(t, "", []string{"DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"}, name, args...)
}

// checkout is a clone of this checkout, with what is not yet committed, as a tagged commit.
func checkout(t *testing.T, dir string) {
	t.Helper()
	root := stack.Root(t)
	must(t, root, nil, "git", "clone", "--quiet", root, dir)
	change := filepath.Join(stack.TempDir(t), "change")
	must(t, root, nil, "sh", "-c", "git diff --binary HEAD >"+change)
	must(t, dir, nil, "git", "apply", "--index", "--allow-empty", change)
	who := []string{"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com", "GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com",
		"GIT_AUTHOR_DATE=2026-01-02T03:04:05Z", "GIT_COMMITTER_DATE=2026-01-02T03:04:05Z"}
	must(t, dir, who, "git", "commit", "--quiet", "--allow-empty", "-m", "a release")
	must(t, dir, nil, "git", "tag", "v"+version)
}

// file is the one file of a folder that matches a pattern.
func file(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s: found %q, %v, want one file", pattern, found, err)
	}
	return found[0]
}

func TestSoakRelease(t *testing.T) {
	stack.Integration(t)
	one := filepath.Join(stack.TempDir(t), "one")
	checkout(t, one)
	key, home := signingKey(t)
	must(t, one, []string{"SIGN_KEY=" + key, "GNUPGHOME=" + home}, "scripts/release")
	dist := filepath.Join(one, "dist")
	for _, part := range []struct {
		name string
		test func(*testing.T, string)
	}{
		{"Files", testFiles},
		{"Binaries", testBinaries},
		{"Client", testClient},
		{"PHP", testPHP},
		{"SBOM", testSBOM},
		{"Compose", testCompose},
		{"Lintian", testLintian},
		{"Debian", testDebian},
		{"RPM", testRPM},
		{"Image", testImage},
		{"ARM", testARM},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, dist) })
	}
	t.Run("Signature", func(t *testing.T) {
		must(t, dist, []string{"GNUPGHOME=" + home}, "gpg", "--verify", "SHA256SUMS.asc", "SHA256SUMS")
	})
	t.Run("Reproducible", func(t *testing.T) { testReproducible(t, one) })
}

// signingKey makes a key of gpg's that lasts for the test, and returns it with gpg's folder.
func signingKey(t *testing.T) (key, home string) {
	t.Helper()
	home = stack.TempDir(t)
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	env := []string{"GNUPGHOME=" + home}
	t.Cleanup(func() {
		// t.Context has ended by now.
		if out, err := exec.Command("gpgconf", "--homedir", home, "--kill", "all").CombinedOutput(); err != nil {
			t.Errorf("end gpg's agent: %v\n%s", err, out)
		}
	})
	must(t, home, env, "gpg", "--batch", "--passphrase", "", "--quick-generate-key", "test@example.com", "ed25519", "sign", "never")
	return "test@example.com", home
}
