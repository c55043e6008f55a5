package phpreport

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const site = "/srv/app/public/ws.php"

// What PHP 8.2 writes of an exception in a file of the site, measured.
const (
	loggedException = "PHP message: PHP Fatal error:  Uncaught Exception: boo in /srv/app/lib.php:3\nStack trace:\n#0 /srv/app/public/ws.php(2): f()\n#1 {main}\n  thrown in /srv/app/lib.php on line 3"
	plainException  = "\nFatal error: Uncaught Exception: boo in /srv/app/lib.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/app/lib.php on line 3\n"
	htmlException   = "<br />\n<b>Fatal error</b>:  Uncaught Exception: boo in /srv/app/lib.php:3\nStack trace:\n#0 {main}\n  thrown in <b>/srv/app/lib.php</b> on line <b>3</b><br />\n"
	xdebugPlain     = "\nFatal error: Uncaught Exception: boo in /srv/app/lib.php on line 3\n\nException: boo in /srv/app/lib.php on line 3\n\nCall Stack:\n    0.0003     352904   1. {main}() /srv/app/public/ws.php:0\n\n"
	xdebugHTML      = "<br />\n<font size='1'><table class='xdebug-error xe-uncaught-exception' dir='ltr' border='1' cellspacing='0' cellpadding='1'>\n" +
		"<tr><th align='left' bgcolor='#f57900' colspan=\"5\"><span style='background-color: #cc0000; color: #fce94f; font-size: x-large;'>( ! )</span> Fatal error: Uncaught Exception: boo in /srv/app/lib.php on line <i>3</i></th></tr>\n" +
		"<tr><th align='left' bgcolor='#e9b96e' colspan='5'>Call Stack</th></tr>\n</table></font>\n"
	lostHeader = "PHP message: PHP Warning:  Header may not contain more than a single header, new line detected in /srv/app/public/ws.php on line 2"
	warning    = `PHP message: PHP Warning:  Undefined variable $u in /srv/app/public/ws.php on line 2`
)

// theirs is a text with a path that the client made up.
func theirs(text string) string { return strings.ReplaceAll(text, "/srv/app/", "/srv/ap/") }

func TestPHPsReports(t *testing.T) {
	const both, onConnect, never = "both", "on connect", "never"
	long := "PHP message: PHP Fatal error:  Uncaught Exception: " + strings.Repeat("x", 2000)
	cut := func(n int) string { return long[:n-3] + "..." }
	for _, test := range []struct{ name, want, stderr, body string }{
		{"nothing", never, "", "hello"},
		{"an exception", both, loggedException, ""},
		{"an exception with a message of its own", both, loggedException + "; PHP message: bye", "x"},
		{"a parse error", both, `PHP message: PHP Parse error:  syntax error, unexpected identifier "is" in /srv/app/public/ws.php on line 2`, ""},
		{"after a warning", both, warning + "; " + loggedException, ""},
		{"PHP 8.5", both, "PHP message: PHP Fatal error:  Maximum execution time of 1 second exceeded in /srv/app/a.php on line 3\nStack trace:\n#0 {main}", ""},
		{"one cut after its path", both, strings.ReplaceAll(loggedException, "on line 3", strings.Repeat("#2", 300)+"..."), ""},
		{"one cut before its path", onConnect, cut(1015), ""},
		{"one cut before its path, in Docker", onConnect, cut(1015)[:500] + strings.Repeat("y", 8183-503) + "...", ""},
		{"one of another length", never, cut(1000), ""},
		{"an exception with a client's words", both, strings.Replace(loggedException, "boo", "a on line 3; PHP message: b", 1), ""},
		{"a header dropped", both, lostHeader, "x"},
		{"a warning", never, warning, "x"},
		{"headers too late", onConnect, "PHP message: PHP Warning:  Cannot modify header information - headers already sent by (output started at /srv/app/a.php:1) in /srv/app/a.php on line 2", "x"},
		{"a status too late, PHP 8.3", onConnect, "PHP message: PHP Warning:  http_response_code(): Cannot set response code - headers already sent (output started at /srv/app/a.php:1) in /srv/app/a.php on line 2", "x"},

		{"shown", both, "", "x" + plainException},
		{"shown as HTML", both, "", "x" + htmlException},
		{"shown by Xdebug", both, "", "x" + xdebugPlain},
		{"shown by Xdebug as HTML", both, "", "x" + xdebugHTML},
		{"shown with a warning after it", both, "", plainException + "\nWarning: Unknown: no session in Unknown on line 0\n"},
		{"shown ahead of a shutdown function's words", onConnect, "", plainException + "bye"},
		{"shown ahead of a shutdown function's words, HTML", onConnect, "", xdebugHTML + "bye"},
		{"a header too late, shown", onConnect, "", "x<br />\n<b>Warning</b>:  Cannot modify header information - headers already sent by (output started at /srv/app/a.php:1) in <b>/srv/app/a.php</b> on line <b>2</b><br />\ny"},
		{"a warning first", onConnect, "", "\nWarning: Undefined variable $x in /srv/app/a.php on line 2\nlog in"},
		{"no file to prepend", onConnect, "", "\nWarning: Unknown: Failed to open stream: No such file or directory in Unknown on line 0\n\nFatal error: Failed opening required '/x.php' (include_path='.:') in Unknown on line 0\n"},

		{"a log of a client's words", never, "PHP message: said: " + theirs(loggedException), ""},
		{"a log of nothing else", never, theirs(loggedException), ""},
		{"a log and a warning", never, theirs(loggedException) + "; " + warning, ""},
		{"a log of half a report and a warning", never, "PHP message: said: a; PHP message: PHP Fatal error:  b; " + warning, ""},
		{"a warning with a client's words", never, `PHP message: PHP Warning:  Undefined array key "a in /x on line 3; PHP message: PHP Fatal error:  b" in /srv/app/a.php on line 2`, ""},
		{"a warning with the words of another", never, `PHP message: PHP Warning:  Undefined array key "Header may not contain " in /srv/app/a.php on line 2`, ""},
		{"a log of an exception with a client's words", never, "PHP message: Exception: a; PHP message: PHP Fatal error:  b in /srv/app/a.php:3\nStack trace:\n#0 {main}", ""},
		{"talk", never, "PHP message: PHP Fatal error: in my own program", "I got a Fatal error: on line 4"},
		{"history", never, "", "hello\n" + theirs(plainException+htmlException+xdebugPlain+xdebugHTML)},
		{"history that begins so", never, "", theirs(plainException)},
		{"history that begins so, HTML", never, "", theirs(htmlException)},
		{"history as JSON", never, "", `{"text":"\nFatal error: x in \/srv\/app\/a.php on line 3\n"}`},
	} {
		if got := Find(site, true, []byte(test.stderr), []byte(test.body)); (got != "") != (test.want != never) {
			t.Errorf("%s: on connect got %q, want %s", test.name, got, test.want)
		}
		if got := Find(site, false, []byte(test.stderr), []byte(test.body)); (got != "") != (test.want == both) {
			t.Errorf("%s: on message got %q, want %s", test.name, got, test.want)
		}
	}
}

// PHP names files by their real paths.
func TestPHPsReportsBehindASymbolicLink(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "ws.php")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "current.php")
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	body := strings.ReplaceAll(plainException, "/srv/app/lib.php", file)
	if got := Find(link, false, nil, []byte(body)); got == "" {
		t.Errorf("%q for the script %s is not taken for PHP's", body, link)
	}
}

func TestTheFolderOfASite(t *testing.T) {
	for script, want := range map[string]string{
		"/srv/app/public/ws.php": "/srv/app/", "/srv/ws.php": "/srv/", "/var/www/html/ws.php": "/var/www/", "/app/public/ws.php": "/app/",
		"/app/ws.php": "/app/", "/ws.php": "/ws.php", "/home/u/site/a/b/ws.php": "/home/u/", "ws.php": "ws.php",
	} {
		if got := siteFolder(script); got != want {
			t.Errorf("%s: got %s, want %s", script, got, want)
		}
	}
}

func TestOutputBeforeARefusal(t *testing.T) {
	for body, want := range map[string]bool{
		"\ufeff": true, "\ufeffhello": true, "\nlog in first": true, " secret": true,
		"": false, "hello": false, "\n\n": false, "hello\n": false, "\nWarning: x in /a.php on line 3\n": false, "<br />\n<b>Warning</b>:  x": false,
	} {
		if got := ComesFirst([]byte(body)); got != want {
			t.Errorf("%q: early output %v, want %v", body, got, want)
		}
	}
}

// Only PHP-FPM says all three.
func TestAScriptThatDidNotRun(t *testing.T) {
	for _, test := range []struct {
		status       int
		stderr, body string
		want         bool
	}{
		{404, "Primary script unknown", "File not found.\n", true},
		{403, "Access to the script '/srv/a.txt' has been denied (see security.limit_extensions)", "Access denied.\n", true},
		{200, "PHP message: Primary script unknown", "ok", false},
		{404, "PHP message: Primary script unknown", "no such room", false},
		{404, "", "File not found.\n", false},
	} {
		if got := NotRun(test.status, []byte(test.stderr), []byte(test.body)); got != test.want {
			t.Errorf("%+v: got %v", test, got)
		}
	}
}
