package dev

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

func TestAFolderWithAScriptIsAWorkingSocket(t *testing.T) {
	contract.Row(t, "5.dev")
	dir := project(t, map[string]string{"ws.php": echo, "public/index.html": "the page", "secret.txt": "no"})
	s := stack.Dev(t, dir, nil)
	c := stack.Dial(t, "ws://"+s.Address+"/any/path", stack.DialOptions{Origin: "http://" + s.Address})
	c.Send("hello")
	c.Expect("echo hello")
	if status, body := get(t, s, "/", ""); status != 200 || body != "the page" {
		t.Errorf("the page: got %d %q", status, body)
	}
	if status, _ := get(t, s, "/ws.php", ""); status != 404 {
		t.Errorf("a script outside of public was served: %d", status)
	}
	if status, _ := get(t, s, "/", "attacker.example"); status != 403 {
		t.Errorf("a foreign host name got %d, want 403", status)
	}
	if !strings.HasPrefix(s.Address, "127.0.0.1:") {
		t.Errorf("it listens on %s, want loopback", s.Address)
	}
	look := regexp.MustCompile(`--control (\S+)`).FindStringSubmatch(s.Output())
	if look == nil {
		t.Fatal("it does not print the control socket")
	}
	if out, code := stack.Command(t, "record", "user:Ann", "--for", "10ms", "--control", look[1], filepath.Join(dir, "recorded")); code != 0 {
		t.Errorf("record by the control socket: got %d %s", code, out)
	}
	c.Send("temp")
	temp := string(c.Next().Data)
	c.Close(1000, "bye")
	for _, want := range []string{"connect ", "is user:Ann  joins lobby", "user:Ann  \"hello\"  → \"echo hello\"", `1000 "bye"`} {
		shows(t, s, want)
	}
	s.Signal(syscall.SIGINT)
	if code := s.Exit(t); code != 0 {
		t.Errorf("it exited with %d after Ctrl-C, want 0", code)
	}
	if _, err := os.Stat(filepath.Dir(temp)); !os.IsNotExist(err) || !strings.Contains(temp, "wsfpm-dev-") {
		t.Errorf("PHP's temporary folder %s: %v, want it to be dev's own, and gone", temp, err)
	}
}

func TestErrorsOfPHPAreShownWithoutControlCharacters(t *testing.T) {
	contract.Row(t, "5.dev-shown")
	dir := project(t, map[string]string{"ws.php": echo, "page.php": "<?php echo 'shown'; trigger_error('page trouble', E_USER_NOTICE);"})
	s := stack.Dev(t, dir, nil)
	c := stack.Dial(t, "ws://"+s.Address, stack.DialOptions{})
	c.Send("fail")
	shows(t, s, "failed: answer")
	shows(t, s, "it broke in "+filepath.Join(dir, "ws.php")+":6")
	c.Send("warn")
	c.Expect("echo warn")
	shows(t, s, "careful")
	c.Send("\x1b]0;title\a\u009b2J\u202e")
	shows(t, s, `"\x1b]0;title\a\u009b2J\u202e"`)
	if status, body := get(t, s, "/page.php", ""); status != 200 || body != "shown" {
		t.Errorf("got %d %q", status, body)
	}
	shows(t, s, "page trouble")
	c.Close(1000, "\x1b[31m")
	shows(t, s, `1000 "\x1b[31m"`)
	if out := s.Output(); strings.ContainsAny(out, "\x1b\u009b\u202e\a") {
		t.Errorf("a control character reached the terminal: %q", out)
	}
}

func TestAChangedFileTakesEffectAtOnce(t *testing.T) {
	contract.Row(t, "5.dev-change")
	dir := project(t, map[string]string{"ws.php": echo, "wsfpm.dev.toml": "[[route]]\npath = \"/ws\"\nscript = \"ws.php\"\n"})
	s := stack.Dev(t, dir, nil)
	stack.Refused(t, "ws://"+s.Address+"/other", stack.DialOptions{})
	c := stack.Dial(t, "ws://"+s.Address+"/ws", stack.DialOptions{})
	c.Send("one")
	c.Expect("echo one")
	write(t, filepath.Join(dir, "ws.php"), strings.Replace(echo, "echo $in", "changed $in", 1))
	c.Send("two")
	c.Expect("changed two")
	write(t, filepath.Join(dir, "wsfpm.dev.toml"), "[[route]]\npath = \"/other\"\nscript = \"ws.php\"\n")
	shows(t, s, "reloaded configuration")
	stack.Dial(t, "ws://"+s.Address+"/other", stack.DialOptions{}).Close(1000, "")
	write(t, filepath.Join(dir, "wsfpm.dev.toml"), "[[route]]\npath = \"/wrong\"\n")
	shows(t, s, "script: is missing")
	stack.Dial(t, "ws://"+s.Address+"/other", stack.DialOptions{}).Close(1000, "")
}

func TestNothingIsLeftAfterAnyEnd(t *testing.T) {
	contract.Row(t, "5.dev-end")
	dir := project(t, map[string]string{"ws.php": echo})
	for _, c := range []struct {
		name string
		end  func(*stack.DevServer)
		code int
	}{
		{"SIGTERM", func(s *stack.DevServer) { s.Signal(syscall.SIGTERM) }, 0},
		{"SIGHUP", func(s *stack.DevServer) { s.Signal(syscall.SIGHUP) }, 0},
		{"SIGKILL", func(s *stack.DevServer) { s.Signal(syscall.SIGKILL) }, -1},
		{"PHP-FPM is killed", func(s *stack.DevServer) { syscall.Kill(s.Children()[0], syscall.SIGKILL) }, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			temp := t.TempDir()
			s := stack.Dev(t, dir, []string{"TMPDIR=" + temp})
			client := stack.Dial(t, "ws://"+s.Address, stack.DialOptions{})
			client.Send("x")
			client.Expect("echo x")
			pids := s.Children()
			c.end(s)
			if code := s.Exit(t); code != c.code {
				t.Errorf("it exited with %d, want %d", code, c.code)
			}
			gone(t, pids)
			if left, _ := filepath.Glob(temp + "/*"); len(left) > 0 && c.code >= 0 {
				t.Errorf("it left %v", left)
			}
		})
	}
}

func TestTwoProjectsRunAtOnce(t *testing.T) {
	contract.Row(t, "5.dev-port")
	one, two := project(t, map[string]string{"ws.php": echo}), project(t, map[string]string{"ws.php": strings.Replace(echo, "echo $in", "other $in", 1)})
	a, b := stack.Dev(t, one, nil), stack.Dev(t, two, nil)
	if a.Address == b.Address {
		t.Fatalf("both have the address %s", a.Address)
	}
	for s, answer := range map[*stack.DevServer]string{a: "echo x", b: "other x"} {
		c := stack.Dial(t, "ws://"+s.Address, stack.DialOptions{})
		c.Send("x")
		c.Expect(answer)
	}
}

func TestInitMakesAProjectThatWorks(t *testing.T) {
	contract.Row(t, "5.dev-init")
	dir := filepath.Join(stack.TempDir(t), "new")
	s := stack.Dev(t, filepath.Dir(dir), nil, "--init", dir)
	if status, body := get(t, s, "/", ""); status != 200 || !strings.Contains(body, "WebSocket") {
		t.Errorf("the page: got %d %.100q", status, body)
	}
	one, two := stack.Dial(t, "ws://"+s.Address+"/ws", stack.DialOptions{}), stack.Dial(t, "ws://"+s.Address+"/ws", stack.DialOptions{})
	one.Send("hi")
	one.Expect(`{"text":"hi"}`)
	two.Expect(`{"text":"hi"}`)
	s.Signal(syscall.SIGTERM)
	s.Exit(t)

	write(t, filepath.Join(dir, "ws.php"), "mine")
	again := stack.StartDev(t, dir, nil, "--init")
	if code := again.Exit(t); code != 1 || !strings.Contains(again.Output(), "ws.php is there already") {
		t.Errorf("got %d %q, want a refusal", code, again.Output())
	}
	if got := read(t, filepath.Join(dir, "ws.php")); got != "mine" {
		t.Errorf("ws.php was replaced by %q", got)
	}
}

func TestWhatIsMissingIsNamedWithItsRemedy(t *testing.T) {
	contract.Row(t, "5.dev-missing")
	empty, full := project(t, nil), project(t, map[string]string{"ws.php": echo, "broken": "#!/bin/sh\necho 'ERROR: no such pool' >&2\nexit 78\n"})
	if err := os.Chmod(filepath.Join(full, "broken"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		folder string
		args   []string
		want   []string
	}{
		{empty, nil, []string{"has no ws.php", "wsfpm dev --init " + empty}},
		{empty, []string{"none"}, []string{"there is no folder", "--init"}},
		{empty, []string{"--script", "x.php"}, []string{"there is no script", "x.php"}},
		{full, []string{"ws.php"}, []string{"is a file", "--script"}},
		{full, []string{"--php-fpm", "/nonexistent/php-fpm"}, []string{"--php-fpm: ", "/nonexistent/php-fpm"}},
		{full, []string{"--php-fpm", "./broken"}, []string{"php-fpm ended: exit status 78", "no such pool"}},
		{full, []string{"--listen", "nonsense"}, []string{"listen", "is not an address"}},
	} {
		s := stack.StartDev(t, c.folder, nil, c.args...)
		code, out := s.Exit(t), s.Output()
		for _, want := range c.want {
			if code != 1 || !strings.Contains(out, want) {
				t.Errorf("%q: got %d %q, want %q", c.args, code, out, want)
			}
		}
	}
}

// shows waits for a text on the terminal.
func shows(t *testing.T, s *stack.DevServer, text string) {
	t.Helper()
	stack.Wait(t, "the terminal to show "+text, func() bool { return strings.Contains(s.Output(), text) })
}

// get fetches a page, under another host name if one is given.
func get(t *testing.T, s *stack.DevServer, path, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.Address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}
