package dev

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// recorded is a gateway with a control socket, whose route /ws runs ws.php of a folder.
type recorded struct {
	*stack.GatewayServer
	dir string
	env []string // for wsfpm's commands
}

// recordable starts a gateway in the folder of a project, with further lines of its route.
func recordable(t *testing.T, dir, route string) *recorded {
	t.Helper()
	control := filepath.Join(stack.TempDir(t), "control.sock")
	fpm := stack.FPM(t, stack.FPMOptions{Ini: map[string]string{"html_errors": "off"}})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: fpm, Top: fmt.Sprintf("control = \"unix:%s\"", control),
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n%s\n", filepath.Join(dir, "ws.php"), route),
	})
	return &recorded{g, dir, []string{"WSFPM_CONFIG=" + g.Config}}
}

// record runs a line with wsfpm record while do runs, and ends it as Ctrl-C does.
func (r *recorded) record(t *testing.T, line string, do func()) (out string, code int) {
	t.Helper()
	before := len(r.LogLines("info", "control", "record for"))
	printed, err := os.Create(filepath.Join(stack.TempDir(t), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer printed.Close()
	cmd := exec.Command(stack.Binary(t), strings.Fields(line)[1:]...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = r.dir, append(os.Environ(), r.env...), printed, printed
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	stack.Wait(t, "the recording to begin", func() bool { return strings.Contains(read(t, printed.Name()), "Ctrl-C ends it") })
	r.Logged(t, before+1, "info", "control", "record for")
	do()
	_ = cmd.Process.Signal(syscall.SIGINT)
	err = cmd.Wait()
	if _, exited := err.(*exec.ExitError); err != nil && !exited {
		t.Fatal(err)
	}
	return read(t, printed.Name()), cmd.ProcessState.ExitCode()
}

// events is the number of lines of a recording that are events.
func events(t *testing.T, file string) int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return -1
	}
	return strings.Count(string(text), `"event":`)
}

// A handler's bug is recorded, run again red, mended, and run again green, as docs/call.md
// has it.
func TestABugIsRecordedMendedAndGreen(t *testing.T) {
	contract.Row(t, "5.record", "5.record-file", "5.record-secrets", "5.replay", "5.replay-exit")
	stack.Integration(t)
	page, dir := read(t, filepath.Join(stack.Root(t), "docs", "call.md")), project(t, nil)
	page = page[strings.Index(page, "```php"):]
	second := strings.LastIndex(page, "```php")
	files(t, page[:second], dir)
	r := recordable(t, dir, "")
	line := regexp.MustCompile(`(?m)^sudo (wsfpm record .*)$`).FindStringSubmatch(page)
	if line == nil {
		t.Fatal("the page has no line with wsfpm record")
	}
	file := filepath.Join(dir, "ann.ndjson")
	out, code := r.record(t, line[1], func() {
		for _, name := range []string{"Bob", "Ann"} {
			c := stack.Dial(t, r.URL+"/ws", stack.DialOptions{Cookie: "name=" + name + "; sid=secret-cookie"})
			c.Send(`{"text":"hello"}`)
			c.Expect(`{"from":"` + name + `","text":"hello"}`)
			c.Send(`not JSON`)
			r.AwaitLog(t, "error", "event failed")
			c.Close(1000, "")
		}
		stack.Wait(t, "four events in the file", func() bool { return events(t, file) == 4 })
	})
	if code != 0 || !strings.Contains(out, "4 events, 0 missing") {
		t.Errorf("record: got %d %s", code, out)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: got %v, %v, want mode 0600", info, err)
	}
	if text := read(t, file); strings.Contains(text, "secret-") || strings.Contains(text, "Bob") {
		t.Errorf("the file has a secret, or another user: %s", text)
	}
	if strings.Contains(r.LogText(), "hello") {
		t.Error("the log has a message")
	}
	red := strings.LastIndex(page[:second], "```console")
	consoles(t, page[red:second], dir)
	files(t, page[second:], dir)
	consoles(t, page[second:], dir)
}

// counter answers with its state, and counts in it.
const counter = `<?php
if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: Ann'); header('WS-State: secret-1'); exit; }
if ($_SERVER['WS_EVENT'] !== 'message') { exit; }
[, $n] = explode('-', $_SERVER['WS_STATE'] . '-');
header('WS-State: secret-' . ((int) $n + 1));
echo "$n for " . ($_COOKIE['who'] ?? 'none') . ' with ' . ($_GET['token'] ?? 'none') . ' and ' . ($_SERVER['OF_ROUTE'] ?? 'none') . (isset($_SERVER['WS_REPLAY']) ? CHANGE : '');
`

func TestPHPGetsTheSameFromAReplay(t *testing.T) {
	contract.Row(t, "5.replay", "5.replay-told", "5.replay-exit", "5.record-secrets", "5.record-bodies")
	dir := project(t, map[string]string{"ws.php": strings.ReplaceAll(counter, "CHANGE", "''")})
	r := recordable(t, dir, "params = { OF_ROUTE = \"of-the-route\" }")
	talk := func(file string, n int) func() {
		return func() {
			c := stack.Dial(t, r.URL+"/ws?token=of-query", stack.DialOptions{Cookie: "who=of-cookie", Header: http.Header{"Authorization": {"Bearer of-bearer"}}})
			for i := 1; i <= 2; i++ {
				c.Send("x")
				c.Expect(fmt.Sprintf("%d for of-cookie with of-query and of-the-route", i))
			}
			c.Close(1000, "")
			stack.Wait(t, "the events in the file", func() bool { return events(t, filepath.Join(dir, file)) == n })
		}
	}
	r.record(t, "wsfpm record user:Ann --bodies all", talk("all", 4))
	r.record(t, "wsfpm record user:Ann sizes", talk("sizes", 4))
	for _, file := range []string{"all", "sizes"} {
		text := read(t, filepath.Join(dir, file))
		for _, secret := range []string{"secret-", "of-cookie", "of-query", "of-the-route", "of-bearer"} {
			if strings.Contains(text, secret) {
				t.Errorf("%s has %s: %s", file, secret, text)
			}
		}
	}
	write(t, filepath.Join(dir, "changed.php"), strings.ReplaceAll(counter, "CHANGE", `' in a replay'`))
	given := " --cookie who=of-cookie --query token=of-query "
	for line, want := range map[string]struct {
		code int
		text []string
	}{
		"all --fpm new --script ws.php" + given + "--param OF_ROUTE=of-the-route":      {0, []string{"4 events: 4 same"}},
		"all --fpm new" + given + "--config " + r.Config:                               {0, []string{"4 events: 4 same"}},
		"all --fpm new --script ws.php" + given:                                        {1, []string{"2 same", "2 differ", "not given: OF_ROUTE (--param)", `and none", recorded "1 for [redacted] with [redacted] and [redacted]"`}},
		"all --fpm new --script ws.php":                                                {1, []string{"not given: HTTP_COOKIE (--cookie)", "not given: QUERY_STRING (--query)", "for none"}},
		"all --fpm new --script changed.php" + given + "--param OF_ROUTE=of-the-route": {1, []string{"2 differ", "[redacted] in a replay"}},
		"all --fpm new --script changed.php" + given + "--config " + r.Config:          {1, []string{"2 differ", "[redacted] in a replay"}},
		"sizes --fpm new --script ws.php" + given:                                      {0, []string{"2 events: 2 same", "2 messages were not run"}},
		"all --fpm unix:/nonexistent --script ws.php" + given:                          {1, []string{"4 fail", "failed"}},
		"all" + given:      {2, []string{"--fpm is missing"}},
		"ws.php --fpm new": {2, []string{"line 1 is not that of a recording"}},
		"none --fpm new":   {2, []string{"no such file"}},
	} {
		out, code := shell(t, dir, "wsfpm replay "+line)
		for _, text := range want.text {
			if code != want.code || !strings.Contains(out, text) {
				t.Errorf("%s: got %d %s, want %d and %q", line, code, out, want.code, text)
			}
		}
	}
	out, code := shell(t, dir, "wsfpm replay all --fpm new --script changed.php --json"+given)
	var shown struct{ Verdict, Event string }
	first, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(first), &shown); err != nil || code != 1 || shown.Verdict != "same" || shown.Event != "connect" {
		t.Errorf("got %d %v %s", code, err, out)
	}
}

func TestARecordingIsRefusedOrBounded(t *testing.T) {
	contract.Row(t, "5.record", "5.record-file", "5.record-route")
	dir := project(t, map[string]string{"ws.php": echo, "taken": "precious"})
	r := recordable(t, dir, "")
	for line, want := range map[string]string{
		"user:Ann taken":                 "is there already",
		"/ws new":                        `no route "/ws" has record = true`,
		"/other new":                     `no route "/other" has record = true`,
		"channel:a new":                  "want user:<name>, conn:<id>, or the path of a route",
		"Ann new":                        "a route begins with /",
		"user:Ann --for 25h new":         "at most 24h",
		"user:Ann --control x new":       "control",
		"user:Ann --admin 1.2.3.4:5 new": "needs the control socket",
	} {
		out, code := shell(t, dir, "wsfpm record "+line, r.env...)
		if code != 1 || !strings.Contains(out, want) {
			t.Errorf("%s: got %d %s, want %q", line, code, out, want)
		}
	}
	if read(t, filepath.Join(dir, "taken")) != "precious" || events(t, filepath.Join(dir, "new")) != -1 {
		t.Error("a file was replaced, or made in vain")
	}
	out, code := shell(t, dir, "wsfpm record user:Ann --for 100ms new", r.env...)
	if code != 0 || !strings.Contains(out, "0 events, 0 missing: the time is over") {
		t.Errorf("got %d %s", code, out)
	}
	r.Edit(t, `path = "/ws"`, "path = \"/ws\"\nrecord = true")
	r.Reload()
	r.AwaitLog(t, "info", "reloaded configuration")
	r.record(t, "wsfpm record /ws route", func() {
		for range 2 {
			c := stack.Dial(t, r.URL+"/ws", stack.DialOptions{})
			c.Send("x")
			c.Expect("echo x")
			c.Close(1000, "")
		}
		stack.Wait(t, "the events of two clients", func() bool { return events(t, filepath.Join(dir, "route")) == 6 })
	})
	if text := read(t, filepath.Join(dir, "route")); strings.Contains(text, "echo x") || !strings.Contains(text, `"bytes":6`) {
		t.Errorf("got %s, want sizes without content", text)
	}
}

func TestAReplayShowsNoControlCharacters(t *testing.T) {
	contract.Row(t, "5.replay")
	const hostile = `\u001b]0;t\u0007\u009b2J\u202e`
	dir := project(t, map[string]string{
		"ws.php": echo,
		"hostile": `{"recording":1,"of":"` + hostile + `","bodies":true}` + "\n" +
			`{"event":"message","user":"` + hostile + `","connection":"` + hostile + `","params":{"SCRIPT_FILENAME":"/none.php","X` + hostile + `":"[redacted]"},` +
			`"message":{"data":"` + hostile + `","bytes":9},"outcome":"` + hostile + `","answer":{"status":200,"commands":[{"join":["` + hostile + `"]}]}}` + "\n" +
			`{"event":"message","outcome":"overloaded","failure":{"reason":"no worker"}}` + "\n",
	})
	for _, flags := range []string{"", " --json"} {
		out, code := shell(t, dir, "wsfpm replay hostile --fpm new --script ws.php"+flags)
		if code != 1 || strings.ContainsAny(out, "\x1b\u009b\u202e\a") || !strings.Contains(out, "differs") || !strings.Contains(out, "not given: X") || !strings.Contains(out, "before PHP was called: 1") {
			t.Errorf("%s: got %d %q", flags, code, out)
		}
	}
}

// A line of a recording that someone has changed may name any file.
func TestAReplayRunsNoScriptThatOnlyTheRecordingNames(t *testing.T) {
	contract.Row(t, "5.replay-script")
	dir := project(t, map[string]string{"ws.php": echo, "tools/evil.php": "<?php touch(__DIR__ . '/ran');"})
	const event = `{"event":"message","params":{%s"REQUEST_URI":"/ws","REQUEST_METHOD":"POST","CONTENT_LENGTH":"1","WS_EVENT":"message"},"message":{"data":"x","bytes":1},"outcome":"ok","answer":{"status":200,"commands":[{"message":{"data":"echo x","bytes":6}}]}}` + "\n"
	good := fmt.Sprintf(event, `"SCRIPT_FILENAME":"`+dir+`/ws.php",`)
	write(t, filepath.Join(dir, "good"), `{"recording":1,"of":"/ws","bodies":true}`+"\n"+good)
	for name, params := range map[string]string{
		"changed": `"SCRIPT_FILENAME":"` + dir + `/tools/evil.php",`,
		"dotted":  `"SCRIPT_FILENAME":"` + dir + `/ws.php/../tools/evil.php",`,
		"without": `"PATH_TRANSLATED":"` + dir + `/tools/evil.php","SCRIPT_NAME":"/tools/evil.php","DOCUMENT_ROOT":"` + dir + `",`,
	} {
		write(t, filepath.Join(dir, name), read(t, filepath.Join(dir, "good"))+fmt.Sprintf(event, params)+good)
	}
	write(t, filepath.Join(dir, "wsfpm.toml"), fmt.Sprintf("[fpm.default]\naddress = \"unix:/none\"\n[[route]]\npath = \"/ws\"\nscript = %q\n", filepath.Join(dir, "ws.php")))
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"good":                         {2, "give --script FILE, or --config FILE"},
		"changed":                      {2, "give --script FILE, or --config FILE"},
		"good --config wsfpm.toml":     {0, "1 events: 1 same"},
		"changed --config wsfpm.toml":  {2, `tools/evil.php", which is no script of a route in wsfpm.toml`},
		"dotted --config wsfpm.toml":   {2, "is no script of a route"},
		"without --config wsfpm.toml":  {2, "is no script of a route"},
		"changed --script ws.php":      {0, "3 events: 3 same"},
		"without --script ws.php":      {0, "3 events: 3 same"},
		"good --script tools/evil.php": {1, "1 differ"}, // the operator's own word
	} {
		_ = os.Remove(filepath.Join(dir, "tools/ran"))
		out, code := shell(t, dir, "wsfpm replay --fpm new "+line)
		if code != want.code || !strings.Contains(out, want.text) {
			t.Errorf("%s: got %d %s, want %d and %q", line, code, out, want.code, want.text)
		}
		if _, err := os.Stat(filepath.Join(dir, "tools/ran")); (err == nil) != strings.HasSuffix(line, "evil.php") {
			t.Errorf("%s: the other script: %v", line, err)
		}
	}
}

func TestAReplayDoesNotChangePHPsSettings(t *testing.T) {
	contract.Row(t, "5.replay-told")
	dir := project(t, map[string]string{"ws.php": echo, "other.php": "<?php touch(__DIR__ . '/ran');"})
	const event = `{"recording":1,"of":"/ws","bodies":true}` + "\n" + `{"event":"message","params":{%s"SCRIPT_FILENAME":"%s/ws.php","WS_EVENT":"message"},"message":{"data":"x","bytes":1},"outcome":"ok"}` + "\n"
	write(t, filepath.Join(dir, "plain"), fmt.Sprintf(event, "", dir))
	lines := []string{"plain --param PHP_ADMIN_VALUE=auto_prepend_file=" + dir + "/other.php"}
	for _, name := range []string{"PHP_VALUE", "PHP_ADMIN_VALUE"} {
		write(t, filepath.Join(dir, name), fmt.Sprintf(event, `"`+name+`":"auto_prepend_file=`+dir+`/other.php",`, dir))
		lines = append(lines, name)
	}
	for _, line := range lines {
		out, code := shell(t, dir, "wsfpm replay --fpm new --script ws.php "+line)
		if code != 2 || !strings.Contains(out, "VALUE is never sent") {
			t.Errorf("%s: got %d %s", line, code, out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the recording's code has run")
	}
}
