package session

import (
	"strings"
	"testing"
)

func TestTheEndOfASession(t *testing.T) {
	for text, want := range map[string]int64{"1767225600": 1767225600, "0": 0, "99999999999": lastSecond, "0000000000000000001": 1, "never": Never, "": Never} {
		if at, err := ParseExpires(text); err != nil || at != want {
			t.Errorf("%q: got %d, %v, want %d", text, at, err, want)
		}
		if list, _, err := Decode([]byte(`{"expires":"`+text+`"}`), FromAnswer); err != nil || *list[0].Expires != want {
			t.Errorf("a command with %q: got %+v, %v, want %d", text, list, err, want)
		}
	}
	if list, _, err := Decode([]byte(`{"expires":1767225600}`), FromAnswer); err != nil || *list[0].Expires != 1767225600 {
		t.Errorf("a number: got %+v, %v", list, err)
	}
	for _, text := range []string{"-1", "+1", "1.5", "1e9", " 1", "Never", "tomorrow", "1767225600000", "0x1", "1_0", "99999999999999999999"} {
		if at, err := ParseExpires(text); err == nil {
			t.Errorf("%q: got %d, want an error", text, at)
		}
	}
	for body, want := range map[string]string{
		`{"expires":1767225600000}`:               "expires: got \"1767225600000\", want a Unix time in seconds",
		`{"expires":true}`:                        "expires: got true",
		`{"expires":null}`:                        "expires: got null",
		`{"expires":-1}`:                          "expires: got \"-1\"",
		`{"to":"user:1","expires":1}`:             "cannot stand beside",
		`{"purge":"/x","expires":1}`:              "stands alone",
		`{"expires":1,"expires":2}`:               "stands twice",
		`{"to":"all","data":1,"expires":"never"}`: "cannot stand beside",
	} {
		if _, _, err := Decode([]byte(body), FromAnswer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", body, err, want)
		}
	}
}

func FuzzParseExpires(f *testing.F) {
	for _, seed := range []string{"", "never", "0", "1767225600", "-1", "100000000000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		at, err := ParseExpires(text)
		if err != nil {
			return
		}
		if again, err := ParseExpires(ExpiresText(at)); err != nil || again != at || at < 0 {
			t.Errorf("%q is %d, which reads back as %d, %v", text, at, again, err)
		}
	})
}
