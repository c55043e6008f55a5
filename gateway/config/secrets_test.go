package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Each line gives what systemd 252 makes of it.
func TestSecretsAreReadAsSystemdReadsThem(t *testing.T) {
	for text, want := range map[string][]string{
		"# WSFPM_A=no\n; WSFPM_B=no\n\nC=c\nno pair\nD=d":    {"C=c", "D=d"},
		"WSFPM_ADMIN_TOKEN = plain \n K =  v1  v2  \n":       {"WSFPM_ADMIN_TOKEN=plain", "K=v1  v2"},
		"A='s\"i\\n$gle'\nB=\"d\\\"o\\\\u\\$b\\le\"":         {`A=s"i\n$gle`, `B=d"o\u$b\le`},
		"A=a\\ b\\\\c\nB=\nC==x\r\nD=\"\"":                   {`A=a b\c`, "B=", "C==x", "D="},
		"A=\"abc\"def\nB=a\"b\"c\nC=\"a\" \"b\"\nD='x'\"y\"": {"A=abcdef", `B=a"b"c`, "C=ab", "D=xy"},
		"A=abc # not a comment\nB='it'\\''s'":                {"A=abc # not a comment", "B=it''s'"},
		"A=a\\\nb\nB=\"x\\\ny\"\nC='multi\nline'\nD=a\\ ":    {"A=ab", "B=xy", "C=multi\nline", "D=a "},
		"A=\"tail \"   \nB= \"lead\"\nC=v\u00a0\nD=a\rE=b":   {"A=tail ", "B=lead", "C=v\u00a0", "D=a", "E=b"},
		"A=\"unclosed\nB=2\n":                                {"A=unclosed\nB=2\n"},
	} {
		if got := parseEnvironment(text); !slices.Equal(got, want) {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
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
		quoted := `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "`", "\\`").Replace(value) + `"`
		if got := parseEnvironment("A=" + quoted); len(got) != 1 || got[0] != "A="+value {
			t.Errorf("%q came back as %q", value, got)
		}
	})
}
