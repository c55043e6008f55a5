package fpm

import (
	"testing"

	"wsfpm/test/stack"
)

// broken are scripts that as connect scripts must refuse every client, although PHP
// says 200 for most of them. For a message they are failures, but for those
// that only wanted to refuse.
var broken = map[string]struct {
	source  string
	refuses bool
}{
	"parse error":            {source: "<?php header('WS-User: 7'); this is ( not PHP"},
	"fatal error":            {source: "<?php header('WS-User: 7'); nonsense();"},
	"fatal error, late":      {source: "<?php header('WS-User: 7'); echo 'secret'; nonsense();"},
	"exception":              {source: "<?php header('WS-User: 7'); throw new Exception('x');"},
	"exception, late":        {source: "<?php header('WS-User: 7'); echo 'secret'; throw new Exception('x');"},
	"memory exhausted":       {source: "<?php header('WS-User: 7'); $s = str_repeat('x', 1 << 30);"},
	"memory exhausted, late": {source: "<?php header('WS-User: 7'); echo 'secret'; $s = str_repeat('x', 1 << 30);"},
	"warning before 401":     {source: "<?php echo $undefined; http_response_code(401); exit('log in');", refuses: true},
	"deprecation before 401": {source: "<?php echo strlen(null); http_response_code(401); exit('log in');", refuses: true},
	"BOM before 401":         {source: "\xEF\xBB\xBF<?php http_response_code(401); exit('log in');", refuses: true},
	"output before WS-User":  {source: "<?php echo 'secret'; header('WS-User: 7');", refuses: true},
	"output before a header": {source: "<?php echo 'secret'; http_response_code(401); header('X-Why: none');", refuses: true},
}

// sound is the script before and after it is broken.
const sound = `<?php if ($_SERVER['WS_EVENT'] === 'message') { echo "user={$_SERVER['WS_USER']} channels={$_SERVER['WS_CHANNELS']}"; }`

// bare are PHP-FPMs without php.ini, by what becomes of PHP's errors there.
var bare = map[string]map[string]string{
	"shown and logged": {"display_errors": "1", "log_errors": "1"}, // PHP's own defaults
	"shown":            {"display_errors": "1", "log_errors": "0"},
	"shown as text":    {"display_errors": "1", "log_errors": "0", "html_errors": "0"},
}

func TestABrokenScriptAdmitsNoClient(t *testing.T) {
	for how, ini := range bare {
		t.Run(how, func(t *testing.T) {
			fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Ini: ini})
			w := start(t, setup{fpm: fpm, scripts: map[string]string{"login.php": ""}}, "2.php-error-stderr", "2.php-error-body", "2.headers-sent")
			for name, script := range broken {
				w.write("login.php", script.source)
				resp := stack.Handshake(t, w.Listen, "/login.php")
				if resp.Status < 400 {
					t.Errorf("%s: got status %d, want a refusal", name, resp.Status)
				}
			}
			equal(t, "clients let in", w.Metric(t, "wsfpm_connections_opened_total"), 0)
			w.write("login.php", sound)
			stack.Dial(t, w.URL+"/login.php", stack.DialOptions{})
		})
	}
}

func TestABrokenScriptAppliesNothingOfAMessage(t *testing.T) {
	for how, ini := range bare {
		t.Run(how, func(t *testing.T) {
			fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Ini: ini})
			w := start(t, setup{fpm: fpm, scripts: map[string]string{"login.php": sound}}, "2.failure", "2.all-or-nothing")
			c := stack.Dial(t, w.URL+"/login.php", stack.DialOptions{})
			for name, script := range broken {
				w.write("login.php", script.source)
				c.Send("break")
				if f := c.Next(); string(f.Data) != sorry && !script.refuses {
					t.Errorf("%s: got %s, want %s", name, f, sorry)
				}
				w.write("login.php", sound)
				c.Send("who")
				c.Expect("user= channels=")
			}
		})
	}
}

func TestAnEarlyExitAdmitsNoClientWhereConnectMustAccept(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{NoINI: true, Ini: bare["shown and logged"]})
	w := start(t, setup{fpm: fpm, route: `accept = "header"`, scripts: map[string]string{"login.php": ""}}, "2.accept-header")
	for _, source := range []string{
		`<?php exit; header('WS-Accept: 1');`,
		`<?php header('WS-User: 7'); exit('half way'); header('WS-Accept: 1');`,
		`<?php header('WS-User: 7'); echo 'output'; header('WS-Accept: 1');`,
	} {
		w.write("login.php", source)
		if got := stack.Handshake(t, w.Listen, "/login.php"); got.Status != 502 {
			t.Errorf("%s: got status %d, want 502", source, got.Status)
		}
	}
	w.write("login.php", `<?php header('WS-Accept: 1'); echo 'in';`)
	stack.Dial(t, w.URL+"/login.php", stack.DialOptions{}).Expect("in")
}
