package live

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

var fpm *stack.FPMServer

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "live", func(s *stack.Suite) { fpm = stack.FPM(s, stack.FPMOptions{}) }))
}

// hostile is what a terminal or a page must not get as it is: a clipboard command, a CSI, an
// element, and a reversed direction.
const hostile = "\x1b]52;c;aGk=\a\u009b31m<img src=x onerror=document.title='hit'>\u202eexe"

// script knows users by their query, answers, publishes, and fails in several ways.
const script = `<?php
parse_str($_SERVER['QUERY_STRING'], $query);
if ($_SERVER['WS_EVENT'] === 'connect') {
    if (isset($query['no'])) { http_response_code(403); exit; }
    header('WS-User: ' . ($query['user'] ?? 'anyone'));
    header('WS-Join: lobby');
    exit;
}
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$in = file_get_contents('php://input');
if ($in === 'fail') throw new RuntimeException('it broke');
if ($in === 'fail hostile') { error_log("PHP Fatal error:  \e]52;c;aGk=\x07<img src=x onerror=document.title='hit'> in /x.php:1"); http_response_code(500); exit; }
if ($in === 'slow') usleep(300000);
if ($in === 'publish') header('WS-Publish: channel:lobby');
echo "echo $in";
`

// gateway runs wsfpm with the script on /ws and a control socket.
func gateway(t *testing.T, more string) (g *stack.GatewayServer, control string) {
	t.Helper()
	dir := stack.Scripts(t, map[string]string{"live.php": strings.TrimPrefix(script, "<?php\n")})
	control = filepath.Join(stack.TempDir(t), "control.sock")
	g = stack.Gateway(t, stack.GatewayOptions{
		FPM: fpm, Top: fmt.Sprintf("control = \"unix:%s\"", control), LogLevel: "info",
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n%s\n", dir+"/live.php", more),
	})
	return g, control
}

// terminal is a terminal of 80 columns and 24 lines with a command in it.
type terminal struct {
	t      *testing.T
	socket string
}

// run starts wsfpm with arguments in a terminal.
func run(t *testing.T, args ...string) *terminal {
	t.Helper()
	tmux := stack.Tool(t, "tmux", "tmux")
	x := &terminal{t, filepath.Join(stack.TempDir(t), "tmux")}
	command := []string{"-S", x.socket, "-f", "/dev/null", "new-session", "-d", "-x", "80", "-y", "24", stack.Binary(t)}
	cmd := exec.Command(tmux, append(command, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("tmux: %v: %s", err, out)
	}
	t.Cleanup(func() { _, _ = x.tmux("kill-server") })
	return x
}

func (x *terminal) tmux(args ...string) (string, error) {
	out, err := exec.Command("tmux", append([]string{"-S", x.socket}, args...)...).CombinedOutput()
	return string(out), err
}

// screen is what the terminal shows.
func (x *terminal) screen() string {
	out, _ := x.tmux("capture-pane", "-p") // fails when the command has ended
	return out
}

// joined is the screen with lines that were wrapped in one.
func (x *terminal) joined() string {
	out, _ := x.tmux("capture-pane", "-p", "-J")
	return out
}

// shows waits until the terminal shows all of some texts.
func (x *terminal) shows(texts ...string) string {
	x.t.Helper()
	var screen string
	if !stack.Poll(stack.Patience, 50*time.Millisecond, func() bool {
		screen = x.joined()
		for _, text := range texts {
			if !strings.Contains(screen, text) {
				return false
			}
		}
		return true
	}) {
		x.t.Fatalf("the terminal never showed %q:\n%s", texts, screen)
	}
	return screen
}
