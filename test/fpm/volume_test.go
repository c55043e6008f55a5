package fpm

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// pings sends a ping once a second until the test ends. Pings that are answered late
// are no fault, ends of the connection are: those the test sees itself.
func (m *member) pings(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); <-done })
	go func() {
		defer close(done)
		for tick := time.NewTicker(time.Second); ; {
			select {
			case <-ctx.Done():
				tick.Stop()
				return
			case <-tick.C:
				go m.Conn.Ping(ctx)
			}
		}
	}()
}

func TestABurstUnderTheDefaultRateIsHandledInOrder(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{})
	w := start(t, setup{fpm: fpm, limits: "ping_interval = \"1s\"\npong_timeout = \"2s\""}, "5.limit-rate", "2.promise-slow", "2.promise-backlog")
	m := w.join("")
	m.pings(t)
	for range 200 {
		m.ask("hello")
	}
	began := time.Now()
	crowd{m}.allAnswered(t, "in a burst")
	if took := time.Since(began); took < 15*time.Second {
		t.Errorf("200 messages took %v, want 17s or so: 30 at once and 10 a second", took)
	}
	crowd{m}.leave(t)
}

func TestWhatWasSentBeforeACloseIsHandled(t *testing.T) {
	fpm := stack.FPM(t, stack.FPMOptions{})
	w := start(t, setup{fpm: fpm, limits: "ping_interval = \"25s\""}, "2.promise-close")
	m := w.join("")
	m.Send("sleep 100")
	m.Send("hello")
	m.Raw(stack.ClientFrame(0x88, []byte{0x03, 0xe8}))
	stack.Wait(t, "the disconnect", func() bool { return len(w.ledger.begun(m.id, "disconnect")) == 1 })
	equal(t, "messages handled", len(w.ledger.begun(m.id, "message")), 2)
	equal(t, "WS_CLOSE_CODE", w.ledger.begun(m.id, "disconnect")[0].code, "1000")
	w.ledger.check()
}

const large = 16 << 20

// largePHP answers a message with 16 MiB, or reports the size and hash of the message.
var largePHP = map[string]string{"large.php": `
	require __DIR__ . '/event.php';
	if ($_SERVER['WS_EVENT'] === 'disconnect') file_put_contents(__DIR__ . '/code', $_SERVER['WS_CLOSE_CODE']);
	if ($_SERVER['WS_EVENT'] !== 'message') exit;
	$in = file_get_contents('php://input');
	if ($in === 'give') {
		header('Content-Type: application/octet-stream');
		exit(str_repeat('0123456789abcdef', 1 << 20));
	}
	echo strlen($in), ' ', crc32($in) === crc32(str_repeat('x', strlen($in))) ? 'whole' : 'damaged';`}

func startLarge(t *testing.T, limits string, rows ...string) *world {
	t.Helper()
	fpm := stack.FPM(t, stack.FPMOptions{Ini: map[string]string{"post_max_size": "32M", "memory_limit": "256M"}})
	return start(t, setup{fpm: fpm, scripts: largePHP, limits: limits, route: `message_limit = "16MiB"`}, rows...)
}

func TestALargeMessageArrivesWhole(t *testing.T) {
	w := startLarge(t, "", "5.message-limit", "1.message-whole")
	c := stack.Dial(t, w.URL+"/large.php", stack.DialOptions{})
	for range 2 {
		c.Send(strings.Repeat("x", large))
		c.Expect("16777216 whole")
	}
	c.Send(strings.Repeat("x", large+1))
	c.ExpectClose(1009)
}

// slowReader is a client by hand that has asked for 16 MiB and takes them as
// slowly as the test likes: the kernel holds little of it.
func slowReader(t *testing.T, w *world) net.Conn {
	t.Helper()
	conn := stack.RawDial(t, w.Listen, "/large.php")
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write(stack.ClientFrame(0x81, []byte("give"))); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestASlowReaderGetsALargeReplyWhole(t *testing.T) {
	w := startLarge(t, "write_timeout = \"1s\"\nping_interval = \"0s\"", "5.limit-queue", "5.write-timeout")
	conn := slowReader(t, w)
	conn.SetReadDeadline(time.Now().Add(3 * stack.Patience))
	var head [10]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		t.Fatal(err)
	}
	equal(t, "first byte", head[0], 0x82)
	equal(t, "length", binary.BigEndian.Uint64(head[2:]), large)
	began := time.Now()
	piece := make([]byte, 64<<10)
	want := bytes.Repeat([]byte("0123456789abcdef"), len(piece)/16)
	tick := time.NewTicker(12 * time.Millisecond) // in all, three times write_timeout
	defer tick.Stop()
	for range large / len(piece) {
		<-tick.C
		if _, err := io.ReadFull(conn, piece); err != nil {
			t.Fatalf("read on after %v: %v", time.Since(began), err)
		}
		if !bytes.Equal(piece, want) {
			t.Fatal("the reply is damaged")
		}
	}
	if took := time.Since(began); took < 2*time.Second {
		t.Errorf("the reply took %v, want longer than write_timeout", took)
	}
	equal(t, "slow readers closed", w.Metric(t, "wsfpm_slow_readers_total"), 0)
}

func TestAClientThatStopsReadingIsClosed(t *testing.T) {
	w := startLarge(t, "write_timeout = \"500ms\"\nping_interval = \"0s\"", "5.write-timeout", "2.close-codes-own")
	conn := slowReader(t, w)
	if _, err := io.ReadFull(conn, make([]byte, 1<<20)); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	stack.Wait(t, "the disconnect", func() bool { return w.read("code") != "" })
	equal(t, "WS_CLOSE_CODE", w.read("code"), "4408")
	if took := time.Since(stopped); took < 400*time.Millisecond || took > stack.Bound(3*time.Second) {
		t.Errorf("closed after %v, want about 500ms", took)
	}
	equal(t, "connections", w.Metric(t, "wsfpm_connections"), 0)
}
