package contract

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// phpErrors are scripts that fail although their status may be 200.
var phpErrors = map[string]string{
	"fatal":        `echo 'secret'; ob_flush(); flush(); nonsense();`,
	"exception":    `echo 'secret'; throw new Exception('x');`,
	"memory":       `ini_set('memory_limit', '8M'); $s = str_repeat('x', 100 << 20);`,
	"status is ok": `http_response_code(200); echo str_repeat('secret', 9000); flush(); nonsense();`,
	"parse":        `include __DIR__ . '/broken.inc';`,
	"newline":      `header("WS-User: a\nWS-Join: b"); echo 'secret';`,
}

func errorScripts() map[string]string {
	scripts := map[string]string{"broken.inc": "<?php this is ( not PHP"}
	for name, source := range phpErrors {
		file := strings.ReplaceAll(name, " ", "_")
		scripts[file+"_c.php"] = source
		scripts[file+"_m.php"] = "if ($_SERVER['WS_EVENT'] === 'message') {\nif (file_get_contents('php://input') === 'ok') exit('ok');\n" + source + "}"
	}
	return scripts
}

func TestAFatalErrorWithStatus200IsNoSuccess(t *testing.T) {
	w := start(t, setup{scripts: errorScripts(), options: stack.GatewayOptions{Routes: folderRoute}}, "2.php-error-stderr", "2.failure", "2.on-error-keep")
	for name := range phpErrors {
		file := strings.ReplaceAll(name, " ", "_")
		got := stack.Refused(t, w.URL+"/ws/"+file+"_c", stack.DialOptions{})
		if got.Status != 502 && got.Status != 500 || strings.Contains(got.Body, "secret") {
			t.Errorf("connect, %s: got %d %q, want 502 without PHP's body", name, got.Status, got.Body)
		}
		c := stack.Dial(t, w.URL+"/ws/"+file+"_m", stack.DialOptions{})
		c.Send("fail")
		c.Send("ok")
		c.Expect("ok")
	}
}

// An error_log in php.ini keeps PHP's errors from FastCGI; the pool's empty one
// brings them back.
func TestTheEmptyErrorLogOfThePoolBringsPHPsErrors(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{PHPINI: map[string]string{"error_log": filepath.Join(t.TempDir(), "php.log")}, Ini: map[string]string{"error_log": ""}})
	w := start(t, setup{script: `
		if (isset($_GET['fail'])) { register_shutdown_function(fn () => http_response_code(200)); nonsense(); }
		if ($_SERVER['WS_EVENT'] === 'connect') header('WS-Join: room');
		if ($_SERVER['WS_EVENT'] !== 'message') exit;
		header('WS-Publish: channel:room'); echo file_get_contents('php://input'), "\n"; ob_flush(); flush();
		if (file_get_contents('php://input') !== 'good') nonsense();`,
		options: stack.GatewayOptions{FPM: fpm}}, "2.php-error-stderr", "2.pool-file", "2.failure")
	equal(t, "status", w.refused("?fail", stack.DialOptions{}).Status, 502)
	c := w.open()
	c.Send("flushed before a fatal error")
	c.Send("good")
	c.Expect("good\n")
}

func TestAFatalErrorShownInTheBodyIsNoSuccess(t *testing.T) {
	for name, ini := range map[string]map[string]string{
		"html":  {"display_errors": "1", "html_errors": "1", "log_errors": "0"},
		"plain": {"display_errors": "1", "html_errors": "0", "log_errors": "0"},
	} {
		t.Run(name, func(t *testing.T) {
			fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Ini: ini})
			w := start(t, setup{scripts: errorScripts(), options: stack.GatewayOptions{Routes: folderRoute, FPM: fpm}}, "2.php-error-body")
			for _, file := range []string{"fatal", "exception", "parse", "status_is_ok"} {
				if got := stack.Refused(t, w.URL+"/ws/"+file+"_c", stack.DialOptions{}); got.Status != 502 && got.Status != 500 {
					t.Errorf("connect, %s: got %d, want 502", file, got.Status)
				}
				c := stack.Dial(t, w.URL+"/ws/"+file+"_m", stack.DialOptions{})
				c.Send("fail")
				c.Send("ok")
				c.Expect("ok")
			}
		})
	}
}

func TestAStreamSendsNothingOfPHPsReport(t *testing.T) {
	xdebug := map[string]string{"zend_extension": "xdebug.so"}
	for name, options := range map[string]stack.FPMOptions{
		"html":        {NoINI: true, Ini: map[string]string{"display_errors": "1", "html_errors": "1", "log_errors": "0"}},
		"plain":       {NoINI: true, Ini: map[string]string{"display_errors": "1", "html_errors": "0", "log_errors": "0"}},
		"xdebug html": {PHPINI: xdebug, Ini: map[string]string{"display_errors": "1", "html_errors": "1", "log_errors": "0"}},
		"xdebug":      {PHPINI: xdebug, Ini: map[string]string{"display_errors": "1", "html_errors": "0", "log_errors": "0"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, setup{options: stack.GatewayOptions{FPM: stack.FPM(t, options)}, route: "on_error = \"message\"\nerror_message = \"sorry\"", script: `
				if ($_SERVER['WS_EVENT'] !== 'message') exit;
				header('Content-Type: application/x-ndjson');
				echo "one\n"; @ob_flush(); flush();
				echo "a client: look:\n\nFatal error: in my own program\nand on\n"; @ob_flush(); flush();
				echo "last\n"; @ob_flush(); flush();
				throw new Exception(file_get_contents('php://input'));`}, "2.php-error-stream", "2.whose-word")
			c := w.open()
			for _, message := range []string{"no database for app: hunter2", "no\ndatabase\n\nfor app:\nhunter2 on line 3\n"} {
				c.Send(message)
				for _, line := range []string{"one", "a client: look:", "Fatal error: in my own program", "and on", "last", "sorry"} {
					c.Expect(line)
				}
			}
		})
	}
}

func TestHeadersAlreadySentOnConnectIsNoSuccess(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] === 'connect' && !isset($_GET['late'])) exit;
		echo 'out'; ob_flush(); flush(); http_response_code(401); header('WS-User: x');`}, "2.headers-sent")
	equal(t, "status", w.refused("?late", stack.DialOptions{}).Status, 502)
	c := w.open()
	c.Send("x")
	c.Expect("out")
}

func TestDetectionCanBeTurnedOff(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') { echo "<br />\n<b>Fatal error</b>:  a lesson in <b>", __FILE__, "</b> on line <b>3</b><br />\n"; }`,
		route: `detect_php_errors = false`, options: stack.GatewayOptions{Routes: `
[[route]]
path = "/on"
script = "$DIR/ws.php"
`}}, "2.detect-off", "2.php-error-body")
	c := w.open()
	c.Send("x")
	c.Expect("<br />\n<b>Fatal error</b>:  a lesson in <b>" + w.dir + "/ws.php</b> on line <b>3</b><br />\n")
	on := stack.Dial(t, w.URL+"/on", stack.DialOptions{})
	on.Send("x")
	on.ExpectNothing(quiet)
}

func TestOnErrorMessageAndClose(t *testing.T) {
	w := start(t, setup{script: "chatty.php", route: "on_error = \"message\"\nerror_message = '{\"error\":\"server\"}'", options: stack.GatewayOptions{Routes: `
[[route]]
path = "/close"
script = "$DIR/chatty.php"
on_error = "close"
[[route]]
path = "/keep"
script = "$DIR/chatty.php"
`}}, "2.on-error-message", "2.on-error-close", "2.on-error-keep", "2.failure")
	c := w.open()
	say(c, "no", "status:500")
	c.Expect(`{"error":"server"}`)
	say(c, "no", "status:404")
	c.Expect(`{"error":"server"}`)
	settle(t, c)
	c = stack.Dial(t, w.URL+"/close", stack.DialOptions{})
	say(c, "no", "status:419")
	c.ExpectClose(1011)
	c = stack.Dial(t, w.URL+"/keep", stack.DialOptions{})
	for _, status := range []string{"status:301", "status:400", "status:422", "status:503"} {
		say(c, "no", status, "WS-User: never")
	}
	settle(t, c)
}

func TestAnswerStatuses(t *testing.T) {
	w := start(t, setup{script: "chatty.php", route: `answer_statuses = ["4xx"]`}, "2.answer-statuses")
	c := w.open()
	say(c, "invalid", "status:422")
	c.Expect("invalid")
	say(c, "no", "status:500")
	settle(t, c)
}

func TestATimeoutAndACutAnswerAreFailures(t *testing.T) {
	w := start(t, setup{script: `
		if ($_SERVER['WS_EVENT'] !== 'message') exit;
		switch (file_get_contents('php://input')) {
		case 'slow': header('WS-User: never'); echo 'late'; ob_flush(); flush(); sleep(5); break;
		case 'kill': header('WS-User: never'); echo 'half'; ob_flush(); flush(); file_put_contents(__DIR__ . '/pid', getmypid()); sleep(3); break;
		default: echo 'user=', $_SERVER['WS_USER'];
		}`, route: "timeout = \"2s\"", options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/long\"\nscript = \"$DIR/ws.php\"\n"}},
		"2.failure", "5.timeout", "2.all-or-nothing")
	c := w.open()
	c.Send("slow")
	c.Send("x")
	c.Expect("user=")
	c = stack.Dial(t, w.URL+"/long", stack.DialOptions{})
	c.Send("kill")
	stack.Wait(t, "the script that will be killed", func() bool { return pidFile(w.dir) != 0 })
	shared.fpm.KillWorker(t, pidFile(w.dir))
	c.Send("x")
	c.Expect("user=")
}

func TestAcceptByHeader(t *testing.T) {
	w := start(t, setup{script: `if (isset($_GET['die'])) exit('stopped half way'); header('WS-Accept: 1'); echo 'in';`, route: `accept = "header"`}, "2.accept-header")
	w.open().Expect("in")
	if got := w.refused("?die", stack.DialOptions{}); got.Status < 400 || strings.Contains(got.Body, "half way") {
		t.Errorf("without WS-Accept: got %d %q, want a refusal", got.Status, got.Body)
	}
}

func TestAMissingScriptIsNamedInTheLog(t *testing.T) {
	w := start(t, setup{options: stack.GatewayOptions{Routes: "[[route]]\npath = \"/ws\"\nscript = \"$DIR/not-there.php\"\n" +
		"[[route]]\npath = \"/denied\"\nscript = \"$DIR/denied.txt\"\n"}}, "2.script-unknown")
	if err := os.WriteFile(filepath.Join(w.dir, "denied.txt"), []byte("x"), 0o644); err != nil {
		t.Fatal(err)
	}
	got := w.refused("", stack.DialOptions{})
	if got.Status != 502 || strings.Contains(got.Body, "File not found") {
		t.Errorf("got %d %q, want 502 without FPM's page", got.Status, got.Body)
	}
	w.AwaitLog(t, "error", w.dir+"/not-there.php")
	stack.Refused(t, w.URL+"/denied", stack.DialOptions{})
	w.AwaitLog(t, "error", w.dir+"/denied.txt")
}

func TestTheShippedPoolFile(t *testing.T) {
	Row(t, "2.pool-file")
	stack.Integration(t)
	text, err := os.ReadFile(filepath.Join(stack.Root(t), "deploy", "php-fpm", "wsfpm.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`pm\s*=\s*static`, `\[display_errors\]\s*=\s*(off|0)`, `\[log_errors\]\s*=\s*(on|1)`,
		`\[error_log\][ \t]*=[ \t]*$`, `\[output_buffering\]\s*=\s*65536`, `\[zlib.output_compression\]\s*=\s*(off|0)`, `\[fastcgi.error_header\]\s*=\s*"WS-Failed: 1"`, `request_terminate_timeout\s*=\s*\d+`} {
		if !regexp.MustCompile(`(?mi)^[^;\n]*` + line).Match(text) {
			t.Errorf("no line %s", line)
		}
	}
}

func TestDevSendsPHPsError(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') nonsense();`, route: "dev = true"}, "2.dev")
	c := w.open()
	c.Send("x")
	if f := c.Next(); !strings.Contains(string(f.Data), "nonsense") {
		t.Errorf("got %s, want PHP's error text", f)
	}
}
