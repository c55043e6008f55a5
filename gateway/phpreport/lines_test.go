package phpreport

import (
	"bytes"
	"strings"
	"testing"
)

func TestLinesHoldBackWhatMayBeAReport(t *testing.T) {
	l := Lines{Script: site, Look: true}
	for _, step := range []struct {
		chunk, want string
		last, fails bool
	}{
		{chunk: "one\nt", want: "one\n"},
		{chunk: "wo\n\nFatal error: a\nb\n", want: "two\n\n"},
		{chunk: "", want: "Fatal error: a\nb\n"}, // a client's
		{chunk: "\nFatal error: c\n", want: "\n"},
		{chunk: "d\n", want: "Fatal error: c\nd\n"},
		{chunk: "\nFatal error: Uncaught Exception: secret\n", want: "\n"},
		{chunk: "more in /srv/app/a.php:3\n", want: "", fails: true},
	} {
		got, report := l.Add([]byte(step.chunk), step.last)
		if string(got) != step.want || (report != "") != step.fails {
			t.Errorf("chunk %q: got %q, %q, want %q", step.chunk, got, report, step.want)
		}
	}
}

// BenchmarkLongLine is one line of a stream, as it comes from PHP-FPM. Its time
// for each byte is the same whatever the length.
func BenchmarkLongLine(b *testing.B) {
	chunk := bytes.Repeat([]byte("x"), 16<<10)
	for _, size := range []int{1 << 20, 16 << 20} {
		b.Run(map[int]string{1 << 20: "1MiB", 16 << 20: "16MiB"}[size], func(b *testing.B) {
			b.SetBytes(int64(size))
			for b.Loop() {
				l := Lines{Script: site, Look: true}
				for sent := 0; sent < size; sent += len(chunk) {
					_, _ = l.Add(chunk, false)
				}
				_, _ = l.Add(nil, true)
			}
		})
	}
}

// BenchmarkFind looks at an answer in which nothing is wrong.
func BenchmarkFind(b *testing.B) {
	body := []byte(strings.Repeat(`{"id":17,"text":"hello there","error":null}`, 1<<10))
	for name, connect := range map[string]bool{"connect": true, "message": false} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				Find(site, connect, nil, body)
			}
		})
	}
}
