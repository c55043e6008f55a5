package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSecretsAreReadAsSystemdReadsThem(t *testing.T) {
	const text = "# WSFPM_A=no\n; WSFPM_B=no\n\n" +
		"WSFPM_ADMIN_TOKEN = plain \nA='s\"i\\n$gle'\nB=\"d\\\"o\\\\u\\$b\\le\"\nC=a\\ b\\\\c\nD=\nno pair\nE=\"open\nF==x\r\n"
	want := []string{"WSFPM_ADMIN_TOKEN=plain", `A=s"i\n$gle`, `B=d"o\u$b\le`, `C=a b\c`, "D=", `E="open`, "F==x"}
	if got := parseEnvironment(text); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestSecretsBesideTheConfiguration(t *testing.T) {
	file := filepath.Join(t.TempDir(), "wsfpm.toml")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(filepath.Dir(file), name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wsfpm.toml", "node = \"file\"\n[[route]]\npath = \"/ws\"\nscript = \"/srv/ws.php\"\n")
	write(SecretsFile, "WSFPM_NODE=secrets\nWSFPM_ADMIN_TOKEN='of-the-file'\n")
	for _, each := range []struct {
		environ []string
		node    string
	}{{nil, "secrets"}, {[]string{"WSFPM_NODE=environment"}, "environment"}} {
		c, err := Load(Source{File: file, Environ: each.environ})
		if err != nil {
			t.Fatal(err)
		}
		if c.Node != each.node || c.AdminToken != "of-the-file" {
			t.Errorf("got %q and %q, want %q", c.Node, c.AdminToken, each.node)
		}
	}
	write(SecretsFile, "WSFPM_NO_SUCH_KEY=1\n")
	if c, err := Load(Source{File: file}); err != nil || !strings.Contains(strings.Join(c.Warnings(), "\n"), "WSFPM_NO_SUCH_KEY") {
		t.Errorf("nothing is said of a name that no key has: %v", err)
	}
}

// FuzzEnvironment reads any file: each pair has a name, and quoted values come back.
func FuzzEnvironment(f *testing.F) {
	f.Add("WSFPM_ADMIN_TOKEN=a\n#b\nC='d'\nE=\"\\\"\"", "p$a\"s\\s")
	f.Fuzz(func(t *testing.T, text, value string) {
		for _, pair := range parseEnvironment(text) {
			if !strings.Contains(pair, "=") {
				t.Errorf("%q", pair)
			}
		}
		if strings.ContainsAny(value, "\r\n") {
			return
		}
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value) + `"`
		if got := parseEnvironment("A=" + quoted); len(got) != 1 || got[0] != "A="+value {
			t.Errorf("%q came back as %q", value, got)
		}
	})
}
