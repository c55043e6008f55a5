package headers

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// set is one hostile handshake.
type set struct {
	name   string
	line   string   // the request line, default "GET /ws HTTP/1.1"
	base   []string // the lines that every handshake has, default those of usual
	lines  []string // further ones
	body   string   // after the headers
	vague  bool     // where headers begin and end is in dispute: their values are not compared
	custom bool     // base is used, even when it is empty
	refuse string   // the ways on which it must not be let in; the others may mend it
}

// everyWay is all ways, for set.refuse.
const everyWay = "nginx open-nginx direct"

// usual are the lines of a good handshake.
var usual = []string{"Host: example.test", "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}

func (s set) all() []string {
	if s.custom {
		return append(append([]string(nil), s.base...), s.lines...)
	}
	return append(append([]string(nil), usual...), s.lines...)
}

func (s set) requestLine() string {
	if s.line == "" {
		return "GET /ws HTTP/1.1"
	}
	return s.line
}

// request is the set's bytes.
func (s set) request() string {
	return s.requestLine() + "\r\n" + strings.Join(s.all(), "\r\n") + "\r\n\r\n" + s.body
}

// total is how many sets there are.
const total = 200

// sets are all sets, the same at every run. Values that must not arrive outside
// of HTTP_… have the word "forged".
func sets() []set {
	var all []set
	all = append(all, singles()...)
	all = append(all, pairs()...)
	all = append(all, entities()...)
	all = append(all, malformed()...)
	all = append(all, sizes()...)
	all = append(all, hosts()...)
	all = append(all, sockets()...)
	all = append(all, targets()...)
	return append(all, mixed(all, total-len(all))...)
}

// singles have one line with a name that PHP could take for something else.
func singles() (all []set) {
	for _, name := range strings.Fields(`Proxy PROXY Http_Proxy HTTP-Proxy Redirect-Status Redirect_Status PHP-VALUE PHP_VALUE PHP_ADMIN_VALUE Php-Admin-Value
		Script-Filename SCRIPT_FILENAME Script-Name SCRIPT_NAME Path-Info PATH_INFO Path-Translated Document-Root DOCUMENT_ROOT Request-Method
		Request_Uri Remote-Addr REMOTE_ADDR Remote_User Server_Addr Server-Name SERVER_PORT Gateway_Interface Query_String Auth_Type HTTPS Orig_Script_Name
		Php_Self Php_Auth_User Fcgi-Role FCGI_ROLE TRACE
		WS-User WS_USER Ws_Event WS-EVENT WS_CONNECTION WS_STATE Ws-Channels WS_PROTOCOL WS_Node WS_Request_Id HTTP-WS-User HTTP_WS_USER Ws.User WS_OPCODE
		X_Forwarded_For X-Forwarded_For X_Forwarded_Proto X.Forwarded.For X-Real_IP X_Real_IP
		X-Forwarded-Host X-Forwarded-Port X-Forwarded-Server Forwarded X-Real-IP X-Client-IP X-Original-URL X-HTTP-Method-Override
		Content-Type Content_Type Content_Length Content-Encoding If-None-Match Range Accept-Encoding Keep-Alive Proxy-Authorization TE Trailer Set-Cookie`) {
		all = append(all, set{name: name, lines: []string{name + ": forged"}})
	}
	return all
}

// pairs have lines that are to be taken together, or for one another.
func pairs() []set {
	chain := strings.Repeat("192.0.2.1, ", 16) + "192.0.2.2"
	return []set{
		{name: "a clean one and its double", lines: []string{"X-Custom: clean", "X_Custom: forged"}},
		{name: "the double first", lines: []string{"X_Custom: forged", "X-Custom: clean"}},
		{name: "cookie and its double", lines: []string{"Cookie: a=clean", "Cookie_: a=forged", "COOKIE_: b=forged"}},
		{name: "two of one name", lines: []string{"X-Twice: 1", "x-twice: 2"}},
		{name: "two origins", lines: []string{"Origin: https://example.test", "Origin: https://evil.test"}, refuse: everyWay},
		{name: "spoofed chain", lines: []string{"X-Forwarded-For: forged, 192.0.2.9"}},
		{name: "loopback chain", lines: []string{"X-Forwarded-For: 127.0.0.1"}},
		{name: "long chain", lines: []string{"X-Forwarded-For: " + chain}},
		{name: "chains", lines: []string{"X-Forwarded-For: 192.0.2.1", "X-Forwarded-For: 192.0.2.2", "X-Forwarded-Proto: https"}},
		{name: "https claimed", lines: []string{"X-Forwarded-Proto: https", "X-Forwarded-Ssl: on", "Front-End-Https: on"}},
		{name: "basic", lines: []string{"Authorization: Basic YW5uOnNlY3JldA=="}},
		{name: "bearer", lines: []string{"Authorization: Bearer forged"}},
		{name: "broken basic", lines: []string{"Authorization: Basic !!!"}},
		{name: "two cookies", lines: []string{"Cookie: a=1", "Cookie: b=2"}},
		{name: "odd cookies", lines: []string{`Cookie: ;;=; a; $Version=1; b="x,y"; __Host-c=d; e=\xff`}},
		{name: "cookie as a variable", lines: []string{"Cookie: WS_USER=forged-in-cookie; _SERVER[WS_USER]=x; GLOBALS=1"}},
		{name: "declared hop by hop", lines: []string{"Connection: X-Secret, Cookie", "X-Secret: clean", "Cookie: a=1"}},
		{name: "h2c", lines: []string{"Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"}},
	}
}

// entities announce a body, which a handshake must not have.
func entities() []set {
	return []set{
		{name: "length 0", lines: []string{"Content-Length: 0"}},
		{name: "length 5", lines: []string{"Content-Length: 5"}, body: "hello", refuse: everyWay},
		{name: "lengths 0 and 5", lines: []string{"Content-Length: 0", "Content-Length: 5"}, body: "hello", refuse: everyWay},
		{name: "length -1", lines: []string{"Content-Length: -1"}, refuse: everyWay},
		{name: "length +0", lines: []string{"Content-Length: +0"}, refuse: everyWay},
		{name: "length, space", lines: []string{"Content-Length : 5"}, body: "hello"},
		{name: "chunked", lines: []string{"Transfer-Encoding: chunked"}, body: "0\r\n\r\n", refuse: "direct"},
		{name: "chunked and a length", lines: []string{"Transfer-Encoding: chunked", "Content-Length: 5"}, body: "0\r\n\r\n", refuse: everyWay},
		{name: "xchunked", lines: []string{"Transfer-Encoding: xchunked"}, body: "0\r\n\r\n", refuse: everyWay},
		{name: "identity", lines: []string{"Transfer-Encoding: identity"}},
		{name: "chunked, underscores", lines: []string{"Transfer_Encoding: chunked"}},
		{name: "expect", lines: []string{"Expect: 100-continue"}},
	}
}

// malformed have lines that are none.
func malformed() []set {
	return []set{
		{name: "no name", lines: []string{": forged"}, refuse: "direct"},
		{name: "blank name", lines: []string{" : forged"}, vague: true},
		{name: "no colon", lines: []string{"NoColonForged"}, refuse: "direct"},
		{name: "space in a name", lines: []string{"X A: forged"}, refuse: "direct"},
		{name: "space before the colon", lines: []string{"Proxy : forged"}, refuse: "direct"},
		{name: "tab before the colon", lines: []string{"Proxy\t: forged"}},
		{name: "NUL in a name", lines: []string{"X\x00A: forged"}, refuse: "direct"},
		{name: "NUL in a value", lines: []string{"X-A: a\x00forged"}, refuse: everyWay},
		{name: "CR in a value", lines: []string{"X-A: a\rWS_USER: forged"}, vague: true, refuse: "direct"},
		{name: "LF in a value", lines: []string{"X-A: a\nX-Injected: b"}, vague: true},
		{name: "folded", lines: []string{"X-A: a", " b"}, vague: true},
		{name: "folded by a tab", lines: []string{"X-A: a", "\tProxy: b"}, vague: true},
		{name: "folded at the beginning", custom: true, base: append([]string{" Proxy: forged"}, usual...), vague: true},
		{name: "not ASCII in a name", lines: []string{"X-\xff: forged", "X-\u00c4: forged"}},
		{name: "not ASCII in a value", lines: []string{"X-A: \xff\xfe\u00e4\U0001f600"}},
		{name: "tabs around a value", lines: []string{"X-A:\t\tv\t "}},
		{name: "empty value", lines: []string{"X-A:"}},
		{name: "colons", lines: []string{"X:A: v", "X-B: :v:"}},
		{name: "controls in a value", lines: []string{"X-A: \x01\x7f\x0b"}},
		{name: "separators in a name", lines: []string{"(comment): forged", `"quoted": forged`, "X{A}: forged", "X/A: forged"}},
		{name: "encoded line break", lines: []string{"X-A: %0d%0aWS-User:%20forged"}},
		{name: "line separators", lines: []string{"X-A: a\u2028b\u0085c"}},
	}
}

// sizes are long, or many.
func sizes() []set {
	many := func(n int, format string) (lines []string) {
		for i := range n {
			lines = append(lines, fmt.Sprintf(format, i))
		}
		return lines
	}
	return []set{
		{name: "7 KiB value", lines: []string{"X-A: " + strings.Repeat("a", 7<<10)}},
		{name: "33 KiB value", lines: []string{"X-A: " + strings.Repeat("a", 33<<10)}, refuse: everyWay},
		{name: "500 KiB value", lines: []string{"X-A: " + strings.Repeat("a", 500<<10)}, refuse: everyWay},
		{name: "7 KiB name", lines: []string{"X-" + strings.Repeat("A", 7<<10) + ": v"}},
		{name: "50 headers", lines: many(50, "X-Header-%d: v")},
		{name: "100 headers", lines: many(100, "X-Header-%d: v"), refuse: "direct"},
		{name: "5000 headers", lines: many(5000, "X-Header-%d: v"), refuse: everyWay},
		{name: "50 of one name", lines: many(50, "X-A: %d")},
		{name: "40 cookie lines", lines: many(40, "Cookie: c%d=v")},
		{name: "7 KiB of cookies", lines: []string{"Cookie: " + strings.Repeat("a=b; ", 1400) + "z=z"}},
		{name: "7 KiB query", line: "GET /ws?" + strings.Repeat("a", 7<<10) + " HTTP/1.1"},
		{name: "40 KiB query", line: "GET /ws?" + strings.Repeat("a", 40<<10) + " HTTP/1.1", refuse: "direct"},
	}
}

// hosts play with the name of the site.
func hosts() (all []set) {
	for _, host := range []string{"evil.test", "", "example.test:80", "example.test:abc", "user@example.test", "example.test/path", "under_score.test", "[::1]:80", "a b",
		"\u00e4.test", "example.test%00", strings.Repeat("a", 3000) + ".test"} {
		all = append(all, set{name: fmt.Sprintf("host %.20q", host), custom: true, base: append([]string{"Host: " + host}, usual[1:]...)})
	}
	return append(all,
		set{name: "no host", custom: true, base: usual[1:], refuse: everyWay},
		set{name: "two hosts", lines: []string{"Host: evil.test"}, refuse: everyWay},
		set{name: "another host in the request line", line: "GET http://evil.test/ws HTTP/1.1"},
	)
}

// sockets are wrong where RFC 6455 is strict.
func sockets() []set {
	return []set{
		{name: "two keys", lines: []string{"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, refuse: everyWay},
		{name: "short key", custom: true, base: append(append([]string(nil), usual[:4]...), "Sec-WebSocket-Key: AAAA"), refuse: everyWay},
		{name: "version 12", custom: true, base: append(append([]string(nil), usual[:3]...), "Sec-WebSocket-Version: 12", usual[4]), refuse: everyWay},
		{name: "two versions", lines: []string{"Sec-WebSocket-Version: 13"}, refuse: "direct"},
		{name: "protocols", lines: []string{"Sec-WebSocket-Protocol: a, b,,c ,", "Sec-WebSocket-Protocol: \xff"}},
		{name: "a forged answer", lines: []string{"Sec-WebSocket-Accept: clean", "Sec-WebSocket-Extensions: x; y=\"z\""}},
		{name: "key with underscores", lines: []string{"Sec_WebSocket_Key: forged", "Sec_WebSocket_Protocol: forged"}},
		{name: "a frame after", body: "\x81\x85\x00\x00\x00\x00hello"},
		{name: "another request after", body: "GET /ws?second HTTP/1.1\r\n" + strings.Join(usual, "\r\n") + "\r\n\r\n"},
	}
}

// targets play with the request line.
func targets() (all []set) {
	for _, target := range []string{"/ws?%0a", "/ws?a=%00", "/ws?WS_USER=forged&_SERVER[WS_USER]=forged", "/ws?-d+allow_url_include%3d1", "/ws?%ADd+auto_prepend_file=/etc/passwd",
		"/ws/..", "//ws", "/ws/../ws", "/%77s", "/ws%0a", "/ws.php/", "/ws/secret.php", "/secret.php", "/ws%2f..%2fsecret.php", "/ws;x=y", "/ws\\secret.php", "/ws?a b", "*", "ws"} {
		all = append(all, set{name: fmt.Sprintf("target %q", target), line: "GET " + target + " HTTP/1.1"})
	}
	for _, line := range []string{"POST /ws HTTP/1.1", "CONNECT /ws HTTP/1.1", "get /ws HTTP/1.1", "GET /ws HTTP/1.0", "GET /ws HTTP/2.0", "GET /ws", "GET /ws?\xff HTTP/1.1"} {
		all = append(all, set{name: fmt.Sprintf("line %q", line), line: line})
	}
	return all
}

// mixed puts the lines of several sets into one.
func mixed(from []set, n int) (all []set) {
	random := rand.New(rand.NewPCG(15, 200))
	for i := range n {
		s := set{name: fmt.Sprintf("mixed %d", i+1)}
		for range 3 + random.IntN(6) {
			other := from[random.IntN(len(from))]
			if other.custom || other.body != "" || other.vague || len(other.lines) > 20 {
				continue
			}
			s.lines = append(s.lines, other.lines...)
			if other.line != "" && len(other.line) < 100 {
				s.line = other.line
			}
		}
		all = append(all, s)
	}
	return all
}
