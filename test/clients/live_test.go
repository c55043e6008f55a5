package clients

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// page is a Node program with client/js/live.js.
type page struct {
	t      *testing.T
	in     io.Writer
	events chan pageEvent
}

// pageEvent is a line of live.mjs or compare.mjs.
type pageEvent struct {
	State   string
	Detail  any
	At      int64 // of a state, in milliseconds
	Message any
	From    string // of a message that was relayed
	Part    any
	Of, To  int
	Reply   any
	Failed  string
	Data    any
}

// openPage starts the program. It ends with the test.
func openPage(t *testing.T, urls ...string) *page {
	t.Helper()
	return openPageIn(t, nil, urls...)
}

// openPageIn is openPage with further environment.
func openPageIn(t *testing.T, environ []string, urls ...string) *page {
	t.Helper()
	return openProgram(t, environ, append([]string{"live.mjs"}, urls...)...)
}

// openProgram starts a Node program that reads and writes as live.mjs does.
func openProgram(t *testing.T, environ []string, args ...string) *page {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), stack.Tool(t, "nodejs", "node"), args...)
	cmd.Env = append(os.Environ(), environ...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var complaints strings.Builder
	cmd.Stderr = &complaints
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &page{t: t, in: in, events: make(chan pageEvent, 1<<16)}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.events)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var e pageEvent
			if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
				t.Errorf("line %q: %v", lines.Text(), err)
			}
			p.events <- e
		}
	}()
	t.Cleanup(func() {
		_ = in.Close() // live.close, and the program ends
		<-read
		if err := cmd.Wait(); err != nil && t.Context().Err() == nil || complaints.Len() > 0 {
			t.Errorf("the page: %v %s", err, complaints.String())
		}
	})
	return p
}

// next returns the next event of one kind; the others before it are dropped.
func (p *page) next(what string, wanted func(pageEvent) bool) pageEvent {
	p.t.Helper()
	for {
		select {
		case e, ok := <-p.events:
			if !ok {
				p.t.Fatalf("the page ended before %s", what)
			}
			if wanted(e) {
				return e
			}
		case <-time.After(stack.Patience):
			p.t.Fatalf("no %s", what)
		}
	}
}

func (p *page) state(name string) pageEvent {
	p.t.Helper()
	return p.next("state "+name, func(e pageEvent) bool { return e.State == name })
}

// send sends a JSON value.
func (p *page) send(value string) {
	p.t.Helper()
	if _, err := fmt.Fprintln(p.in, value); err != nil {
		p.t.Fatal(err)
	}
}

// ended returns how the page's message number to ended.
func (p *page) ended(to int) pageEvent {
	p.t.Helper()
	return p.next("end of a message", func(e pageEvent) bool { return e.To == to })
}

// pageScript answers what its message says.
const pageScript = `<?php
$in = file_get_contents('php://input');
$in = json_decode($in) ?? $in; // a string comes as its text
switch ($_SERVER['WS_EVENT'] === 'message' ? $in : $_SERVER['WS_EVENT']) {
  case 'connect': if (isset($_GET['ends'])) header('WS-Expires: ' . time() + 1); echo json_encode(['state' => $_SERVER['WS_RESUME']]); break;
  case 'word': echo 'word'; break;
  case 'nothing': break;
  case 'bytes': header('Content-Type: image/png'); echo "\x00\xff"; break;
  case 'stream': header('Content-Type: application/x-ndjson'); echo "one\n{\"n\":2}\n"; break;
  case 'fail': http_response_code(500); break;
  case 'sleep': sleep(30); break;
  case 'push': header("WS-Publish: conn:{$_SERVER['WS_CONNECTION']}"); echo '{"pushed":1}'; break;
  default: if (isset($in->close)) header("WS-Close: {$in->close}"); else echo json_encode($in);
}`

// pageGateway runs pageScript, and returns a link to the gateway.
func pageGateway(t *testing.T) (*stack.GatewayServer, *stack.Link, string) {
	t.Helper()
	stack.Integration(t)
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	dir := stack.Scripts(t, map[string]string{"page.php": strings.TrimPrefix(pageScript, "<?php")})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM:    fpm,
		Limits: "messages_per_second = 0\nping_interval = \"200ms\"\ncontrol_rate = 0",
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\non_error = \"message\"\nerror_message = '{\"sorry\":1}'\n",
	})
	link := stack.Proxy(t, g.Listen)
	return g, link, "ws://" + link.Addr + "/ws"
}

func TestThePageGetsRepliesByID(t *testing.T) {
	_, _, url := pageGateway(t)
	p := openPage(t, url)
	p.state("open")
	if m := p.next("the body", func(e pageEvent) bool { return e.Message != nil }); fmt.Sprint(m.Message) != "map[state:new]" {
		t.Errorf("connect's body: got %v", m.Message)
	}
	for i, test := range []struct{ send, want string }{
		{`"word"`, "word"},
		{`"nothing"`, "<nil>"},
		{`"bytes"`, "map[bytes:[0 255]]"},
		{`{"a":[1,"x"]}`, "map[a:[1 x]]"},
	} {
		p.send(test.send)
		if got := p.ended(i + 1); got.Failed != "" || fmt.Sprint(got.Reply) != test.want {
			t.Errorf("%s: got %+v, want %s", test.send, got, test.want)
		}
	}
	p.send(`"stream"`)
	for _, want := range []string{"one", "map[n:2]"} {
		if e := p.next("a part", func(e pageEvent) bool { return e.Of == 5 }); fmt.Sprint(e.Part) != want {
			t.Errorf("a line of the stream: got %v, want %s", e.Part, want)
		}
	}
	p.ended(5)
	p.send(`"fail"`)
	if e := p.ended(6); e.Failed != "failed" || fmt.Sprint(e.Data) != "map[sorry:1]" {
		t.Errorf("a failure: got %+v", e)
	}
	p.send(`"push"`)
	p.next("the push", func(e pageEvent) bool { return fmt.Sprint(e.Message) == "map[pushed:1]" })
}

func TestThePageComesBack(t *testing.T) {
	_, link, url := pageGateway(t)
	p := openPage(t, url)
	p.state("open")
	p.send(`"sleep"`)
	link.Reset()
	if e := p.ended(1); e.Failed != "unsure" {
		t.Errorf("a message without a reply: got %+v", e)
	}
	p.state("open")
	link.Pause() // a dead path: nothing is closed, nothing comes
	p.state("waiting")
	link.Resume()
	p.send(`"word"`) // sent once there is a connection
	p.state("open")
	if e := p.ended(2); fmt.Sprint(e.Reply) != "word" {
		t.Errorf("got %+v", e)
	}
	p.send(`{"close":"1012 again"}`)
	p.state("open")
	p.send(`{"close":"4001 signed out"}`)
	if e := p.state("stopped"); fmt.Sprint(e.Detail) != "map[code:4001 reason:signed out]" {
		t.Errorf("got %v", e.Detail)
	}
	p.send(`"word"`)
	if e := p.ended(5); e.Failed != "closed" {
		t.Errorf("after the end: got %+v", e)
	}
	contract.Row(t, "6.sign")
}

// The end of a login: the page asks for its address again, which may have a new token.
func TestThePageComesBackAfterTheEndOfItsLogin(t *testing.T) {
	_, _, url := pageGateway(t)
	contract.Row(t, "2.expires", "2.come-back")
	p := openPage(t, url+"?ends=1", url)
	p.state("open")
	p.state("waiting")
	p.state("open")
	p.send(`"word"`)
	if e := p.ended(1); fmt.Sprint(e.Reply) != "word" {
		t.Errorf("got %+v", e)
	}
}

// A page whose time never comes is back by retry alone, once, and only if it waits.
func TestThePageTriesAgainWhenItIsToldTo(t *testing.T) {
	g, link, url := pageGateway(t)
	p := openPageIn(t, []string{"NO_TIMERS=1"}, url)
	p.state("open")
	retry := func() {
		if _, err := fmt.Fprintln(p.in, "retry"); err != nil {
			t.Fatal(err)
		}
	}
	// only wants the reply next, and no attempt to connect before it
	only := func(to int) {
		t.Helper()
		if e := p.next("an event", func(e pageEvent) bool { return e.State != "" || e.To != 0 }); e.To != to {
			t.Errorf("got %+v, want the end of message %d", e, to)
		}
	}
	retry()
	p.send(`"word"`)
	only(1)
	link.Reset()
	p.state("waiting")
	p.send(`"word"`)
	retry()
	retry()
	for _, want := range []string{"connecting", "open"} {
		if e := p.next("a state", func(e pageEvent) bool { return e.State != "" }); e.State != want {
			t.Errorf("got %+v, want %s", e, want)
		}
	}
	only(2)
	stack.Wait(t, "one connection", func() bool { return g.Metric(t, "wsfpm_connections") == 1 })
	if n := g.Metric(t, "wsfpm_connections_opened_total"); n != 2 {
		t.Errorf("%v connections, want 2", n)
	}
	p.send(`{"close":"4001 signed out"}`)
	p.state("stopped")
	retry()
	p.send(`"word"`)
	only(4)
}

// payScript runs once, and answers when there is a file of the message's name.
const payScript = `
if ($_SERVER['WS_EVENT'] === 'connect') header('WS-User: ' . (file_exists(__DIR__ . '/signed-out') ? '' : '42'));
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$name = file_get_contents('php://input');
file_put_contents(__DIR__ . "/ran-$name", $_SERVER['WS_ATTEMPT'] ?? '-', FILE_APPEND);
while (!file_exists(__DIR__ . "/$name")) { usleep(10000); clearstatcache(); }
if (str_starts_with($name, 'large')) exit(str_repeat('x', 2000));
echo "$name: attempt ", $_SERVER['WS_ATTEMPT'] ?? '-';`

func TestThePageSendsAgainWhatRunsOnce(t *testing.T) {
	stack.Integration(t)
	contract.Row(t, "9.again", "9.most", "9.unkept")
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	dir := stack.Scripts(t, map[string]string{"page.php": payScript})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: fpm, Redis: stack.Redis(t, stack.RedisOptions{}).URL(), Limits: "messages_per_second = 0",
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nonce = \"60s\"\nonce_answer = \"1KiB\"\n",
	})
	link := stack.Proxy(t, g.Listen)
	p := openPage(t, "ws://"+link.Addr+"/ws")
	file := func(name string) {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	ran := func(name string) string {
		text, _ := os.ReadFile(filepath.Join(dir, "ran-"+name))
		return string(text)
	}
	p.state("open")
	for i, want := range []struct{ name, reply, failed string }{{"pay", "pay: attempt 1", ""}, {"large", "<nil>", "unkept"}} {
		p.send(fmt.Sprintf("%q", want.name))
		stack.Wait(t, "PHP to run", func() bool { return ran(want.name) != "" })
		link.Reset()
		file(want.name)
		if e := p.ended(i + 1); e.Failed != want.failed || fmt.Sprint(e.Reply) != want.reply {
			t.Errorf("%s: got %+v", want.name, e)
		}
		if got := ran(want.name); got != "1" {
			t.Errorf("%s: PHP ran as attempts %q", want.name, got)
		}
	}
	for i := range 12 { // more than may be without a reply
		p.send(fmt.Sprintf("\"m%d\"", i))
		file(fmt.Sprint("m", i))
	}
	for i := range 12 {
		if e := p.ended(i + 3); fmt.Sprint(e.Reply) != fmt.Sprintf("m%d: attempt 1", i) {
			t.Errorf("message %d: got %+v", i, e)
		}
	}
	p.send(`"last"`)
	stack.Wait(t, "PHP to run", func() bool { return ran("last") != "" })
	file("signed-out") // signed out meanwhile: it cannot be sent again
	link.Reset()
	if e := p.ended(15); e.Failed != "unsure" {
		t.Errorf("signed out: got %+v", e)
	}
	file("last")
}

// The browser has logged in as another one meanwhile: the message would run for that one.
func TestThePageSendsNothingAgainForAnotherUser(t *testing.T) {
	stack.Integration(t)
	contract.Row(t, "9.owner")
	fpm := stack.FPM(t, stack.FPMOptions{Children: 4})
	dir := stack.Scripts(t, map[string]string{"page.php": strings.Replace(payScript, "'42'", "$_GET['user']", 1)})
	g := stack.Gateway(t, stack.GatewayOptions{
		FPM: fpm, Redis: stack.Redis(t, stack.RedisOptions{}).URL(), Limits: "messages_per_second = 0",
		Routes: "[[route]]\npath = \"/ws\"\nscript = \"" + dir + "/page.php\"\nonce = \"60s\"\n",
	})
	link := stack.Proxy(t, g.Listen)
	url := "ws://" + link.Addr + "/ws?user="
	p := openPage(t, url+"ann", url+"bob", url+"bob")
	ran := func() string {
		text, _ := os.ReadFile(filepath.Join(dir, "ran-pay"))
		return string(text)
	}
	p.state("open")
	p.send(`"pay"`)
	stack.Wait(t, "PHP to run", func() bool { return ran() != "" })
	link.Reset()
	if e := p.ended(1); e.Failed != "unsure" {
		t.Errorf("got %+v", e)
	}
	for _, name := range []string{"pay", "more"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p.send(`"more"`)
	if e := p.ended(2); fmt.Sprint(e.Reply) != "more: attempt 1" {
		t.Errorf("got %+v", e)
	}
	if got := ran(); got != "1" {
		t.Errorf("PHP ran as attempts %q, want one, of ann", got)
	}
}
