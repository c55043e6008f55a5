package headers

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// ours are the variables that the contract names besides HTTP_… for connect.
var ours = strings.Fields(`REQUEST_METHOD REQUEST_URI QUERY_STRING REQUEST_SCHEME GATEWAY_INTERFACE REDIRECT_STATUS CONTENT_LENGTH
	SCRIPT_FILENAME SCRIPT_NAME DOCUMENT_URI DOCUMENT_ROOT REMOTE_ADDR REMOTE_PORT SERVER_NAME SERVER_ADDR SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE
	WS_EVENT WS_CONNECTION WS_NODE WS_USER WS_CHANNELS WS_STATE WS_PROTOCOL WS_PROTOCOLS WS_CONNECTED_AT WS_REQUEST_ID
	WS_RESUME WS_LAST WS_POSITION TRACE`)

// phps are PHP's and PHP-FPM's own.
var phps = strings.Fields("PHP_SELF REQUEST_TIME REQUEST_TIME_FLOAT argv argc FCGI_ROLE USER HOME")

// held are the headers that the contract holds back, in lower case.
var held = strings.Fields(`connection keep-alive proxy-authenticate proxy-authorization proxy-connection te trailer transfer-encoding upgrade
	sec-websocket-key sec-websocket-version sec-websocket-extensions proxy redirect-status accept-encoding range forwarded x-real-ip
	x-forwarded-host x-forwarded-port x-forwarded-server`)

var plainName = regexp.MustCompile(`^[A-Za-z0-9-]+$`)

// arrives reports whether the contract lets a header through.
func (w *way) arrives(name string, declared []string) bool {
	name = strings.ToLower(name)
	switch {
	case !plainName.MatchString(name), slices.Contains(held, name), name == "host",
		strings.HasPrefix(name, "content-"), strings.HasPrefix(name, "if-"):
		return false
	case name == "x-forwarded-for", name == "x-forwarded-proto":
		return false // nginx sends its own, and without it the peer is not trusted
	case name == "expect" && w.nginx:
		return false // nginx has answered it
	}
	return w.nginx || !slices.Contains(declared, name) // nginx has a Connection of its own
}

// headers are the HTTP_… variables that a set must arrive as.
func (w *way) headers(s set) map[string]string {
	want := make(map[string]string)
	var declared []string
	for _, line := range s.all() {
		if name, value, _ := strings.Cut(line, ":"); strings.EqualFold(name, "Connection") {
			for each := range strings.SplitSeq(value, ",") {
				declared = append(declared, strings.ToLower(strings.TrimSpace(each)))
			}
		}
	}
	for _, line := range s.all() {
		name, value, _ := strings.Cut(line, ":")
		if !w.arrives(name, declared) {
			continue
		}
		key := "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
		value = strings.Trim(value, " \t")
		if before, twice := want[key]; twice && key == "HTTP_COOKIE" {
			value = before + "; " + value
		} else if twice {
			value = before + "," + value
		}
		want[key] = value
	}
	if w.nginx {
		want["HTTP_X_FORWARDED_FOR"], want["HTTP_X_FORWARDED_PROTO"] = client, "http"
	}
	return want
}

// host is the set's host, as HTTP_HOST must have it: that of the request line
// goes first (RFC 9112, 3.2.2), but nginx passes the header on.
func (w *way) host(s set) string {
	if _, rest, found := strings.Cut(s.requestLine(), "http://"); found && !w.nginx {
		host, _, _ := strings.Cut(rest, "/")
		return host
	}
	for _, line := range s.all() {
		if value, found := strings.CutPrefix(line, "Host:"); found {
			return strings.Trim(value, " \t")
		}
	}
	return ""
}

// values are the variables whose value a client must have no part in.
func (w *way) values() map[string]string {
	return map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_SCHEME": "http", "GATEWAY_INTERFACE": "CGI/1.1", "REDIRECT_STATUS": "200", "CONTENT_LENGTH": "0",
		"SCRIPT_FILENAME": w.dir + "/ws.php", "SCRIPT_NAME": "/ws.php", "DOCUMENT_URI": "/ws.php", "DOCUMENT_ROOT": w.dir, "PHP_SELF": "/ws.php",
		"REMOTE_ADDR": client, "SERVER_ADDR": "127.0.0.1", "SERVER_PORT": w.port, "SERVER_PROTOCOL": "HTTP/1.1", "SERVER_SOFTWARE": "wsfpm",
		"WS_EVENT": "connect", "WS_USER": "", "WS_CHANNELS": "", "WS_STATE": "", "WS_PROTOCOL": "", "TRACE": w.file, "FCGI_ROLE": "RESPONDER",
	}
}

// check holds what PHP was told against the contract.
func (w *way) check(t *testing.T, s set, got told) {
	t.Helper()
	allowed := slices.Concat(ours, phps)
	if strings.Contains(got.server["HTTP_AUTHORIZATION"], "Basic ") {
		allowed = append(allowed, "PHP_AUTH_USER", "PHP_AUTH_PW") // PHP's own reading of it
	}
	headers := make(map[string]string)
	for name, value := range got.server {
		switch {
		case strings.HasPrefix(name, "HTTP_"):
			headers[name] = value
		case !slices.Contains(allowed, name):
			t.Errorf("PHP has $_SERVER[%q] = %.80q", name, value)
		case strings.Contains(value, "forged") && name != "REQUEST_URI" && name != "QUERY_STRING":
			t.Errorf("PHP has $_SERVER[%q] = %.80q", name, value)
		}
		if strings.ContainsAny(value, "\x00\r\n") {
			t.Errorf("$_SERVER[%q] = %.80q has a control character", name, value)
		}
	}
	for name := range got.env {
		if _, known := got.server[name]; !known && name != "PATH" {
			t.Errorf("getenv has %s, which $_SERVER has not", name)
		}
	}
	for name, want := range w.values() {
		if got.server[name] != want {
			t.Errorf("$_SERVER[%q] is %.80q, want %.80q", name, got.server[name], want)
		}
	}
	if id := got.server["WS_CONNECTION"]; !regexp.MustCompile(`^test-[a-z0-9]{6}-[a-z0-9]{26}$`).MatchString(id) ||
		!strings.HasPrefix(got.server["WS_REQUEST_ID"], id) || !strings.HasPrefix(id, got.server["WS_NODE"]) {
		t.Errorf("the connection is %q, the request %q, the node %q", id, got.server["WS_REQUEST_ID"], got.server["WS_NODE"])
	}
	w.checkHeaders(t, s, headers)
	if got.body != "" {
		t.Errorf("the body is %q", got.body)
	}
	want := map[string]string{"auto_prepend_file": "", "memory_limit": "128M", "open_basedir": ""}
	if !maps.Equal(got.ini, want) {
		t.Errorf("PHP's settings are %v, want %v", got.ini, want)
	}
}

// madeTrace is a traceparent that wsfpm has made.
var madeTrace = regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00$`)

// checkHeaders wants exactly the headers that the contract lets through.
func (w *way) checkHeaders(t *testing.T, s set, got map[string]string) {
	t.Helper()
	want := w.headers(s)
	want["HTTP_HOST"] = w.host(s)
	if !madeTrace.MatchString(got["HTTP_TRACEPARENT"]) { // no set has one
		t.Errorf("HTTP_TRACEPARENT is %q, want a new one", got["HTTP_TRACEPARENT"])
	}
	want["HTTP_TRACEPARENT"] = got["HTTP_TRACEPARENT"]
	for name, value := range got {
		if sent, found := want[name]; !found && !s.vague {
			t.Errorf("PHP has %s = %.80q, which does not arrive by the contract", name, value)
		} else if found && value != sent && !s.vague {
			t.Errorf("%s is %.80q, want %.80q", name, value, sent)
		}
		if slices.Contains(held, strings.ToLower(strings.ReplaceAll(strings.TrimPrefix(name, "HTTP_"), "_", "-"))) {
			t.Errorf("PHP has %s = %.80q", name, value)
		}
	}
	for name := range want {
		if _, there := got[name]; !there && !s.vague {
			t.Errorf("%s did not arrive", name)
		}
	}
}

// answers are the statuses that a set may get: the upgrade, or a refusal that
// blames the client. 0 is a closed connection.
var answers = []int{0, 101, 400, 403, 404, 405, 408, 413, 414, 421, 426, 431, 501, 505}

func TestNothingIsForged(t *testing.T) {
	stack.Integration(t)
	goal := stack.Promise(t, "G15", "no handshake forges what PHP is told of it, and none that is refused reaches PHP")
	all := sets()
	if len(all) != total {
		t.Fatalf("got %d sets, want %d", len(all), total)
	}
	for _, w := range ways(t) {
		good, ran := 0, 0
		for i, s := range all {
			passed := t.Run(fmt.Sprintf("%s/%03d %s", w.name, i+1, s.name), func(t *testing.T) {
				status := w.send(t, s)
				events := w.ledger(t)
				switch {
				case !slices.Contains(answers, status):
					t.Errorf("got status %d", status)
				case status != 101 && len(events) != 0:
					t.Errorf("refused with %d, but PHP ran", status)
				case status == 101 && strings.Contains(s.refuse, w.name):
					t.Errorf("let in")
				case status == 101 && len(events) != 1:
					t.Errorf("let in, and PHP ran %d times", len(events))
				}
				for _, e := range events {
					ran++
					w.check(t, s, e)
				}
			})
			if passed {
				good++
			}
		}
		if ran < total/2 {
			t.Errorf("%s: PHP ran for %d of %d sets: too few to tell anything", w.name, ran, total)
		}
		goal.Reached("%s %d/%d (PHP ran for %d, the others were refused)", w.name, good, total, ran)
	}
}
