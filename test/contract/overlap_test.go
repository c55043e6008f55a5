package contract

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// overlapScript has an event that goes on for as long as the file "gate" is
// missing, whatever became of its answer; another event says whether it came
// after the end of that one.
const overlapScript = `
$said = file_get_contents('php://input');
if ($_SERVER['WS_EVENT'] === 'connect') exit;
if ($said === '' || $said === 'next') {
    $when = file_exists(__DIR__ . '/ended') ? 'after' : 'during';
    file_put_contents(__DIR__ . '/' . $_SERVER['WS_EVENT'], $when);
    exit($when);
}
ignore_user_abort($said !== 'stops');
register_shutdown_function(fn() => file_put_contents(__DIR__ . '/ended', 'yes'));
if ($said !== 'large') header('Content-Type: application/x-ndjson');
$flush = function (string $text) { echo $text; while (ob_get_level()) ob_end_flush(); flush(); };
$flush("begun\n");
if ($said === 'bad') $flush("\xff\n");
if ($said === 'large') $flush(str_repeat('x', 2 << 20));
while (!file_exists(__DIR__ . '/gate')) {
    usleep(10000);
    clearstatcache();
    if ($said === 'goes on') $flush("more\n");
}
if ($said === 'stops') { $flush("once more\n"); sleep(60); }
`

// open lets the running script go on.
func openGate(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
		t.Fatal(err)
	}
}

func (w *world) awaitSettling() {
	w.t.Helper()
	stack.Wait(w.t, "the script to be waited for", func() bool { return w.Metric(w.t, "wsfpm_fpm_settling") == 1 })
}

func TestDisconnectComesAfterTheEndOfACutStream(t *testing.T) {
	for _, how := range []string{"stops", "goes on"} {
		t.Run(how, func(t *testing.T) {
			w := start(t, setup{script: overlapScript}, "1.no-overlap", "2.stream-gone")
			c := w.open()
			c.Send(how)
			c.Expect("begun")
			c.Cut()
			w.awaitSettling()
			openGate(t, w.dir, "gate")
			stack.Wait(t, "the disconnect event", func() bool { return readFile(w.dir+"/disconnect") != "" })
			equal(t, "disconnect ran", readFile(w.dir+"/disconnect"), "after")
			stack.Wait(t, "a free pool", func() bool { return w.Metric(t, "wsfpm_fpm_settling")+w.Metric(t, "wsfpm_fpm_in_use") == 0 })
			equal(t, "streams", w.Metric(t, "wsfpm_fpm_streams"), 0)
		})
	}
}

func TestAMessageComesAfterTheEndOfAFailedOne(t *testing.T) {
	for _, how := range []string{"bad", "large"} {
		t.Run(how, func(t *testing.T) {
			w := start(t, setup{script: overlapScript, route: `answer_limit = "1MiB"`}, "1.no-overlap")
			c := w.open()
			c.Send(how)
			if how != "large" {
				c.Expect("begun")
			}
			c.Send("next")
			w.awaitSettling()
			stack.Wait(t, "the failure", func() bool { return strings.Contains(w.LogText(), "event failed") })
			openGate(t, w.dir, "gate")
			c.Expect("after")
		})
	}
}
