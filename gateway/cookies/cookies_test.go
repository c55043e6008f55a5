package cookies

import (
	"strings"
	"testing"
	"time"
)

func TestCookieJar(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name, header string
		lines        []string
		want         string
		ignored      int
	}{
		{"begins", "", []string{"PHPSESSID=abc; path=/; HttpOnly"}, "PHPSESSID=abc", 0},
		{"adds", "a=1", []string{"b=2"}, "a=1; b=2", 0},
		{"replaces", "a=1; b=2; a=3", []string{"a=4; Secure"}, "b=2; a=4", 0},
		{"deletes by age", "a=1; b=2", []string{"a=x; Max-Age=0"}, "b=2", 0},
		{"deletes by date", "a=1", []string{"a=deleted; expires=Thu, 01-Jan-1970 00:00:01 GMT; Max-Age=0; path=/"}, "", 0},
		{"deletes by date alone", "a=1", []string{"a=deleted; expires=Thu, 01 Jan 1970 00:00:01 GMT"}, "", 0},
		{"age wins", "a=1", []string{"a=2; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=60"}, "a=2", 0},
		{"not yet old", "", []string{"a=2; expires=Fri, 01 Jan 2027 00:00:01 GMT"}, "a=2", 0},
		{"value with equals", "", []string{"a=b=c"}, "a=b=c", 0},
		{"nonsense", "a=1", []string{"no cookie", "=x", "b=\x01"}, "a=1", 3},
		{"digits only in an age", "a=1", []string{"a=2; Max-Age=+0", "a=3; Max-Age=0x", "a=4; Max-Age=", "a=5; Max-Age=-"}, "a=5", 0},
		{"an age below every number", "a=1", []string{"a=2; Max-Age=-99999999999999999999"}, "", 0},
		{"an age above every number", "a=1", []string{"a=2; expires=Thu, 01 Jan 1970 00:00:01 GMT; Max-Age=99999999999999999999"}, "a=2", 0},
		{"the last age counts", "a=1", []string{"a=2; Max-Age=0; Max-Age=5"}, "a=2", 0},
		{"attributes in any case, with spaces", "a=1; b=2", []string{"a=x;\tMAX-AGE = 0 ", "b=x; eXpIrEs =\tThu, 01 Jan 1970 00:00:01 GMT"}, "", 0},
		{"an unreadable date", "a=1", []string{"a=2; Expires=yesterday"}, "a=2", 0},
		{"too many bytes", "a=1", []string{"b=" + strings.Repeat("x", maxHeader)}, "a=1", 1},
	} {
		got, ignored := Set(test.header, test.lines, now)
		if got != test.want || ignored != test.ignored {
			t.Errorf("%s: got %q, %d ignored, want %q, %d", test.name, got, ignored, test.want, test.ignored)
		}
	}
}

// FuzzSet checks that no Set-Cookie breaks the Cookie header or its bound.
func FuzzSet(f *testing.F) {
	f.Add("a=1; b=2", "a=2; Max-Age=0")
	f.Add("", "PHPSESSID=x; expires=Thu, 01-Jan-1970 00:00:01 GMT; path=/")
	f.Add("a", "=; ;=")
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, header, line string) {
		after, _ := Set(header, []string{line}, now)
		if len(after) > maxHeader && len(after) > len(header)+2 {
			t.Fatalf("the header grew to %d bytes", len(after))
		}
		if !strings.ContainsFunc(header, isControl) && strings.ContainsFunc(after, isControl) {
			t.Fatalf("a control character came into the Cookie header: %q", after)
		}
	})
}
