package browser

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// What may come of a page's attempt.
const (
	works   = "works"   // the socket opens, and PHP knows whose it is
	refused = "403"     // the page sees an error, PHP never runs
	blocked = "blocked" // the browser does not even try
)

// cell is one attempt: a page of some origin, and the socket that it wants.
type cell struct {
	page    string // its address; file, about and data pages in short
	sandbox bool   // from a sandboxed frame inside the page
	url     string // of the socket
	want    string
}

// The sockets of the site. Its route /ws/own has no list of origins; /ws/listed
// and /ws/local have these.
const (
	own         = "wss://example.test/ws/own"
	plainOwn    = "ws://example.test/ws/own"
	portOwn     = "wss://example.test:8443/ws/own"
	listed      = "wss://example.test/ws/listed"
	local       = "wss://example.test/ws/local"
	listOrigins = `origins = ["https://app.example.test", "http://example.test:8080"]`
	listOthers  = `origins = ["file://", "https://M\u00fcnchen.test:443/"]`
)

// ownCells try the rule that holds without a list: the page's host and port are
// those of the socket, and over TLS the page came over TLS.
var ownCells = []cell{
	{"https://example.test", false, own, works},
	{"http://example.test", false, plainOwn, works},
	{"https://example.test:8443", false, portOwn, works},
	{"http://example.test:8080", false, "ws://example.test:8080/ws/own", works},
	{"https://EXAMPLE.Test", false, own, works},
	{"https://example.test", false, "wss://EXAMPLE.TEST/ws/own", works},
	{"https://example.test:443", false, own, works},
	{"https://example.test.", false, "wss://example.test./ws/own", works},
	{"https://evil-example.test", false, own, refused},
	{"https://evil.test", false, own, refused},
	{"https://example.test.evil.test", false, own, refused},
	{"https://sub.example.test", false, own, refused},
	{"https://xample.test", false, own, refused},
	{"https://ex\u0430mple.test", false, own, refused}, // a Cyrillic letter
	{"https://example.test@evil.test", false, own, refused},
	{"https://evil.test/page.html?https://example.test", false, own, refused},
	{"https://example.test.", false, own, refused},
	{"https://example.test", false, "wss://example.test./ws/own", refused},
	{"http://example.test", false, own, refused},
	{"https://example.test:8443", false, own, refused},
	{"https://example.test", false, portOwn, refused},
	{"http://example.test:8080", false, plainOwn, refused},
	{"http://sub.example.test", false, plainOwn, refused},
	{"http://example.test:8080", false, own, refused},
	{"https://127.0.0.1:LOCAL", false, own, refused},
	{"https://localhost:LOCAL", false, own, refused},
	{"https://example.test", true, own, refused},
	{"https://evil.test", true, own, refused},
	{"data", false, own, refused},
	{"about", false, own, refused},
	{"file", false, own, refused},
	{"file", false, plainOwn, refused},
	{"https://example.test", false, plainOwn, blocked}, // mixed content
	{"https://evil.test", false, plainOwn, blocked},
}

// listedCells try a list of origins: these, and not even the site's own.
var listedCells = []cell{
	{"https://app.example.test", false, listed, works},
	{"http://example.test:8080", false, listed, works},
	{"https://APP.example.test", false, listed, works},
	{"https://example.test", false, listed, refused},
	{"http://app.example.test", false, listed, refused},
	{"https://app.example.test:8443", false, listed, refused},
	{"http://example.test", false, listed, refused},
	{"https://app.example.test.", false, listed, refused},
	{"https://sub.app.example.test", false, listed, refused},
	{"https://evil-app.example.test", false, listed, refused},
	{"https://app.example.test.evil.test", false, listed, refused},
	{"https://app.example.test", true, listed, refused},
	{"data", false, listed, refused},
	{"about", false, listed, refused},
	{"file", false, listed, refused},
	{"file", false, local, refused}, // Chromium sends null, a WebView file://
	{"https://m\u00fcnchen.test", false, local, works},
	{"https://xn--mnchen-3ya.test", false, local, works},
	{"https://munchen.test", false, local, refused},
	{"data", false, local, refused},
}

// originsScript lets in who has logged in on the site.
const originsScript = `
session_name(empty($_SERVER['HTTPS']) ? 'PLAIN' : 'SECURE');
session_start(['read_and_close' => true]);
require __DIR__ . '/event.php'; wsfpm_trace();
if ($_SERVER['WS_EVENT'] === 'connect') {
    if (!isset($_SESSION['user'])) { http_response_code(401); exit('log in first'); }
    echo $_SESSION['user'];
}`

// originsLogin is the site's login page. The cookie of the pages over TLS goes
// along from every site's pages: only the origin is left to stop them.
const originsLogin = `
$secure = !empty($_SERVER['HTTPS']);
session_name($secure ? 'SECURE' : 'PLAIN');
session_start(['cookie_httponly' => true] + ($secure ? ['cookie_secure' => true, 'cookie_samesite' => 'None'] : ['cookie_samesite' => 'Lax']));
$_SESSION['user'] = 'ann';
echo 'welcome';`

// site is the site that the pages want to reach, and every other one, all on
// one nginx.
type site struct {
	nginx *stack.NginxServer
	trace stack.Trace
	dir   string
	rules string
	tls   string // nginx's own address with TLS
}

func startSite(t *testing.T) *site {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{})
	s := &site{trace: stack.NewTrace(t), tls: stack.FreeAddress(t)}
	s.dir = stack.Scripts(t, map[string]string{"ws.php": originsScript, "login.php": originsLogin})
	if err := os.WriteFile(filepath.Join(s.dir, "page.html"), []byte("<!doctype html><title>page</title>"), 0o644); err != nil {
		t.Fatal(err)
	}
	route := fmt.Sprintf("script = %q\nparams = { TRACE = %q }\n", s.dir+"/ws.php", s.trace.File)
	g := stack.Gateway(t, stack.GatewayOptions{FPM: fpm,
		Routes: "[[route]]\npath = \"/ws/own\"\n" + route + "[[route]]\npath = \"/ws/listed\"\n" + listOrigins + "\n" + route +
			"[[route]]\npath = \"/ws/local\"\n" + listOthers + "\n" + route})
	stack.Certificate(t, s.dir, "example.test")
	plain2, tls2 := stack.FreeAddress(t), stack.FreeAddress(t)
	s.nginx = stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
log_format cells '$arg_cell|$status|$http_origin|$http_cookie';
server { listen LISTEN; listen %[1]s; listen %[2]s ssl; listen %[3]s ssl; root %[4]s; index page.html;
	ssl_certificate %[4]s/cert.pem; ssl_certificate_key %[4]s/key.pem;
	location /ws/ { proxy_pass http://%[5]s; proxy_http_version 1.1; access_log DIR/cells.log cells;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; }
	location = /login.php { fastcgi_pass unix:%[6]s; fastcgi_param SCRIPT_FILENAME %[4]s/login.php;
		fastcgi_param REQUEST_METHOD $request_method; fastcgi_param HTTPS $https if_not_empty; fastcgi_param HTTP_COOKIE $http_cookie; } }`,
		plain2, s.tls, tls2, s.dir, g.Listen, fpm.Socket))
	var rules []string
	for port, address := range map[string]string{"80": s.nginx.Addr, "8080": plain2, "443": s.tls, "8443": tls2} {
		for _, names := range []string{"*.test", "*.test."} {
			rules = append(rules, "MAP "+names+":"+port+" "+address)
		}
	}
	s.rules = strings.Join(rules, ",")
	return s
}

// address is what the browser opens for a cell's page; "" is an empty tab.
func (s *site) address(page string) string {
	switch page {
	case "about":
		return ""
	case "data":
		return "data:text/html,<title>data</title>"
	case "file":
		return "file://" + s.dir + "/page.html"
	}
	page = strings.ReplaceAll(page, "127.0.0.1:LOCAL", s.tls)
	page = strings.ReplaceAll(page, "localhost:LOCAL", strings.Replace(s.tls, "127.0.0.1", "localhost", 1))
	if strings.Count(page, "/") == 2 {
		page += "/page.html"
	}
	return page
}

// attempted is what the page said of its attempt.
type attempted struct {
	ID     int    `json:"id"`
	Origin string `json:"origin"`
	Result string `json:"result"`
	Detail string `json:"detail"`
}

// run lets Chromium try all cells.
func (s *site) run(t *testing.T, program string, cells []cell) []attempted {
	t.Helper()
	type step struct {
		ID    int    `json:"id"`
		Page  string `json:"page"`
		Frame bool   `json:"frame"`
		URL   string `json:"url"`
	}
	plan := struct {
		Rules string   `json:"rules"`
		Login []string `json:"login"`
		Cells []step   `json:"cells"`
	}{s.rules, []string{"https://example.test/login.php", "http://example.test/login.php", "https://example.test./login.php"}, nil}
	for i, c := range cells {
		plan.Cells = append(plan.Cells, step{i, s.address(c.page), c.sandbox, fmt.Sprintf("%s?cell=%d", c.url, i)})
	}
	text, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(s.dir, "plan.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var complaint bytes.Buffer
	cmd := exec.CommandContext(ctx, program, "origins.mjs", file)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("chromium: %v\n%s%s", err, out, &complaint)
	}
	var all []attempted
	for line := range bytes.Lines(out) {
		var a attempted
		if err := json.Unmarshal(line, &a); err != nil || a.ID != len(all) {
			t.Fatalf("the browser wrote %q (%v)", line, err)
		}
		all = append(all, a)
	}
	return all
}

// arrival is a handshake as nginx saw it.
type arrival struct{ status, origin, cookie string }

// arrivals are the handshakes by their cells, once those that were let in have
// ended and so are in nginx's log.
func (s *site) arrivals(t *testing.T, n int) map[string]arrival {
	t.Helper()
	found := make(map[string]arrival)
	stack.Wait(t, fmt.Sprintf("%d handshakes in nginx's log", n), func() bool {
		text, _ := os.ReadFile(filepath.Join(s.nginx.Dir, "cells.log"))
		for line := range strings.Lines(string(text)) {
			if f := strings.SplitN(strings.TrimSpace(line), "|", 4); len(f) == 4 {
				found[f[0]] = arrival{f[1], f[2], f[3]}
			}
		}
		return len(found) >= n
	})
	return found
}

// outcome is all that is known of one attempt.
type outcome struct {
	cell
	page    attempted
	arrival arrival
	arrived bool
	ran     bool // PHP ran for it
}

// cookie reports whether the visitor's login went along.
func (o outcome) cookie() bool {
	return strings.Contains(o.arrival.cookie, "SECURE=") || strings.Contains(o.arrival.cookie, "PLAIN=")
}

// good reports whether it came as it must.
func (o outcome) good() bool {
	switch o.want {
	case works:
		return o.page.Result == "open" && o.page.Detail == "ann" && o.arrival.status == "101" && o.ran
	case refused:
		return o.page.Result == "error" && o.arrival.status == "403" && o.arrival.origin != "-" && !o.ran
	}
	return o.page.Result == "blocked" && !o.arrived && !o.ran
}

// row is the attempt as a row of the table.
func (o outcome) row() string {
	frame := ""
	if o.sandbox {
		frame = ", sandboxed frame"
	}
	return fmt.Sprintf("| %s%s | %s | %s | %v | %s | %s %s | %s | %v |\n", o.cell.page, frame, o.url, o.arrival.origin, o.cookie(), o.want,
		o.page.Result, o.page.Detail, o.arrival.status, o.ran)
}

// outcomes lets Chromium try all cells.
func (s *site) outcomes(t *testing.T, program string, cells []cell) []outcome {
	t.Helper()
	results := s.run(t, program, cells)
	if len(results) != len(cells) {
		t.Fatalf("got %d results, want %d", len(results), len(cells))
	}
	tried := 0
	for _, c := range cells {
		if c.want != blocked {
			tried++
		}
	}
	arrivals := s.arrivals(t, tried)
	ran := make(map[string]bool)
	for _, e := range s.trace.Of("connect") {
		cell, _ := e.Get["cell"].(string)
		ran[cell] = true
	}
	all := make([]outcome, len(cells))
	for i, c := range cells {
		id := fmt.Sprint(i)
		a, arrived := arrivals[id]
		all[i] = outcome{c, results[i], a, arrived, ran[id]}
	}
	return all
}

func TestForeignPagesAreRefused(t *testing.T) {
	program := node(t)
	goal := stack.Promise(t, "G16", "a foreign page cannot open a visitor's socket (cross-site WebSocket hijacking)")
	s := startSite(t)
	cells := append(append([]cell(nil), ownCells...), listedCells...)
	count := make(map[string]int)
	withCookie := 0
	table := "| page | socket | Origin sent | login sent | expected | the page saw | status | PHP ran |\n|---|---|---|---|---|---|---|---|\n"
	for _, o := range s.outcomes(t, program, cells) {
		table += o.row()
		if !o.good() {
			t.Errorf("not as expected: %s", o.row())
		}
		count[o.want]++
		if o.want == refused && o.cookie() {
			withCookie++
		}
	}
	t.Logf("\n%s", table)
	// Without the login the script would refuse them by itself.
	if withCookie < count[refused]-2 {
		t.Errorf("%d of %d foreign attempts carried the visitor's login: the attack is not real", withCookie, count[refused])
	}
	stack.Table(t, "origins.md", "# Which pages may open a socket\n\nMade by `test/browser`; do not edit.\n\n"+table)
	goal.Reached("%d cells in Chromium: %d foreign refused with 403 before PHP ran (%d of them carried the visitor's login), %d own let in, %d blocked by the browser itself",
		len(cells), count[refused], withCookie, count[works], count[blocked])
}
