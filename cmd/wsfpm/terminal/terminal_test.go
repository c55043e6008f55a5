package terminal

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestHostileTextLosesItsEffect(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                     "plain",
		"":                          "",
		"Grüße, 世界 😀":               "Grüße, 世界 😀",
		"\x1b]0;title\x07":          `\x1b]0;title\a`,
		"\x1b[2J":                   `\x1b[2J`,
		"a\u009b31mred":             `a\u009b31mred`,
		"raw \x9b31m":               `raw \x9b31m`,
		"one\ntwo\rthree\ttab":      `one\ntwo\rthree\ttab`,
		"\x7f\x00":                  `\x7f\x00`,
		"user\u202egnp.exe":         `user\u202egnp.exe`,
		"\u2066x\u2069\u200f\u061c": `\u2066x\u2069\u200f\u061c`,
		"\u2028\u2029":              `\u2028\u2029`,
		"\xff\xfe":                  `\xff\xfe`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("Escape(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestAnExcerptIsCutAtACharacter(t *testing.T) {
	for _, c := range []struct {
		in   string
		n    int
		want string
	}{
		{"hello", 5, "hello"}, {"hello", 4, "hell…"}, {"äö", 3, "ä…"}, {"äö", 1, "…"}, {"\x1b\x1b", 1, `\x1b…`}, {"x", 0, "…"},
		{"\x80\x80\x80\x80\x80\x80", 5, `\x80\x80…`},
	} {
		if got := Excerpt(c.in, c.n); got != c.want {
			t.Errorf("Excerpt(%q, %d): got %q, want %q", c.in, c.n, got, c.want)
		}
	}
}

func TestLinesAreBounded(t *testing.T) {
	got := Lines("\none\r\ntwo\x1b\nthree\nfour\n", 2)
	if want := []string{"one", `two\x1b`, "… 2 more lines"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("\x1b[31m\u009b\u202e\xff\n")
	f.Fuzz(func(t *testing.T, s string) {
		got := Escape(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, commands) {
			t.Errorf("Escape(%q) left a command: %q", s, got)
		}
		if Escape(got) != got {
			t.Errorf("Escape(%q) is not stable", s)
		}
		Excerpt(s, len(s)/2)
		Lines(s, 3)
	})
}

func TestJSONStaysTheSameValue(t *testing.T) {
	const hostile = "\x1b[31m\a\u009b2J\u202e \x7f \u2028 \u061c ü € 𝄞 <>&"
	text, err := json.Marshal(map[string]string{hostile: hostile})
	if err != nil {
		t.Fatal(err)
	}
	shown := JSON(append(text, '\n'))
	var back map[string]string
	if err := json.Unmarshal(shown, &back); err != nil || back[hostile] != hostile {
		t.Errorf("got %q, %v", shown, err)
	}
	for _, r := range strings.TrimSuffix(string(shown), "\n") {
		if commands(r) {
			t.Errorf("%q is left in %q", r, shown)
		}
	}
}
