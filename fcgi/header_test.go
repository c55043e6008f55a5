package fcgi

import (
	"reflect"
	"strings"
	"testing"
)

func TestHeaderBlocks(t *testing.T) {
	for _, c := range []struct {
		block  string
		status int
		header Header
	}{
		{"Content-Type: text/html\r\n\r\n", 200, Header{{"Content-Type", "text/html"}}},
		{"Content-Type:text/html\n\n", 200, Header{{"Content-Type", "text/html"}}},
		{"status: 404 Not Found\r\nX-A: \t1 \r\n\r\n", 404, Header{{"X-A", "1"}}},
		{"STATUS: 201\n\r\n", 201, Header{}},
		{"Set-Cookie: a=1\r\nSet-Cookie: b=2\r\nEmpty:\r\n\r\n", 200,
			Header{{"Set-Cookie", "a=1"}, {"Set-Cookie", "b=2"}, {"Empty", ""}}},
		{"Location: http://x/?a:b\r\n\r\n", 200, Header{{"Location", "http://x/?a:b"}}},
	} {
		if end := headerEnd([]byte(c.block), 0); end != len(c.block) {
			t.Errorf("%q: end at %d, want %d", c.block, end, len(c.block))
		}
		status, header, err := parseHeader(Header{}, c.block)
		if status != c.status || !reflect.DeepEqual(header, c.header) || err != nil {
			t.Errorf("%q: got %d %q %v, want %d %q", c.block, status, header, err, c.status, c.header)
		}
	}
}

func TestHeaderBlocksThatAreNone(t *testing.T) {
	for _, block := range []string{
		"\r\n", "\n", "no colon\r\n\r\n", ": no name\r\n\r\n", "a b: c\r\n\r\n", " folded: x\r\n\r\n",
		"Status: OK\r\n\r\n", "Status: 99\r\n\r\n", "Status: 2000\r\n\r\n", "Status:\r\n\r\n", "Status: 0404\r\n\r\n",
		"Status: 200\r\nStatus: 500\r\n\r\n", "X: a\x00b\r\n\r\n", "X: a\rb\r\n\r\n",
	} {
		if status, header, err := parseHeader(nil, block); err == nil {
			t.Errorf("%q: got %d %q, want an error", block, status, header)
		}
	}
}

func TestBlankLineAtOnceEndsTheBlock(t *testing.T) {
	for block, want := range map[string]int{"\n": 1, "\r\n": 2, "\r\nX: y\r\n\r\n": 2, "\n\nX: y\n\n": 1, "\r": 0, "": 0} {
		if got := headerEnd([]byte(block), 0); got != want {
			t.Errorf("%q: end at %d, want %d", block, got, want)
		}
	}
}

func TestHeaderNamesInAnyCase(t *testing.T) {
	h := Header{{"WS-Join", "a"}, {"x", "1"}, {"ws-join", "b"}}
	if got := h.Get("Ws-JOIN"); got != "a" {
		t.Errorf("got %q, want a", got)
	}
	if got := h.Values("WS-JOIN"); !reflect.DeepEqual(got, []string{"a", "b"}) {
		t.Errorf("got %q, want a and b", got)
	}
	if got := h.Get("absent"); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
}

// FuzzHeader checks that the end of a block is found in the same place however the
// block arrives, and that nothing in it escapes the rules.
func FuzzHeader(f *testing.F) {
	f.Add("Status: 200 OK\r\nA: b\r\n\r\nbody", 3)
	f.Add("\n\r\n\r\n", 1)
	f.Add("a:b\n\r", 4)
	f.Fuzz(func(t *testing.T, in string, step int) {
		end := headerEnd([]byte(in), 0)
		step = max(1, step)
		found := 0
		for seen := 0; seen < len(in) && found == 0; {
			n := min(len(in), seen+min(step, len(in)))
			found = headerEnd([]byte(in[:n]), seen)
			seen = n
		}
		if found != end {
			t.Fatalf("end at %d in one piece, at %d in pieces of %d", end, found, step)
		}
		status, header, err := parseHeader(nil, in[:end])
		if err != nil {
			return
		}
		if status < 100 || status > 999 {
			t.Fatalf("status %d", status)
		}
		for _, field := range header {
			if field.Name == "" || strings.ContainsAny(field.Name+field.Value, "\r\n\x00") || strings.EqualFold(field.Name, "Status") {
				t.Fatalf("field %q", field)
			}
		}
	})
}
