package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
	"golang.org/x/sys/unix"

	"wsfpm/gateway/config"
)

// smallPipe is a pipe that holds one page.
func smallPipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	raw, err := w.SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) { _, err = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 4096) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

func gap(lines int64) []byte { return fmt.Appendf(nil, "gap %d\n", lines) }

func TestAFullLogDropsLinesAndReportsHowMany(t *testing.T) {
	const lines = 2000
	r, to := smallPipe(t)
	w := newLineWriter(to, 1024, gap)
	for i := range lines { // nothing reads: the last ones find no room
		if n, err := fmt.Fprintf(w, "line %d\n", i); err != nil || n == 0 {
			t.Fatalf("got %d, %v", n, err)
		}
	}
	dropped := w.Dropped()
	if dropped == 0 || dropped == lines {
		t.Errorf("%d of %d lines were dropped, want some", dropped, lines)
	}
	in, next, missing := bufio.NewScanner(r), int64(0), int64(0)
	for next < lines && in.Scan() {
		var n int64
		switch {
		case scan(in.Text(), "gap %d", &n):
			next, missing = next+n, missing+n
		case scan(in.Text(), "line %d", &n) && n == next:
			next++
		default:
			t.Fatalf("got %q, want line %d or a gap", in.Text(), next)
		}
	}
	if missing != dropped {
		t.Errorf("the log reports %d missing lines, %d were dropped", missing, dropped)
	}
	fmt.Fprintln(w, "after all")
	if in.Scan(); in.Text() != "after all" {
		t.Errorf("got %q, want what comes after the gap", in.Text())
	}
	w.Close(patience)
}

func scan(text, format string, n *int64) bool {
	_, err := fmt.Sscanf(text, format, n)
	return err == nil
}

func TestALogWithoutReaderLosesLinesOnly(t *testing.T) {
	r, to := smallPipe(t)
	r.Close()
	w := newLineWriter(to, 1024, gap)
	for i := range 10 {
		fmt.Fprintf(w, "line %d\n", i)
	}
	w.Close(patience)
	if got := w.Dropped(); got != 10 {
		t.Errorf("%d lines are counted as dropped, want 10", got)
	}
}

// brokenFile takes some bytes, then fails for a while.
type brokenFile struct {
	text  strings.Builder
	fails []int // bytes that the next failing writes take
}

func (f *brokenFile) Write(p []byte) (int, error) {
	if len(f.fails) == 0 {
		return f.text.Write(p)
	}
	n := f.fails[0]
	f.fails = f.fails[1:]
	f.text.Write(p[:n])
	return n, os.ErrDeadlineExceeded
}

func TestAFullDiskLeavesWholeLinesAndANotice(t *testing.T) {
	f := &brokenFile{fails: []int{4, 0}} // the line, and the notice
	w := &lineWriter{to: f, notice: gap}
	w.put([]byte("first\n"))
	w.report()
	w.put([]byte("second\n"))
	if got, want := f.text.String(), "firs\ngap 1\nsecond\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if w.Dropped() != 1 {
		t.Errorf("%d lines are counted as dropped, want 1", w.Dropped())
	}
}

func TestTheEndDoesNotWaitForTheReaderOfTheLog(t *testing.T) {
	r, to := smallPipe(t)
	w := newLineWriter(to, 1<<20, gap)
	for range 1000 {
		fmt.Fprintln(w, "nothing reads this")
	}
	w.Close(time.Millisecond)
	select {
	case <-w.done:
		t.Error("all was written to a pipe that nothing reads")
	default:
	}
	fmt.Fprintln(w, "too late") // is dropped
	r.Close()                   // ends the goroutine
	<-w.done
}

func TestTheNoticeOfDroppedLinesHasTheLogsForm(t *testing.T) {
	for _, format := range []string{"json", "console"} {
		r, to := smallPipe(t)
		journal, err := openJournal(config.Log{Level: "info", Format: format}, to)
		if err != nil {
			t.Fatal(err)
		}
		huge := zap.String("huge", strings.Repeat("x", logBuffer))
		journal.log.Info("too much", huge) // larger than the buffer
		line, err := bufio.NewReader(r).ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(line, "log lines were dropped") || !strings.Contains(line, `"lines":1`) && !strings.Contains(line, `"lines": 1`) || strings.HasPrefix(line, "{") != (format == "json") {
			t.Errorf("%s: got %q", format, line)
		}
		journal.Close()
	}
}
