package doctor

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// varying are the parts of the printed lines that differ from run to run, and how
// docs/doctor.md has them.
var varying = []struct{ pattern, shown string }{
	{`127\.0\.0\.1:\d+`, "127.0.0.1:443"},
	{`\d{4}-\d\d-\d\d`, "2027-03-01"},
	{`back in [0-9.]+m?s`, "back in 12ms"},
	{`ends after [0-9.]+m?s`, "ends after 1s"},
	{`example\.test`, "example.com"},
	{`answers after [0-9.]+[mµ]s`, "answers after 150µs"},
	{`PHP 8[0-9.]+`, "PHP 8.2.29"},
	{`for \d+ clients`, "for 1000 clients"},
	{`/ws/count`, "/ws/chat"},
}

// The page shows what is printed for two mistakes.
func TestThePageShowsWhatIsPrinted(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor")
	s := newSite(t, "")
	conf := strings.NewReplacer("proxy_set_header X-Forwarded-Proto $scheme;", "", "proxy_read_timeout 75s", "proxy_read_timeout 1s").Replace(nginxRight)
	f := nginxFront(t, s, conf)
	text, status := stack.Command(t, append([]string{"doctor", "wss://" + host + "/ws/count", "--ca", s.ca, "--connect", "443=" + f.tls, "--connect", "80=" + f.plain}, s.inside(t)...)...)
	if status != 2 {
		t.Errorf("the exit status is %d, want 2", status)
	}
	for _, v := range varying {
		text = regexp.MustCompile(v.pattern).ReplaceAllString(text, v.shown)
	}
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", "doctor.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(page), "```console\n"+text+"```\n") {
		t.Errorf("docs/doctor.md does not have what is printed:\n%s", text)
	}
}

// An exit status of 1 is for warnings.
func TestExitStatusForWarnings(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor")
	s := newSite(t, "")
	f := nginxFront(t, s, strings.Replace(nginxRight, "/right", "/late", 2))
	if r := s.outside(t, f); r.Exit != 1 {
		t.Errorf("got %v, want exit status 1", r)
	}
}

// What cannot be looked at is an error, with what to write.
func TestUnusableOptions(t *testing.T) {
	contract.Row(t, "5.doctor")
	for words, args := range map[string][]string{
		"such as wss://":       {"example.com/ws"},
		"no certificate":       {"wss://example.com/ws", "--ca", "/dev/null"},
		"no such file":         {"wss://example.com/ws", "--ca", "/nowhere"},
		"one of":               {"wss://example.com/ws", "--proxy", "squid"},
		"is not the URL of a ": {"ftp://example.com/ws"},
	} {
		if text, status := stack.Command(t, append([]string{"doctor"}, args...)...); status != 2 || !strings.Contains(text, words) {
			t.Errorf("%v: got %d and %q, want 2 and %q", args, status, text, words)
		}
	}
}

// Bytes of a server that could command a terminal are shown as text.
func TestNoControlCharacterOfAServerIsPrinted(t *testing.T) {
	contract.Row(t, "5.doctor-shown")
	stack.Integration(t)
	nginx := stack.Nginx(t, "server { listen LISTEN; location / { add_header Location \"/a\u009b31m\u202e\" always; return 302; } }")
	text, _ := stack.Command(t, "doctor", "ws://"+nginx.Addr+"/ws/x")
	if !strings.Contains(text, "redirected to") || strings.ContainsAny(text, "\u009b\u202e") {
		t.Errorf("got %q", text)
	}
}
