package live

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// clean fails the test if a screen has what could be a command, or something too wide.
func clean(t *testing.T, screen string) {
	t.Helper()
	if strings.ContainsAny(screen, "\x1b\a\u009b\u202e") {
		t.Errorf("a control character is on the terminal: %q", screen)
	}
	for line := range strings.Lines(screen) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 80 {
			t.Errorf("a line has %d characters: %q", n, line)
		}
	}
	t.Logf("the terminal:\n%s", screen)
}

func TestTailShowsEventsAndFilters(t *testing.T) {
	contract.Row(t, "5.tail", "5.tail-filter", "5.tail-hostile")
	g, control := gateway(t, "")
	all := run(t, "tail", "--control", "unix:"+control)
	of42 := run(t, "tail", "--control", "unix:"+control, "user:42", "/ws", "--bodies")
	failed := run(t, "tail", "--admin", strings.TrimPrefix(g.Admin, "http://"), "--set", "admin_token="+stack.AdminToken, "--failed")
	stack.Wait(t, "the readers of the control socket", func() bool { return len(g.LogLines("info", "read events")) == 2 })
	g.AwaitLog(t, "info", "control", "read events with bodies", "user=42")
	stack.Wait(t, "the reader of the admin listener", func() bool { // which leaves no line in the log
		stack.Refused(t, g.URL+"/nowhere", stack.DialOptions{})
		return strings.Contains(failed.joined(), "refused with 404")
	})

	c := stack.Dial(t, g.URL+"/ws?user=42", stack.DialOptions{})
	all.shows("connect", "is user:42", "joins lobby", "/ws  from 127.0.0.1")
	c.Send("hello")
	c.Expect("echo hello")
	of42.shows(`"hello"`, `→ "echo hello"`)
	if screen := all.shows("5 bytes", "→ 10 bytes"); strings.Contains(screen, "hello") {
		t.Errorf("the content of a message is shown without --bodies:\n%s", screen)
	}
	stack.Dial(t, g.URL+"/ws?user="+url.QueryEscape("\u202eeve\u200f"), stack.DialOptions{}).Send(hostile)
	all.shows(`user:\u202eeve`)
	stack.Refused(t, g.URL+"/ws?no=1", stack.DialOptions{})
	c.Send("fail")
	c.Send("fail hostile")
	c.Send(hostile)
	c.Close(1000, hostile[:20])
	failed.shows("refused: the connect script refused", "refused with 404", `PHP reported "PHP Fatal error:  Uncaught RuntimeException…"`)
	of42.shows(`"\x1b]52;c;aGk=\a\u009b31m<img`, "it broke", `1000 "\x1b]52;`)
	for _, x := range []*terminal{all, of42, failed} {
		clean(t, x.screen())
	}
	if strings.Contains(failed.screen(), "disconnect") || strings.Contains(of42.screen(), "eve") {
		t.Error("a filter let other events pass")
	}
}

func TestTailSaysWhyItCannot(t *testing.T) {
	contract.Row(t, "5.tail")
	stack.Integration(t)
	g, control := gateway(t, "")
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello\n") }))
	t.Cleanup(other.Close)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--admin", other.Listener.Addr().String()}, "answered 200 OK: it is not wsfpm"},
		{[]string{"--admin", strings.TrimPrefix(g.Admin, "http://")}, "admin_token"},
		{[]string{"--admin", strings.TrimPrefix(g.Admin, "http://"), "--set", "admin_token=" + stack.AdminToken, "--bodies"}, "control socket only"},
		{[]string{"--control", "unix:" + control, "lobby"}, "a route begins with /"},
		{[]string{"--control", "unix:" + control, "--kind", "msg"}, "want one of connect"},
		{[]string{"--control", "unix:" + control + "x"}, "no such file"},
		{[]string{"--control", "unix:" + control, "all"}, "without an argument"},
	} {
		if out, code := stack.Command(t, append([]string{"tail"}, c.args...)...); code != 1 || !strings.Contains(out, c.want) {
			t.Errorf("tail %q: got %d, %q, want %q", c.args, code, out, c.want)
		}
	}
}

func TestTailAndTopSayThatTheGatewayHasStopped(t *testing.T) {
	contract.Row(t, "5.tail", "5.top")
	stack.Integration(t)
	g, control := gateway(t, "")
	var readers sync.WaitGroup
	for _, args := range [][]string{{"tail"}, {"tail", "--json"}, {"top", "--every", "1m"}} {
		readers.Go(func() {
			out, code := stack.Command(t, append(args, "--control", "unix:"+control)...)
			if code != 1 || !strings.Contains(out, "the gateway has ended the stream: it has stopped") {
				t.Errorf("%q: got %d, %q", args, code, out)
			}
		})
	}
	stack.Wait(t, "the readers", func() bool {
		return len(g.LogLines("info", "control", "read events")) == 2 && len(g.LogLines("info", "control", "read figures")) == 1
	})
	g.Stop(t)
	readers.Wait()
}

// figure reads a number of a line of the screen.
func figure(screen, line string) string {
	m := regexp.MustCompile(`(?m)^` + line).FindStringSubmatch(screen)
	if m == nil {
		return ""
	}
	return m[1]
}

func TestTopUnderLoadWithFailures(t *testing.T) {
	contract.Row(t, "5.top")
	g, control := gateway(t, "timeout = \"20s\"")
	x := run(t, "top", "--control", "unix:"+control, "--every", "1s")
	stop := make(chan bool)
	var load sync.WaitGroup
	defer load.Wait()
	defer close(stop)
	for i := range 12 {
		c := stack.Dial(t, g.URL+"/ws?user="+url.QueryEscape([]string{"ann", "bob", "\u202eeve<b>"}[i%3]), stack.DialOptions{})
		load.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				c.Send([]string{"hello", "slow", "fail", "publish"}[(n+i)%4]) // wsfpm paces it
				if n%4 == 3 {
					c.NextOrEnd() // three answers come to four messages
				}
			}
		})
	}
	screen := x.shows("POOL", "default", "/live.php", "ann", "127.0.0.1", "LAST FAILURES", "RuntimeException…")
	stack.Wait(t, "all clients, and events that wait", func() bool {
		screen = x.screen()
		waiting := figure(screen, `default +\d+ +\d+ +\d+ +(\d+)`)
		return waiting != "" && waiting != "0" && strings.Contains(screen, "12 connections")
	})
	if n := strings.Count(screen, "\n"); n > 24 {
		t.Errorf("%d lines on a terminal of 24", n)
	}
	for _, want := range []string{"redis local", "ready"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the screen lacks %q", want)
		}
	}
	clean(t, screen)
	_, _ = x.tmux("resize-window", "-x", "60", "-y", "10")
	stack.Wait(t, "a smaller screen", func() bool { return strings.Count(x.screen(), "\n") <= 10 && strings.Contains(x.screen(), "POOL") })
	t.Logf("at 60 × 10:\n%s", x.screen())
	_, _ = x.tmux("send-keys", "C-c")
	stack.Wait(t, "the end of top after Ctrl-C", func() bool {
		return x.screen() == "" || strings.Contains(x.screen(), "no server") || strings.Contains(x.screen(), "error connecting")
	})
}

func TestTopWithoutATerminalPrintsOneLook(t *testing.T) {
	contract.Row(t, "5.top")
	stack.Integration(t)
	_, control := gateway(t, "")
	out, code := stack.Command(t, "top", "--control", "unix:"+control, "--every", "1s")
	if code != 0 || !strings.Contains(out, "POOL") || strings.Contains(out, "\x1b") {
		t.Errorf("got %d, %q", code, out)
	}
}
