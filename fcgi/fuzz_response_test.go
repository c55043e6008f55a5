package fcgi

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"wsfpm/test/fcgitest"
)

// plainAnswer is a second, plain reading of an answer's bytes: its body, and
// whether it is complete and in order. It takes header blocks as they come.
func plainAnswer(in []byte) (body string, ok bool) {
	var stdout []byte
	for len(in) >= 8 && in[0] == 1 {
		kind, id := in[1], binary.BigEndian.Uint16(in[2:])
		length, padding := int(binary.BigEndian.Uint16(in[4:])), int(in[6])
		if len(in) < 8+length+padding {
			return "", false
		}
		content := in[8 : 8+length]
		in = in[8+length+padding:]
		switch {
		case kind == 6 && id == 1:
			stdout = append(stdout, content...)
		case kind == 3 && id == 1:
			end := headerEnd(stdout, 0)
			return string(stdout[end:]), end > 0 && length == 8 && content[4] == 0
		}
	}
	return "", false
}

// FuzzResponse answers a request with any bytes and hangs up: only a whole
// answer is ever taken for one, and with its own body.
func FuzzResponse(f *testing.F) {
	whole := fcgitest.Bytes("Status: 201 Created\r\nContent-Type: text/plain\r\n\r\nhello")
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add(fcgitest.Bytes("Content-Length: 4\r\n\r\nhello"))
	f.Add([]byte(record(7, 1, "PHP Warning: x") + record(6, 1, "A: b\n") + record(6, 1, "\nbody") + completeEnd))
	f.Add([]byte(record(6, 1, "A: b\r\n\r\nx") + record(3, 1, "\x00\x00\x00\x00\x02\x00\x00\x00")))
	f.Add([]byte(record(6, 1, "A: b\r\n\r\nx") + record(6, 2, "y") + completeEnd))
	f.Add([]byte(completeEnd))
	var answer atomic.Pointer[[]byte]
	s := serve(f, func(w *fcgitest.Writer, r *fcgitest.Request) { raw(*answer.Load())(w, r) }, fcgitest.Options{})
	p := poolFor(f, s, Config{MaxIdle: -1})
	f.Fuzz(func(t *testing.T, in []byte) {
		answer.Store(&in)
		status, body, err := call(p, &Request{Env: testEnv(t)})
		if err != nil {
			if body != "" {
				t.Fatalf("%v, and the body %q", err, body)
			}
			return
		}
		want, ok := plainAnswer(in)
		if !ok || body != want || status < 100 || status > 999 {
			t.Fatalf("got %d %q, want %q, whole %v", status, body, want, ok)
		}
	})
}

// FuzzStderr keeps the end of any text within its limit.
func FuzzStderr(f *testing.F) {
	f.Add([]byte("PHP Fatal error: x"), 3, 10)
	f.Fuzz(func(t *testing.T, in []byte, step, limit int) {
		step, limit = 1+abs(step)%100, abs(limit)%1000
		kept := boundedText{limit: limit}
		for rest := in; len(rest) > 0; rest = rest[min(step, len(rest)):] {
			kept.add(rest[:min(step, len(rest))])
		}
		kept.cut()
		if !bytes.HasSuffix(in, kept.text) || len(kept.text) != min(len(in), limit) || len(kept.text)+kept.dropped != len(in) {
			t.Fatalf("kept %d and dropped %d of %d, limit %d", len(kept.text), kept.dropped, len(in), limit)
		}
	})
}

func abs(n int) int { return max(n, -(n + 1)) }

// FuzzWebPath finds files of --web by any path: never a hidden one, nor one
// outside of the folder.
func FuzzWebPath(f *testing.F) {
	for _, path := range []string{"/", "/a.txt", "/../secret", "/.env", "/app/", "/app", "/app/index.php/x", "/a.txt\x00", `/app\index.php`, "//a.txt", "/app/..", "/app/./index.php"} {
		f.Add(path)
	}
	files := fstest.MapFS{"index.html": {}, "a.txt": {}, ".env": {}, "app/index.php": {}, "app/.git/config": {}, "empty/b": {}}
	f.Fuzz(func(t *testing.T, path string) {
		name, err := find(files, path)
		if err != nil {
			return
		}
		if files[name] == nil || !fs.ValidPath(name) || strings.HasPrefix(name, ".") || strings.Contains(name, "/.") || !strings.HasPrefix(path, "/") {
			t.Fatalf("path %s finds %q", strconv.Quote(path), name)
		}
	})
}
