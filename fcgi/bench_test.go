package fcgi

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"wsfpm/test/fcgitest"
)

// cannedServer gives every request the same answer and allocates nothing, so that
// a benchmark counts what the client costs. It must be given the request.
func cannedServer(b testing.TB, r *Request) Config {
	b.Helper()
	out, buf := encode(nil, r, true, false)
	if out != nil {
		b.Fatal("request too large for the canned server")
	}
	answer := append(fcgitest.Bytes("Content-Type: text/plain\r\nX-Powered-By: PHP/8.2.35\r\n\r\n"+
		strings.Repeat("x", 64)), readyRecord...)
	l, err := net.Listen("unix", filepath.Join(b.TempDir(), "sock"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go serveCanned(c, len(buf), answer)
		}
	}()
	return Config{Address: l.Addr().String()}
}

func serveCanned(c net.Conn, size int, answer []byte) {
	defer c.Close()
	in := make([]byte, size)
	if _, err := io.ReadFull(c, in[:len(probe)]); err != nil {
		return
	}
	c.Write([]byte(readyRecord))
	for {
		if _, err := io.ReadFull(c, in); err != nil {
			return
		}
		c.Write(answer)
	}
}

func roundTrip(t testing.TB, ctx context.Context, p *Pool, r *Request) {
	resp, err := p.Do(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	if body, err := resp.ReadAll(); err != nil || len(body) != 64 {
		t.Fatal(len(body), err)
	}
}

func benchmarkRoundTrip(b *testing.B, ctx context.Context, r *Request) {
	r.Env = testEnv(b)
	p := newTestPool(b, cannedServer(b, r))
	roundTrip(b, ctx, p, r)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, ctx, p, r)
	}
}

func TestSmallAnswerCostsThreeAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	r := &Request{Env: testEnv(t), Body: []byte("hello"), Owner: "42"}
	p := newTestPool(t, cannedServer(t, r))
	roundTrip(t, context.Background(), p, r)
	if n := testing.AllocsPerRun(500, func() { roundTrip(t, context.Background(), p, r) }); n > 3 {
		t.Errorf("%v allocations per request, want at most 3", n)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	benchmarkRoundTrip(b, context.Background(), &Request{Body: []byte(strings.Repeat("x", 64))})
}

func BenchmarkRoundTripWithOwner(b *testing.B) {
	benchmarkRoundTrip(b, context.Background(), &Request{Owner: "42", Body: []byte(strings.Repeat("x", 64))})
}

func BenchmarkRoundTripCancelable(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	benchmarkRoundTrip(b, ctx, &Request{Body: []byte(strings.Repeat("x", 64))})
}

func BenchmarkEncode(b *testing.B) {
	r := &Request{Env: testEnv(b), Body: make([]byte, 64), Vars: []Var{
		{"WS_EVENT", "message"}, {"WS_OPCODE", "text"}, {"WS_SEQ", "123"}, {"WS_REQUEST_ID", "web1-a1b2c3-0001-123"}}}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		_, buf = encode(buf, r, true, false)
	}
}

func BenchmarkDecode(b *testing.B) {
	wire := append(fcgitest.Bytes("Content-Type: text/plain\r\n\r\n"+strings.Repeat("x", 64)), readyRecord...)
	source := bytes.NewReader(wire)
	in := bufio.NewReaderSize(source, readBuffer)
	b.ReportAllocs()
	b.SetBytes(int64(len(wire)))
	for b.Loop() {
		source.Reset(wire)
		in.Reset(source)
		c := &conn{dec: decoder{r: in}}
		block, err := c.gatherHeader(1<<16, &boundedText{})
		if err != nil || len(block) == 0 {
			b.Fatal(err)
		}
		for err = c.nextStdout(nil); err == nil; err = c.nextStdout(nil) {
			c.dec.skip(c.dec.left)
		}
		if k, err := c.dec.next(); k != gotReady || err != nil {
			b.Fatal(k, err)
		}
	}
}
