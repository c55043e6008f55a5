package phpreport

import (
	"encoding/json"
	"strings"
	"testing"
)

// FuzzFind holds both sides of the rule, whatever a client writes into what
// a script logs and shows: its words without a path of the site are never PHP's,
// and beside them PHP's own are found.
func FuzzFind(f *testing.F) {
	for _, text := range []string{"", loggedException, plainException, htmlException, xdebugPlain, xdebugHTML, lostHeader, warning, "; " + loggedException} {
		f.Add(true, []byte(theirs(text)), []byte(theirs(text)))
		f.Add(false, []byte(theirs(text)), []byte(theirs(text)))
	}
	f.Add(true, []byte("a; PHP message: PHP Fatal error:  Uncaught b\n  thrown"), []byte(theirs(plainException)+"x"))
	f.Add(false, []byte("a; PHP message: PHP Fatal error:  b\n  thrown in "), []byte("\nFatal error: a\non line 3\n\nCall Stack:\n    "))
	f.Fuzz(func(t *testing.T, connect bool, log, shown []byte) {
		logged, _, _ := strings.Cut(string(log), "\x00") // PHP logs nothing after a NUL
		if strings.Contains(logged+string(shown), "/srv/app/") {
			return
		}
		said := func(stderr, body string) string {
			return Find(site, connect, []byte(stderr), []byte(body))
		}
		quoted, err := json.Marshal(string(shown))
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []string{"<" + string(shown), string(quoted)} {
			if sign := said("PHP message: said: "+logged+"; "+warning, body); sign != "" {
				t.Errorf("a client's words in the log %q or the body %q are taken for PHP's: %q", logged, body, sign)
			}
		}
		if sign := said("PHP message: PHP Notice:  said: "+logged+" in /srv/app/a.php on line 3; "+warning, ""); sign != "" {
			t.Errorf("a client's words in PHP's notice %q are taken for PHP's: %q", logged, sign)
		}
		for _, report := range []string{plainException, htmlException, xdebugPlain, xdebugHTML} {
			if said("", string(shown)+report) == "" {
				t.Errorf("after %q PHP's report %q is not found", shown, report)
			}
		}
		if exception := strings.Replace(loggedException, "boo", logged, 1); said(exception, "") == "" {
			t.Errorf("PHP's report %q is not found", exception)
		}
		if connect && said("PHP message: "+logged+"; "+loggedException, "") == "" {
			t.Errorf("PHP's report after a log of %q is not found", logged)
		}
	})
}

// FuzzLines cuts a stream at any place: no byte is lost or sent twice, and
// nothing of PHP's report is sent.
func FuzzLines(f *testing.F) {
	f.Add("one\ntwo", 3, 5)
	f.Add(theirs(plainException), 10, 20)
	f.Add("a\n\nFatal error: x\ny\n", 4, 17)
	f.Add("\nFatal error: ", 0, 1)
	f.Fuzz(func(t *testing.T, text string, first, second int) {
		if strings.Contains(text, "/srv/app/") {
			return
		}
		feed := func(text string) (sent, report string) {
			l := Lines{Script: site, Look: true}
			a := min(max(first, 0), len(text))
			b := min(max(second, a), len(text))
			for i, chunk := range []string{text[:a], text[a:b], text[b:], ""} {
				ready, report := l.Add([]byte(chunk), i == 3)
				sent += string(ready)
				if report != "" {
					return sent, report
				}
			}
			return sent, ""
		}
		if sent, report := feed(text); report != "" || sent != text {
			t.Errorf("%q came out as %q, %q", text, sent, report)
		}
		if sent, report := feed(text + "\n" + plainException); report == "" || strings.Contains(sent[min(len(text), len(sent)):], "boo") {
			t.Errorf("with PHP's report after %q came %q, %q", text, sent, report)
		}
	})
}
