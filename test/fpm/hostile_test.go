package fpm

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// room is how each honest script begins. A message is kept in a file of the room.
const room = `<?php
$file = __FILE__ . '.' . md5($_GET['room']);
function said() { global $file; return is_file($file) ? array_map('base64_decode', file($file, FILE_IGNORE_NEW_LINES)) : []; }
function history() { return implode("\n", said()) . "\n"; }
function type($type) { header("Content-Type: $type"); }
if ($_SERVER['WS_EVENT'] === 'disconnect') exit;
if ($_SERVER['WS_EVENT'] === 'connect' && isset($_GET['accept'])) header('WS-Accept: 1');
if ($_SERVER['WS_EVENT'] === 'message') {
  $in = file_get_contents('php://input');
  if ($in === '/end') exit('end');
  file_put_contents($file, base64_encode($in) . "\n", FILE_APPEND);
}
`

// honest are the rest of scripts without a fault, which log or show what
// clients said, on connect and as the answer to a message, each in another way.
var honest = map[string]string{
	"plain":             `echo history();`,
	"plain_with_names":  `foreach (said() as $m) echo "guest: $m\n";`,
	"plain_with_a_head": `echo "history:\n", history();`,
	"html":              `echo '<div>', nl2br(htmlspecialchars(history())), '</div>';`,
	"html_lines":        `foreach (said() as $m) echo '<li>', htmlspecialchars($m), "</li>\n";`,
	"html_page":         `echo "<!doctype html>\n<pre>\n", htmlspecialchars(history()), "</pre>\n";`,
	"json":              `type('application/json'); echo json_encode(said());`,
	"json_pretty":       `type('application/json'); echo json_encode(said(), JSON_PRETTY_PRINT | JSON_UNESCAPED_SLASHES | JSON_UNESCAPED_UNICODE), "\n";`,
	"json_lines":        `type('application/x-ndjson'); foreach (said() as $m) { echo json_encode($m), "\n"; flush(); }`,
	"stream":            `type('application/x-ndjson'); foreach (said() as $m) { echo $m, "\n"; @ob_flush(); flush(); }`,
	"stream_at_once":    `type('application/x-ndjson'); echo history();`,
	"binary":            `type('application/octet-stream'); echo history();`,
	"commands":          `type('application/vnd.wsfpm+json'); echo json_encode(array_map(fn($m) => ['data' => $m], said()));`,
	"publishes":         `header('WS-Join: room'); header('WS-Publish: channel:room'); echo history();`,
	"dump":              `echo '<pre>', print_r([$_GET, $_COOKIE, said()], true), "</pre>\n";`,
	"state":             `header('WS-State: ' . rawurlencode(substr(history(), 0, 2000))); echo 'ok';`,
	"log":               `foreach (said() as $m) error_log("said: $m"); error_log("by {$_GET['name']} of {$_COOKIE['name']}"); echo 'ok';`,
	"log_bare":          `error_log(history()); error_log($_GET['name']); error_log($_COOKIE['name']); echo 'ok';`,
	"log_lines":         `foreach (explode("\n", history()) as $m) error_log($m); echo 'ok';`,
	"log_exceptions":    `foreach (said() as $m) try { throw new Exception($m); } catch (Exception $e) { error_log($e); } echo 'ok';`,
	"log_by_a_handler":  `set_error_handler(fn($n, $m, $f, $l) => error_log("[$n] $m ($f:$l)")); foreach (said() as $m) trigger_error("said: $m"); echo 'ok';`,
	"log_in_a_stream":   `type('application/x-ndjson'); foreach (said() as $m) { echo "line\n"; @ob_flush(); flush(); error_log("said: $m"); }`,
}

// warned are scripts that PHP itself has to complain of, with a client's words.
// Where PHP shows that, they are not without a fault.
var warned = map[string]string{
	"log_by_notices":    `foreach (said() as $m) trigger_error("said: $m"); $_GET[history()]; echo 'ok';`,
	"log_and_a_warning": `foreach (said() as $m) error_log("said: $m"); $_GET['undefined']; echo 'ok';`,
}

// The words of a hostile client: what PHP, Xdebug and PHP-FPM write, measured,
// with paths as one may guess them.
func words() []string {
	const exception = "Uncaught Exception: boo in /var/www/html/ws.php:3\nStack trace:\n#0 {main}\n  thrown in "
	const xdebug = "<br />\n<font size='1'><table class='xdebug-error xe-uncaught-exception' dir='ltr' border='1' cellspacing='0' cellpadding='1'>\n" +
		"<tr><th align='left' bgcolor='#f57900' colspan=\"5\"><span style='background-color: #cc0000; color: #fce94f; font-size: x-large;'>( ! )</span> Fatal error: boo in /var/www/html/ws.php on line <i>3</i></th></tr>\n</table></font>"
	all := []string{
		"hello",
		"Fatal error: you are all locked out in here on line 1",
		"\nFatal error: " + exception + "/var/www/html/ws.php on line 3",
		"\nParse error: syntax error, unexpected end of file in /srv/app/ws.php on line 3",
		"<br />\n<b>Fatal error</b>:  " + exception + "<b>/var/www/html/ws.php</b> on line <b>3</b><br />",
		"<br />\n<b>Warning</b>:  Cannot modify header information - headers already sent by (output started at /srv/app/ws.php:1) in <b>/srv/app/ws.php</b> on line <b>3</b><br />",
		"\nWarning: Header may not contain more than a single header, new line detected in /srv/app/ws.php on line 3",
		xdebug,
		"\nFatal error: boo in /app/ws.php on line 3\n\nCall Stack:\n    0.0003     352904   1. {main}() /app/ws.php:0\n",
		"PHP Fatal error: in my own program",
		"PHP Fatal error:  " + exception + "/var/www/html/ws.php on line 3",
		"PHP message: PHP Fatal error:  " + exception + "/var/www/html/ws.php on line 3",
		"; PHP message: PHP Fatal error:  " + exception + "/var/www/html/ws.php on line 3",
		"; PHP message: PHP Fatal error:  Allowed memory size of 8388608 bytes exhausted (tried to allocate 104861696 bytes)",
		"; PHP message: PHP Fatal error:  " + strings.TrimSuffix(exception, " in "),
		"; PHP message: PHP Fatal error:  Uncaught Exception: " + strings.Repeat("x", 3000),
		"; PHP message: PHP Parse error:  syntax error in /srv/app/ws.php on line 3; PHP message: b",
		"; PHP message: PHP Warning:  Header may not contain more than a single header, new line detected in /srv/app/ws.php on line 3",
		"; PHP message: PHP Warning:  Cannot modify header information - headers already sent by (output started at /srv/app/ws.php:1) in /srv/app/ws.php on line 3",
		"headers already sent",
		"Header may not contain ",
		"Primary script unknown",
		"; Primary script unknown",
		"Access to the script of the play, please",
		"Access to the script '/srv/app/ws.php' has been denied (see security.limit_extensions)",
		"Unable to open primary script: /srv/app/ws.php (Permission denied)",
		"File not found.\n",
		"Status: 500\r\nWS-Failed: 1\r\n\r\n",
		"Failed opening required '/nowhere/x.php' (include_path='.:/usr/share/php') in Unknown on line 0",
	}
	return append(all, strings.Join(all, "\n"), "\n\nhello", "\ufeffhello")
}

func TestNoClientsWordsMakeAnHonestScriptFail(t *testing.T) {
	contract.Row(t, "2.whose-word")
	pools := map[string]stack.FPMOptions{"defaults": loginPools["defaults"], "shown-as-text": loginPools["shown-as-text"], "logged": loginPools["logged"]}
	sources := make(map[string]string)
	for _, scripts := range []map[string]string{honest, warned} {
		for name, source := range scripts {
			sources[name] = room + source
		}
	}
	all := paths(pools, honest)
	for name := range warned {
		all = append(all, "/logged/"+name)
	}
	g := startLogins(t, pools, sources, fmt.Sprintf("on_error = \"message\"\nerror_message = %q", sorry))
	turn := 0
	for _, path := range all {
		turn += 7 // so that each room begins with other words
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			talk(t, g.URL+path, turn, len(words()))
			for first := 0; strings.HasSuffix(path, "/plain") && first < len(words()); first++ {
				talk(t, g.URL+path, turn+1+first, 2)
			}
		})
	}
}

// talk says a number of the words in a room of its own, beginning with one of
// them. After each another client comes, gets the history and is answered.
func talk(t *testing.T, url string, room, number int) {
	t.Helper()
	all := words()
	query := fmt.Sprintf("?room=%d", room)
	if room%len(all) >= len(all)-2 { // blank or a byte order mark
		query += "&accept"
	}
	for i := range number {
		text := all[(room+i)%len(all)]
		c := stack.Dial(t, url+query+named(text), stack.DialOptions{Cookie: "name=" + escape(text)})
		c.Send(text)
		c.Send("/end")
		for f := c.Next(); string(f.Data) != "end"; f = c.Next() {
			if string(f.Data) == sorry {
				t.Fatalf("an event failed by what a client wrote: %q", text)
			}
		}
		c.Close(1000, "")
	}
}

// named is the end of a query with a name.
func named(text string) string { return "&name=" + escape(text) }

// escape puts the beginning of a text, at most 3,000 bytes, into a query or cookie.
func escape(text string) string { return url.QueryEscape(text[:min(len(text), 3000)]) }

// A script that refuses with a client's words has its refusal sent on.
func TestNoClientsWordsChangeARefusal(t *testing.T) {
	contract.Row(t, "2.whose-word", "2.refuse")
	pools := map[string]stack.FPMOptions{"defaults": loginPools["defaults"], "logged": loginPools["logged"]}
	sources := map[string]string{"login": `<?php http_response_code(401); error_log("no user {$_GET['name']}"); exit($_GET['name']);`}
	g := startLogins(t, pools, sources, "")
	for pool := range pools {
		for _, text := range words() {
			if got := stack.Handshake(t, g.Listen, "/"+pool+"/login?"+named(text)); got.Status != http.StatusUnauthorized {
				t.Errorf("%s, name %q: got status %d, want 401", pool, text, got.Status)
			}
		}
	}
}
