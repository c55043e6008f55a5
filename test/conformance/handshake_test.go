package conformance

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// key is the handshake's line with the key of good.
const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// without is a good handshake with one of its lines replaced.
func without(line, instead string) string {
	request := good("/echo")
	if !strings.Contains(request, line) {
		panic("the handshake has no line " + line)
	}
	return strings.Replace(request, line, instead, 1) + "\r\n"
}

// with is a good handshake with more lines.
func with(lines ...string) string { return good("/echo", lines...) + "\r\n" }

// handshake is a request and the statuses that may answer it.
type handshake struct {
	name     string
	request  string
	statuses []int
}

// malformed are handshakes that must be refused (RFC 6455, 4.2.1 and 4.2.2),
// each with a status and never with 101.
func malformed() []handshake {
	const version, upgrade, connection, host = "Sec-WebSocket-Version: 13\r\n", "Upgrade: websocket\r\n", "Connection: Upgrade\r\n", "Host: gateway.test\r\n"
	of := func(name, request string, statuses ...int) handshake { return handshake{name, request, statuses} }
	return []handshake{
		of("no key", without(key, ""), 400),
		of("key twice", with(strings.TrimSpace(key)), 400),
		of("two keys in one line", without(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
		of("empty key", without(key, "Sec-WebSocket-Key:\r\n"), 400),
		of("key of 15 bytes", without(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j\r\n"), 400),
		of("key of 17 bytes", without(key, "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZWU=\r\n"), 400),
		of("key not in base64", without(key, "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!==\r\n"), 400),
		of("version 12", without(version, "Sec-WebSocket-Version: 12\r\n"), 426),
		of("version 8", without(version, "Sec-WebSocket-Version: 8\r\n"), 426),
		of("no version", without(version, ""), 400, 426),
		of("version with a sign", without(version, "Sec-WebSocket-Version: +13\r\n"), 400, 426),
		of("two versions in one line", without(version, "Sec-WebSocket-Version: 13, 8\r\n"), 400, 426),
		of("version twice", with("Sec-WebSocket-Version: 8"), 400, 426),
		of("no Upgrade", without(upgrade, ""), 426),
		of("Upgrade: h2c", without(upgrade, "Upgrade: h2c\r\n"), 426),
		of("Upgrade: websocket2", without(upgrade, "Upgrade: websocket2\r\n"), 426),
		of("no Connection", without(connection, ""), 426),
		of("Connection: close", without(connection, "Connection: close\r\n"), 426),
		of("Connection names another header", without(connection, "Connection: Upgraded\r\n"), 426),
		of("no Host", without(host, ""), 400),
		of("Host twice", with("Host: other.test"), 400),
		of("POST", without("GET /echo", "POST /echo"), 405),
		of("HEAD", without("GET /echo", "HEAD /echo"), 405),
		of("CONNECT", without("GET /echo", "CONNECT gateway.test:80"), 400, 404, 405),
		of("HTTP/1.0", without("HTTP/1.1", "HTTP/1.0"), 400, 426, 505),
		of("HTTP/2.0", without("HTTP/1.1", "HTTP/2.0"), 400, 426, 505),
		of("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 404, 426, 505),
		of("no HTTP at all", "\x05\x02\x00\x01\x00\x01\xfc\r\n\r\n", 400),
		of("another origin", with("Origin: https://elsewhere.test"), 403),
		of("origin null", with("Origin: null"), 403),
		of("two origins", with("Origin: http://gateway.test", "Origin: https://elsewhere.test"), 400, 403),
		of("NUL in a value", with("X-A: a\x00b"), 400),
		of("CR in a value", with("X-A: a\rb"), 400),
		of("space in a name", with("X A: b"), 400),
		of("space after a name", with("X-A : b"), 400),
		of("line without a colon", with("X-A"), 400),
		of("headers of 64 KiB", with("X-A: "+strings.Repeat("a", 64*kib)), 431),
		of("64 KiB in many headers", with(slices.Repeat([]string{"X-A: " + strings.Repeat("a", kib)}, 64)...), 431),
		of("no route", strings.Replace(with(), "/echo", "/elsewhere", 1), 404),
		of("path that leads out", strings.Replace(with(), "/echo", "/../echo", 1), 400, 404, 426),
	}
}

func TestMalformedHandshakesAreRefused(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, h := range malformed() {
			t.Run(h.name, func(t *testing.T) { h.refused(t, at) })
		}
		if r := echo(text, 10, 0).run(at.open(t, "/echo")); r.verdict != ok {
			t.Errorf("afterwards: %v: %s", r.verdict, r.why)
		}
	})
}

// refused plays a handshake that must not be accepted, and looks at all that
// the server has to say to it.
func (h handshake) refused(t *testing.T, at *target) {
	c := at.connect(t)
	_ = c.send([]byte(h.request)) // the server may have enough before its end
	resp, err := c.answer()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(h.statuses, resp.StatusCode) {
		t.Fatalf("got %d, want one of %v", resp.StatusCode, h.statuses)
	}
	if resp.StatusCode == http.StatusUpgradeRequired && !strings.EqualFold(resp.Header.Get("Upgrade"), "websocket") {
		t.Errorf("426 without Upgrade: websocket (RFC 9110, 15.5.22)")
	}
	if h.name == "version 12" && resp.Header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("the answer does not name version 13 (RFC 6455, 4.4)")
	}
	if rest, _ := io.ReadAll(c.in); bytes.Contains(rest, []byte(" 101 ")) { // a reset ends it as well
		t.Errorf("101 after the refusal: %.200q", rest)
	}
}

// unusual are handshakes that are good, or may be taken for good, although
// browsers do not send them.
func unusual() []handshake {
	of := func(name, request string, statuses ...int) handshake { return handshake{name, request, statuses} }
	lower := strings.Replace(strings.ToLower(with()), strings.ToLower(key), strings.ToLower(key[:18])+key[18:], 1)
	lower = strings.NewReplacer("get /echo http/1.1", "GET /echo HTTP/1.1", "upgrade: websocket", "upgrade: WEBSOCKET").Replace(lower)
	return []handshake{
		of("lower case", lower, 101),
		of("Connection as a list", without("Connection: Upgrade", "Connection: keep-alive, Upgrade"), 101),
		of("Connection in two lines", with("Connection: keep-alive"), 101),
		of("blanks around values", without("Upgrade: websocket", "Upgrade: \t websocket \t"), 101),
		of("own origin", with("Origin: http://gateway.test"), 101),
		of("query", strings.Replace(with(), "/echo", "/echo?", 1), 101),
		of("absolute URL", strings.Replace(with(), "/echo", "http://gateway.test/echo", 1), 101),
		of("unknown extension", with("Sec-WebSocket-Extensions: x-unknown; a=1, x-other"), 101),
		of("subprotocol that is not agreed", with("Sec-WebSocket-Protocol: a, b"), 101),
		of("empty line before", "\r\n"+with(), 101, 400),
		of("LF only", strings.ReplaceAll(with(), "\r\n", "\n"), 101, 400),
		of("1,000 headers", with(slices.Repeat([]string{"X-A: b"}, 1000)...), 101, 431),
		of("continued line", with("X-A: b\r\n c"), 101, 400),
	}
}

func TestUnusualHandshakesWork(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, h := range unusual() {
			t.Run(h.name, func(t *testing.T) { h.worksOrNot(t, at, 0) })
			if len(h.statuses) == 1 { // else the server may have enough before the end
				t.Run(h.name+", byte for byte", func(t *testing.T) { h.worksOrNot(t, at, 1) })
			}
		}
	})
}

// worksOrNot plays a handshake and, when it is accepted, an echo.
func (h handshake) worksOrNot(t *testing.T, at *target, chop int) {
	c := at.connect(t)
	if err := c.write(step{send: []byte(h.request), chop: chop}); err != nil {
		t.Fatal(err)
	}
	resp, err := c.answer()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(h.statuses, resp.StatusCode) {
		t.Fatalf("got %d, want one of %v", resp.StatusCode, h.statuses)
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return
	}
	for _, name := range []string{"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Content-Length", "Transfer-Encoding"} {
		if v := resp.Header.Values(name); len(v) > 0 {
			t.Errorf("the 101 has %s: %q", name, v)
		}
	}
	if r := echo(text, 10, 0).run(c); r.verdict != ok {
		t.Errorf("%v: %s", r.verdict, r.why)
	}
}

// TestFramesBehindTheHandshakeAreNotLost sends the first frames in the packet
// of the handshake, fewer and more than any buffer of the server holds.
func TestFramesBehindTheHandshakeAreNotLost(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, n := range []int{0, 10, 3 * kib, 5 * kib, 100 * kib} {
			c := at.connect(t)
			s := echo(binaryData, n, 0)
			first := s.steps[0].send
			s.steps[0].send = nil
			if err := c.send(slices.Concat([]byte(with()), first)); err != nil {
				t.Fatal(err)
			}
			if resp, err := c.answer(); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%d bytes: got %v, %v, want 101", n, resp, err)
			}
			if r := s.run(c); r.verdict != ok {
				t.Errorf("%d bytes: %v: %s", n, r.verdict, r.why)
			}
		}
	})
}

// TestHandshakeIsAnsweredOnce sends a second handshake after the first: by
// then it is no HTTP any more, but a frame that breaks the rules.
func TestHandshakeIsAnsweredOnce(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		c := at.connect(t)
		if err := c.send([]byte(with() + with())); err != nil {
			t.Fatal(err)
		}
		all, err := io.ReadAll(c.in)
		if err != nil {
			t.Fatal(err)
		}
		head, frames, _ := strings.Cut(string(all), "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 101 ") || strings.Contains(frames, "HTTP/1.1") {
			t.Fatalf("got %q, want one 101", all)
		}
		if want := "\x88"; !strings.HasPrefix(frames, want) || !strings.Contains(frames, closePayload(1002, "")) {
			t.Errorf("got %q after the 101, want a Close frame with 1002", frames)
		}
	})
}

// TestHandshakeWithABody has a body that could be taken for frames.
func TestHandshakeWithABody(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		smuggled := string(frame(fin|text, "smuggled"))
		for _, h := range []string{
			with(fmt.Sprintf("Content-Length: %d", len(smuggled))) + smuggled,
			with("Transfer-Encoding: chunked") + fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(smuggled), smuggled),
		} {
			c := at.connect(t)
			if err := c.send([]byte(h)); err != nil {
				t.Fatal(err)
			}
			resp, err := c.answer()
			if err != nil || resp.StatusCode != http.StatusBadRequest {
				t.Errorf("got %v, %v, want 400", resp, err)
			}
		}
	})
}

// TestNothingIsSaidBeforeConnectIsAnswered holds the connect event back.
func TestNothingIsSaidBeforeConnectIsAnswered(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		c := at.connect(t)
		if err := c.send(slices.Concat([]byte(strings.Replace(with(), "/echo", "/echo?gate", 1)), frame(fin|text, "early"))); err != nil {
			t.Fatal(err)
		}
		c.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if b, err := c.in.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("got %q, %v before the script has answered", b, err)
		}
		c.SetReadDeadline(time.Now().Add(patience))
		if err := os.WriteFile(filepath.Join(at.state, "gate"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		if resp, err := c.answer(); err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("got %v, %v, want 101", resp, err)
		}
		if r := (script{want: []item{{text, "early"}}}).run(c); r.verdict != ok {
			t.Errorf("%v: %s", r.verdict, r.why)
		}
	})
}

// TestSlowHandshakeIsCutOff gives the handshake's lines one by one.
func TestSlowHandshakeIsCutOff(t *testing.T) {
	forEachTarget(t, brisk, func(t *testing.T, at *target) {
		c := at.connect(t)
		pace := time.NewTicker(20 * time.Millisecond)
		defer pace.Stop()
		start := time.Now()
		for _, b := range []byte(with("X-A: " + strings.Repeat("a", 4*kib))) {
			<-pace.C
			if c.send([]byte{b}) != nil {
				break
			}
			if time.Since(start) > patience {
				t.Fatal("the server still listens")
			}
		}
		if all, _ := io.ReadAll(c.in); bytes.Contains(all, []byte(" 101 ")) { // a reset ends it as well
			t.Errorf("got %q", all)
		}
	})
}
