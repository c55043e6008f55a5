package dev

import (
	"bytes"
	"encoding/json"
	"fmt"
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

// shell runs a command line in a folder, with wsfpm in its PATH.
func shell(t *testing.T, dir, line string, env ...string) (out string, code int) {
	t.Helper()
	stack.Integration(t)
	bin := stack.TempDir(t)
	if err := os.Symlink(stack.Binary(t), filepath.Join(bin, "wsfpm")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir, cmd.Env = dir, append(append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "NO_COLOR=1"), env...)
	text, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Fatalf("run %s: %v", line, err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

// varying are the parts of the printed text that differ from run to run, and how docs/call.md
// has them.
var varying = []struct{ pattern, shown string }{
	{`\bin [0-9.]+m?s\b`, "in 3ms"},
	{`\b\d\d:\d\d:\d\d\b`, "12:00:00"},
	{`trace=[0-9a-f]{32}`, "trace=0af7651916cd43dd8448eb211c80319c"},
	{`connection=\w+`, "connection=abcdef"},
	{`Syntax error in \S*…`, "Syntax error in…"},
	{`json_decode\(.*\)`, "json_decode()"},
}

// consoles runs the console blocks of a page in a folder, and compares what they print.
func consoles(t *testing.T, page, dir string) {
	t.Helper()
	blocks := regexp.MustCompile("(?s)```console\n(.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) == 0 {
		t.Fatal("the page has no console")
	}
	for _, block := range blocks {
		for _, part := range strings.Split("\n"+block[1], "\n$ ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			got, _ := shell(t, dir, line)
			got = strings.ReplaceAll(got, dir, "/srv/app")
			for _, v := range varying {
				got = regexp.MustCompile(v.pattern).ReplaceAllString(got, v.shown)
			}
			if strings.TrimRight(got, "\n") != strings.TrimRight(want, "\n") {
				t.Errorf("%s\nprinted:\n%s\nwant:\n%s", line, got, want)
			}
		}
	}
}

// files writes the PHP files of a page into a folder.
func files(t *testing.T, page, dir string) {
	t.Helper()
	for _, b := range regexp.MustCompile("(?s)```php\n(<\\?php // (\\S+)\n.*?)```").FindAllStringSubmatch(page, -1) {
		write(t, filepath.Join(dir, b[2]), b[1])
	}
}

func TestThePageAboutCallsIsTrue(t *testing.T) {
	contract.Row(t, "5.call", "5.call-exit")
	page, dir := read(t, filepath.Join(stack.Root(t), "docs", "call.md")), project(t, nil)
	page, _, _ = strings.Cut(page, "\n## Record") // which has a test of its own
	files(t, page, dir)
	consoles(t, page, dir)
}

// vars answers with what PHP is told, and connect with a status that it was asked for.
const vars = `<?php
if ($_SERVER['WS_EVENT'] === 'connect') { exit(http_response_code((int) ($_GET['status'] ?? 200))); }
$told = array_filter($_SERVER, fn($name) => preg_match('/^(WS|REQUEST|SCRIPT|SERVER|QUERY|CONTENT|GATEWAY|DOCUMENT|REMOTE|HTTP)_/', $name), ARRAY_FILTER_USE_KEY);
echo json_encode($told + ['body' => file_get_contents('php://input'), 'who' => $_COOKIE['who'] ?? '']);
`

func TestPHPGetsTheSameFromACallAndAClient(t *testing.T) {
	contract.Row(t, "5.call", "5.call-json")
	dir := project(t, map[string]string{"ws.php": vars})
	s := stack.Dev(t, dir, nil)
	c := stack.Dial(t, "ws://"+s.Address+"/?a=%20b", stack.DialOptions{Cookie: "who=Ann"})
	c.Send("hello")
	var client, call map[string]any
	if err := json.Unmarshal(c.Next().Data, &client); err != nil {
		t.Fatal(err)
	}
	out, code := shell(t, dir, "wsfpm call ws.php message --data hello --cookie who=Ann --query a=%20b --json")
	var entry struct {
		Params map[string]any
		Answer struct {
			Commands []struct{ Message struct{ Data string } }
		}
	}
	if err := json.Unmarshal([]byte(out), &entry); code != 0 || err != nil || len(entry.Answer.Commands) != 1 {
		t.Fatalf("got %d %v %s", code, err, out)
	}
	if err := json.Unmarshal([]byte(entry.Answer.Commands[0].Message.Data), &call); err != nil {
		t.Fatal(err)
	}
	own := regexp.MustCompile(`^(WS_CONNECTION|WS_NODE|WS_CONNECTED_AT|WS_REQUEST_ID|REMOTE_PORT|SERVER_PORT|SERVER_ADDR|SERVER_NAME|HTTP_.*|REQUEST_TIME.*)$`)
	for name, want := range client {
		got, found := call[name]
		if (!found || got != want) && !own.MatchString(name) {
			t.Errorf("%s: a call told PHP %q, a client's event %q", name, got, want)
		}
		if shown, found := entry.Params[name]; found && shown != got {
			t.Errorf("%s: --json shows %q, PHP was told %q", name, shown, got)
		}
	}
	for name := range call {
		if _, found := client[name]; !found {
			t.Errorf("a call told PHP %s, a client's event did not", name)
		}
	}
}

func TestTheExitStatusOfACallIsForScripts(t *testing.T) {
	contract.Row(t, "5.call-exit", "5.call-fpm")
	dir, temp := project(t, map[string]string{"ws.php": vars, "bad.php": echo}), t.TempDir()
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"ws.php connect":                                    {0, "answered with 200"},
		"ws.php connect --query status=403":                 {3, "refused with 403"},
		"ws.php connect --query status=503":                 {1, "refused with 503"},
		"bad.php message --data fail":                       {1, "it broke in " + dir + "/bad.php:6"},
		"bad.php message --data warn":                       {0, "careful"},
		"ws.php open":                                       {2, "must be one of"},
		"ws.php message":                                    {2, "needs --data TEXT or --file FILE"},
		"ws.php connect --data x":                           {2, "belong to a message"},
		"ws.php message --data x --user 'Ann,Lee'":          {2, "--user"},
		"none.php connect":                                  {2, "there is no script " + dir + "/none.php"},
		"ws.php message --data x --fpm unix:/nonexistent/s": {2, "failed (unavailable)"},
		"ws.php disconnect --code 70000":                    {2, "--code 70000"},
		"ws.php connect --path ws":                          {2, "want a path such as /ws/chat"},
		"ws.php connect --path '/ws?a=b'":                   {2, "--query has the query"},
		"ws.php message --data x --header 'Host: a.test'":   {0, `"HTTP_HOST":"a.test"`},
		"ws.php connect --fpm unix:/nonexistent/s":          {2, "answered with 502"},
		"ws.php message --data x --php-fpm /nonexistent/f":  {2, "--php-fpm: "},
	} {
		out, code := shell(t, dir, "wsfpm call "+line, "TMPDIR="+temp)
		if code != want.code || !strings.Contains(out, want.text) {
			t.Errorf("%s: got %d %s, want %d and %q", line, code, out, want.code, want.text)
		}
	}
	if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
		t.Errorf("calls left %v", left)
	}
}

// Scripts and make know by the status that their user pressed Ctrl-C.
func TestCtrlCIsTheExitStatusOfACall(t *testing.T) {
	contract.Row(t, "5.call-exit", "5.replay-exit")
	stack.Integration(t)
	dir, temp := project(t, map[string]string{"ws.php": "<?php file_put_contents('runs', 'x', FILE_APPEND); sleep(60);"}), t.TempDir()
	write(t, filepath.Join(dir, "recording"), `{"recording":1,"of":"/ws","bodies":true}`+"\n"+`{"event":"connect","params":{"REQUEST_URI":"/","HTTP_HOST":"a.test","REQUEST_METHOD":"GET"},"outcome":"ok","answer":{"status":200}}`+"\n")
	for i, args := range [][]string{{"call", "ws.php", "message", "--data", "x"}, {"replay", "recording", "--fpm", "new", "--script", "ws.php"}} {
		cmd := exec.Command(stack.Binary(t), args...)
		var said bytes.Buffer
		cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, append(os.Environ(), "TMPDIR="+temp), &said, &said
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		stack.Wait(t, "the script to run", func() bool {
			runs, _ := os.ReadFile(filepath.Join(dir, "runs"))
			return len(runs) == i+1
		})
		_ = cmd.Process.Signal(syscall.SIGINT)
		if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
			t.Errorf("wsfpm %s: %v\n%s", strings.Join(args, " "), err, said.String())
		}
	}
	if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 {
		t.Errorf("calls left %v", left)
	}
}

func TestACallHasNoEffects(t *testing.T) {
	contract.Row(t, "5.call-effects", "5.call-fpm")
	fpm, dir := stack.FPM(t, stack.FPMOptions{}), stack.Scripts(t, map[string]string{
		"other.php": "echo 'other';",
		"ws.php":    "header('WS-User: Ann'); header('WS-Join: lobby'); header($_SERVER['WS_EVENT'] === 'connect' ? 'X: y' : 'WS-Publish: all'); echo $_SERVER['WS_EVENT'] . ' ' . $_SERVER['OF_ROUTE'] . file_get_contents('php://input');"})
	redis := stack.Redis(t, stack.RedisOptions{})
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Redis: redis.URL(), Routes: fmt.Sprintf("[[route]]\npath = \"/ws/{script}\"\nroot = %q\nparams = { OF_ROUTE = \"x\" }\n", dir)})
	c := stack.Dial(t, g.URL+"/ws/ws", stack.DialOptions{})
	c.Expect("connect x")
	out, code := shell(t, dir, "wsfpm call ws.php message --data hi --path /ws/other --config "+g.Config)
	if code != 2 || !strings.Contains(out, "the path /ws/other leads to "+dir+"/other.php, not to "+dir+"/ws.php") {
		t.Errorf("another script: got %d %s", code, out)
	}
	out, code = shell(t, dir, "wsfpm call ws.php message --data hi -v --config "+g.Config)
	if code != 0 || !strings.Contains(out, "→ all \"message xhi\"") || !strings.Contains(out, "REQUEST_URI=/ws/ws\n") {
		t.Errorf("got %d %s", code, out)
	}
	if status, text := g.AdminDo(t, "GET", "/connections", "", nil); status != 200 || strings.Count(text, "\n") != 1 {
		t.Errorf("got %d %s, want one connection", status, text)
	}
	c.Send("after it")
	c.Expect("message xafter it") // the client's own, and the first that it gets
	if out, code := shell(t, "/", "wsfpm call /other/ws.php connect --config "+g.Config); code != 2 || !strings.Contains(out, "no route of the configuration leads to /other/ws.php") {
		t.Errorf("got %d %s", code, out)
	}
}

func TestACallShowsNoControlCharacters(t *testing.T) {
	contract.Row(t, "5.call-shown")
	const hostile = "\x1b]0;t\a\u009b2J\u202e"
	dir := project(t, map[string]string{"ws.php": echo, "raw": hostile})
	for _, flags := range []string{"", "-v", "--json"} {
		for _, line := range []string{
			"wsfpm call ws.php message --file raw --state \"$(cat raw)\" --header \"X-A: $(cat raw)\" ",
			"wsfpm call ws.php message --data warn --cookie \"$(cat raw)\" ",
		} {
			out, code := shell(t, dir, line+flags)
			if code != 0 || strings.ContainsAny(out, "\x1b\u009b\u202e\a") || !strings.Contains(out, "echo") {
				t.Errorf("%s: got %d %q", line+flags, code, out)
			}
		}
	}
}
