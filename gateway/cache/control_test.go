package cache

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestFreshness(t *testing.T) {
	for lines, want := range map[string]time.Duration{
		"public, max-age=60":                      time.Minute,
		"max-age=60|public":                       time.Minute,
		"PUBLIC , Max-Age=060":                    time.Minute,
		",, public,\tmax-age=1 ,":                 time.Second,
		"public, max-age=600, s-maxage=5":         5 * time.Second,
		"public, max-age=600, s-maxage=0":         0,
		"public, max-age=0":                       0,
		`public, ext="a, private", max-age=7`:     7 * time.Second,
		`public, ext="a\", no-store", max-age=7`:  7 * time.Second,
		"public, max-age=9, must-revalidate, x=y": 9 * time.Second,
		"public, max-age=99999999999999999999999": longest,
		"":                                    0,
		"max-age=60":                          0,
		"private, max-age=60":                 0,
		"no-store, no-cache, must-revalidate": 0,
		`ext="public, max-age=60"`:            0,
		"publicly, max-age=60":                0,
		"x=public, max-age=60":                0,
		"= broken, which no answer means as public": 0,
	} {
		if got, err := Freshness(strings.Split(lines, "|")); err != nil || got != want {
			t.Errorf("%q: got %v, %v, want %v", lines, got, err, want)
		}
	}
}

func TestFreshnessRefusesWithAReason(t *testing.T) {
	for lines, want := range map[string]string{
		"public":                                 "without max-age",
		"public, private, max-age=60":            "both public and private",
		"public, max-age=60, no-store":           "both public and no-store",
		`public, max-age=60, no-cache="x-field"`: "both public and no-cache",
		`public, max-age=60, Private="a, b"`:     "both public and private",
		"public, max-age=60, max-age=60":         "max-age twice",
		"public, max-age=60|max-age=5":           "max-age twice",
		`public, max-age="60"`:                   "want a number",
		"public, max-age":                        "want a number",
		"public, max-age=-1":                     "want a number",
		"public, max-age=1.5":                    "want a number",
		"public, max-age=60, s-maxage=x":         "s-maxage=x: want a number",
		"public, max-age =60":                    "want a comma",
		"public, max-age= 60":                    "without a value",
		"public max-age=60":                      "want a comma",
		`public, max-age=60, ext="`:              "no end of the quoted string",
		"public, max-age=60, \x00":               "want a directive",
	} {
		if got, err := Freshness(strings.Split(lines, "|")); err == nil || !strings.Contains(err.Error(), want) || got != 0 {
			t.Errorf("%q: got %v, %v, want %q in the error", lines, got, err, want)
		}
	}
}

func TestParseVary(t *testing.T) {
	for lines, want := range map[string]string{
		"":                                "",
		"Cookie":                          "cookie",
		"WS-User, cookie|Accept-Language": "accept-language cookie ws-user",
		" ,Cookie,,COOKIE\t":              "cookie",
	} {
		if got, err := ParseVary(strings.Split(lines, "|")); err != nil || strings.Join(got, " ") != want {
			t.Errorf("%q: got %q, %v, want %q", lines, got, err, want)
		}
	}
	for lines, want := range map[string]string{
		"*": "Vary is *", "Cookie, *": "Vary is *", "a b": "not a header's name", `"Cookie"`: "not a header's name", "Cookie\x00": "not a header's name",
		strings.Repeat("a,", 10) + "b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q": "17 names",
	} {
		if got, err := ParseVary(strings.Split(lines, "|")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v, want %q", lines, got, err, want)
		}
	}
}

// FuzzCacheControl holds what must never happen: an answer that is kept although one of its
// directives forbids it, or although none allows it.
func FuzzCacheControl(f *testing.F) {
	for _, seed := range []string{"public, max-age=60", `public, ext="\"", max-age=1`, "private, public, max-age=1", "no-cache=\"a\"", "s-maxage=5,public"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		age, err := Freshness([]string{line})
		if age < 0 || age > longest || err != nil && age != 0 {
			t.Fatalf("got %v, %v", age, err)
		}
		list, broken := directives(line)
		if age == 0 {
			return
		}
		if broken != nil {
			t.Fatalf("kept for %v, although the line cannot be parsed: %v", age, broken)
		}
		seen := make(map[string]int)
		for _, d := range list {
			seen[d.name]++
		}
		if seen["public"] == 0 || seen["private"]+seen["no-store"]+seen["no-cache"] > 0 || seen["max-age"] > 1 || seen["s-maxage"] > 1 || seen["max-age"]+seen["s-maxage"] == 0 {
			t.Fatalf("%q is kept for %v", line, age)
		}
		if again, err := Freshness([]string{line, ""}); err != nil || again != age {
			t.Fatalf("with an empty line more: got %v, %v", again, err)
		}
		if _, err := Freshness([]string{line, "private"}); err == nil {
			t.Fatal("kept although another line says private")
		}
	})
}

func FuzzVary(f *testing.F) {
	for _, seed := range []string{"Cookie", "*", "a, b,,c", "Accept-Language\t, COOKIE", ","} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		names, err := ParseVary([]string{line})
		if err != nil {
			return
		}
		if strings.Contains(line, "*") && slices.Contains(names, "*") {
			t.Fatal("* is taken for a name")
		}
		if !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names) || len(names) > mostVary {
			t.Fatalf("got %q", names)
		}
		for _, name := range names {
			if token, rest := cutToken(name); token == "" || rest != "" || strings.ToLower(name) != name {
				t.Fatalf("got the name %q", name)
			}
		}
		again, err := ParseVary([]string{strings.Join(names, ", "), strings.ToUpper(line)})
		if err != nil || !slices.Equal(again, names) {
			t.Fatalf("read again: got %q, %v, want %q", again, err, names)
		}
	})
}
