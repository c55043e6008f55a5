package fcgi

import (
	"bufio"
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

// A record that has partly arrived when a deadline passes is not lost.
func TestStderrThatADeadlineCutsIsNotLost(t *testing.T) {
	const text = "PHP message: PHP Fatal error:  Uncaught Exception in x.php:1"
	synctest.Test(t, func(t *testing.T) {
		script := func(w *fcgitest.Writer, _ *fcgitest.Request) {
			record := append([]byte{1, fcgitest.Stderr, 0, 1, 0, byte(len(text)), 0, 0}, text...)
			w.Raw(record[:20])
			time.Sleep(2 * stallAfter)
			w.Raw(record[20:])
			w.Stdout("Status: 200 OK\r\n\r\nhello")
		}
		p := pipePool(t, script, fcgitest.Options{}, Config{MaxIdle: -1})
		for range 2 { // the first finds out about the probe
			resp, err := p.Do(context.Background(), &Request{Env: testEnv(t)})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := resp.ReadAll(); err != nil {
				t.Fatal(err)
			}
			if got, _ := resp.Stderr(); string(got) != text {
				t.Errorf("got %q, want %q", got, text)
			}
		}
	})
}

// stuttering reads its parts one by one, with a deadline between any two.
type stuttering struct{ parts []string }

func (s *stuttering) Read(b []byte) (int, error) {
	if len(s.parts) == 0 {
		return 0, io.EOF
	}
	part := s.parts[0]
	s.parts = s.parts[1:]
	if part == "" {
		return 0, os.ErrDeadlineExceeded
	}
	return copy(b, part), nil
}

func TestProbeReplyThatADeadlineCutsIsNotLost(t *testing.T) {
	d := decoder{r: bufio.NewReader(&stuttering{[]string{readyRecord[:12], "", readyRecord[12:]}})}
	if k, err := d.next(); !isTimeout(err) {
		t.Fatalf("got %d, %v, want the deadline", k, err)
	}
	if k, err := d.next(); k != gotReady || err != nil {
		t.Errorf("got %d, %v, want the probe's reply", k, err)
	}
}

func TestEndThatADeadlineCutsIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		script := func(w *fcgitest.Writer, _ *fcgitest.Request) {
			whole := fcgitest.Bytes("X: y\r\n\r\n" + strings.Repeat("x", 8))
			w.Raw(whole[:len(whole)-8])
			time.Sleep(300 * time.Millisecond)
			w.Raw(whole[len(whole)-8:])
			w.Ended()
		}
		p := pipePool(t, script, fcgitest.Options{}, Config{MaxConnections: 1})
		_, _, err := call(p, &Request{Env: testEnv(t), Timeout: 100 * time.Millisecond})
		wantError(t, err, ErrTimeout, PhaseBody, SentYes)
		start := time.Now()
		eventually(t, "the slot free again", func() bool { return p.Stats().Settling == 0 })
		if took := time.Since(start); took > 2*time.Second || p.Stats().SettleTimeouts != 0 {
			t.Errorf("the slot was held for %v", took)
		}
	})
}
