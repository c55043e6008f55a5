package browser

import (
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// pageScript knows users by their query, and fails when it is told to.
const pageScript = `
parse_str($_SERVER['QUERY_STRING'], $query);
if ($_SERVER['WS_EVENT'] === 'connect') {
    header('WS-User: ' . ($query['user'] ?? 'anyone'));
    header('WS-Join: lobby, ' . ($query['join'] ?? 'room'));
    exit;
}
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$in = file_get_contents('php://input');
if (str_starts_with($in, 'fail')) { error_log('PHP Fatal error:  ' . substr($in, 5) . ' in ' . __FILE__ . ':1'); http_response_code(500); exit; }
usleep(random_int(1000, 40000));
echo "echo $in";
`

// hostileText is what a page must show as text: an element, a clipboard command, a CSI, a
// reversed direction.
const hostileText = "<img src=x onerror=document.title='hit'>\x1b]52;c;aGk=\a\u009b31m\u202eexe"

// seen is what Chromium shows.
type seen struct {
	Error, Title, URL, Text, Cookies, Stored string
	Images, Overflow                         int
	Ink                                      []int
	Problems, Foreign                        []string
}

// visitor is Chromium with the operators' page.
type visitor struct {
	*stack.Dialogue
	t *testing.T
}

// visit starts Chromium.
func visit(t *testing.T) *visitor {
	t.Helper()
	pictures := os.Getenv("WSFPM_PICTURES")
	if pictures == "" {
		pictures = stack.TempDir(t)
	}
	return &visitor{stack.StartDialogue(t, exec.CommandContext(t.Context(), node(t), "page.mjs", pictures)), t}
}

// do has the browser do something, and returns what it shows then.
func (v *visitor) do(command map[string]any) seen {
	v.t.Helper()
	text, err := json.Marshal(command)
	if err != nil {
		v.t.Fatal(err)
	}
	answer, err := v.Ask(string(text))
	if err != nil {
		v.t.Fatalf("%s: %v", text, err)
	}
	var s seen
	if err := json.Unmarshal([]byte(answer), &s); err != nil || s.Error != "" {
		v.t.Fatalf("%s: %v %s\n%s", text, err, s.Error, s.Text)
	}
	return s
}

// pageGateway runs a gateway whose admin listener has the page, and makes a visitor's address.
func pageGateway(t *testing.T) (g *stack.GatewayServer, address func() string) {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{})
	dir := stack.Scripts(t, map[string]string{"chat.php": pageScript})
	control := filepath.Join(stack.TempDir(t), "control.sock")
	g = stack.Gateway(t, stack.GatewayOptions{
		Node: "web-1", FPM: fpm, FPMLines: "max_connections = 4\nmax_idle = 4", Top: fmt.Sprintf("control = \"unix:%s\"", control), LogLevel: "info",
		Routes: fmt.Sprintf("[[route]]\npath = \"/ws\"\nscript = %q\n", dir+"/chat.php"),
	})
	return g, func() string {
		out, code := stack.Command(t, "admin", "--control", "unix:"+control, "--admin", strings.TrimPrefix(g.Admin, "http://"))
		first, _, _ := strings.Cut(out, "\n")
		if code != 0 || !strings.HasPrefix(first, "http://localhost:") {
			t.Fatalf("wsfpm admin: %d, %s", code, out)
		}
		return first
	}
}

func TestThePageShowsWhatHappens(t *testing.T) {
	contract.Row(t, "5.page", "5.page-ticket", "5.page-look-up", "5.page-hostile")
	g, address := pageGateway(t)
	v := visit(t)
	ann := stack.Dial(t, g.URL+"/ws?user=ann&join="+url.QueryEscape("<b>room\u202e"), stack.DialOptions{})
	eve := stack.Dial(t, g.URL+"/ws?user="+url.QueryEscape("<img src=x onerror=document.title='hit'>\u202e"), stack.DialOptions{})
	link := address()
	s := v.do(map[string]any{"open": link, "see": "ready"})
	if strings.Contains(s.URL, "token") || s.Cookies != "" || strings.Contains(s.Stored, link[strings.Index(link, "token=")+6:]) {
		t.Errorf("the token of the address is still in %q, %q or %q", s.URL, s.Cookies, s.Stored)
	}
	ann.Send("hello")
	ann.Expect("echo hello")
	ann.Send("fail " + hostileText)
	eve.Send(hostileText)
	eve.Next()
	s = v.do(map[string]any{"see": "the script answered with status 500"})
	if !strings.Contains(s.Text, "/chat.php") || !strings.Contains(s.Text, "127.0.0.1") {
		t.Errorf("the page shows %s", s.Text)
	}
	for i, colors := range s.Ink {
		if colors < 3 {
			t.Errorf("chart %d is empty", i)
		}
	}

	s = v.do(map[string]any{"find": "channel:lobby", "see": "2 connections"})
	for _, want := range []string{"user:ann", `<b>room\u202e`, `<img src=x onerror=document.title='hit'>\u202e`} {
		if !strings.Contains(s.Text, want) {
			t.Errorf("the look-up does not show %q:\n%s", want, s.Text)
		}
	}
	if s.Title != "wsfpm" || s.Images != 0 || strings.ContainsAny(s.Text, "\u202e\x1b\u009b") {
		t.Errorf("text of clients took effect: title %q, %d images", s.Title, s.Images)
	}
	v.do(map[string]any{"find": "user:ann", "see": "1 connection"})
	v.do(map[string]any{"send": "from the page", "see": "Sent to 1"})
	ann.Expect("from the page")
	v.do(map[string]any{"close": true, "see": "Closed 1"})
	ann.ExpectClose(4000)
	for _, line := range [][]string{{"look up", "channel:lobby"}, {"send", "user:ann"}, {"close", "user:ann"}, {"open the page"}} {
		g.AwaitLog(t, "info", append([]string{"control"}, line...)...)
	}
	if strings.Contains(g.LogText(), "from the page") {
		t.Error("the log has what was sent")
	}
	s = v.do(map[string]any{"reload": true, "see": "ready"})
	if len(s.Problems)+len(s.Foreign) > 0 {
		t.Errorf("the page reported %q and asked %q", s.Problems, s.Foreign)
	}
	second := visit(t)
	second.do(map[string]any{"open": link, "see": "run “wsfpm admin”"}) // the token was used
}

func TestThePageFitsAPhoneAndADesktop(t *testing.T) {
	contract.Row(t, "5.page")
	g, address := pageGateway(t)
	stop := make(chan bool)
	defer close(stop)
	for i := range 24 {
		c := stack.Dial(t, fmt.Sprintf("%s/ws?user=%s&join=room-%d", g.URL, []string{"ann", "bob", "chen", "dara", "emil", "farid"}[i%6], i%3), stack.DialOptions{})
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if c.Conn.Write(t.Context(), 1, []byte([]string{"hello", "fail"}[n%97/96])) != nil {
					return
				}
			}
		}()
	}
	for _, dark := range []bool{false, true} {
		v := visit(t)
		v.do(map[string]any{"open": address(), "dark": dark, "see": "failed"})
		v.do(map[string]any{"find": "user:ann", "see": "connections"})
		for _, width := range []int{1440, 390} {
			s := v.do(map[string]any{"width": width, "see": "user:ann"})
			if s.Overflow > 0 {
				t.Errorf("at %d pixels the page is %d pixels too wide", width, s.Overflow)
			}
			if len(s.Problems) > 0 {
				t.Errorf("the page reported %q", s.Problems)
			}
			v.do(map[string]any{"shot": fmt.Sprintf("page-%d-dark-%v.png", width, dark)})
		}
		if os.Getenv("WSFPM_PICTURES") != "" { // for scripts/pictures: charts with a past
			v.do(map[string]any{"rest": 90})
			v.do(map[string]any{"size": []int{1440, 916}})
			v.do(map[string]any{"view": fmt.Sprintf("desktop-dark-%v.png", dark)})
			v.do(map[string]any{"size": []int{390, 700}})
			v.do(map[string]any{"view": fmt.Sprintf("phone-dark-%v.png", dark)})
		}
	}
}
