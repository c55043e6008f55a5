package ws

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsfpm/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// hijacked is a ResponseWriter whose connection is the one given. What is
// written before the takeover is thrown away.
type hijacked struct {
	header http.Header
	conn   net.Conn
	early  []byte // the client sent it behind its handshake
}

func (h *hijacked) Header() http.Header         { return h.header }
func (h *hijacked) WriteHeader(int)             {}
func (h *hijacked) Write(p []byte) (int, error) { return len(p), nil }

func (h *hijacked) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	r := bufio.NewReader(io.MultiReader(bytes.NewReader(h.early), h.conn))
	if len(h.early) > 0 {
		r.Peek(len(h.early))
	}
	return h.conn, bufio.NewReadWriter(r, bufio.NewWriter(h.conn)), nil
}

// handshake is a good request.
func handshake() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	return r
}

// upgraded makes a connection over the given socket.
func upgraded(t testing.TB, server net.Conn, l Limits) *Conn {
	t.Helper()
	return upgradedOf(t, NewShared(0), server, l)
}

// upgradedOf is upgraded for one of several connections.
func upgradedOf(t testing.TB, s *Shared, server net.Conn, l Limits) *Conn {
	t.Helper()
	c := New(&l, s)
	if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.CloseNow(); s.Wheel.Stop() })
	return c
}

// sockets is a connected pair: the server's side, the client's side.
func sockets(t testing.TB, network string) (server, client net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = filepath.Join(t.TempDir(), "s")
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial(network, l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err = l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); server.Close() })
	return server, client
}

// pair is a connection and its client over a socket.
func pair(t testing.TB, network string, l Limits) (*Conn, *peer) {
	t.Helper()
	return pairOf(t, NewShared(0), network, l)
}

// pairOf is pair for one of several connections.
func pairOf(t testing.TB, s *Shared, network string, l Limits) (*Conn, *peer) {
	t.Helper()
	server, client := sockets(t, network)
	return upgradedOf(t, s, server, l), newPeer(client)
}

// peer is a client that speaks in frames.
type peer struct {
	net.Conn
	r *bufio.Reader
}

func newPeer(c net.Conn) *peer { return &peer{c, bufio.NewReaderSize(c, 64<<10)} }

// frame is a frame as a server sends it.
type frame struct {
	first   byte
	payload []byte
}

// frame reads the next frame.
func (p *peer) frame() (frame, error) {
	var head [2]byte
	if _, err := io.ReadFull(p.r, head[:]); err != nil {
		return frame{}, err
	}
	n := int(head[1])
	var long [8]byte
	switch n {
	case 126:
		if _, err := io.ReadFull(p.r, long[:2]); err != nil {
			return frame{}, io.ErrUnexpectedEOF
		}
		n = int(binary.BigEndian.Uint16(long[:]))
	case 127:
		if _, err := io.ReadFull(p.r, long[:]); err != nil {
			return frame{}, io.ErrUnexpectedEOF
		}
		n = int(binary.BigEndian.Uint64(long[:]))
	}
	if head[1]&0x80 != 0 || n < 0 || n > 1<<30 {
		return frame{}, errors.New("server sent a frame that cannot be")
	}
	f := frame{head[0], make([]byte, n)}
	if _, err := io.ReadFull(p.r, f.payload); err != nil {
		return frame{}, io.ErrUnexpectedEOF
	}
	return f, nil
}

// want reads the next frame and checks it.
func (p *peer) want(t *testing.T, first byte, payload string) {
	t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	f, err := p.frame()
	if err != nil {
		t.Fatalf("got %v, want frame %#x %.80q", err, first, payload)
	}
	if f.first != first || string(f.payload) != payload {
		t.Fatalf("got frame %#x %.80q, want %#x %.80q", f.first, f.payload, first, payload)
	}
}

// wantClose reads frames up to a Close frame with this code and the end of the stream.
func (p *peer) wantClose(t *testing.T, code int) {
	t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	for {
		f, err := p.frame()
		if err != nil {
			t.Fatalf("got %v, want Close %d", err, code)
		}
		if f.first != 0x88 {
			continue
		}
		got := 1005
		if len(f.payload) >= 2 {
			got = int(binary.BigEndian.Uint16(f.payload))
		}
		if got != code {
			t.Fatalf("got Close %d %q, want %d", got, f.payload[2:], code)
		}
		return
	}
}

// wantEnd reads the end of the stream, with nothing before it.
func (p *peer) wantEnd(t *testing.T) {
	t.Helper()
	p.SetReadDeadline(time.Now().Add(patience))
	if f, err := p.frame(); !errors.Is(err, io.EOF) {
		t.Fatalf("got frame %#x %.80q, %v, want the end of the stream", f.first, f.payload, err)
	}
}

// masked is a frame as a client sends it.
func masked(first byte, payload string) []byte {
	b := appendFrameHeader(nil, first, len(payload))
	b[1] |= 0x80
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// say sends bytes, as far as the server takes them.
func (p *peer) say(t testing.TB, parts ...[]byte) {
	t.Helper()
	if _, err := p.Write(bytes.Join(parts, nil)); err != nil {
		t.Error(err)
	}
}

// text is an outbound text message.
func text(s string) *session.Message { return session.NewMessage(false, []byte(s)) }

// within fails unless done is closed in time.
func within(t *testing.T, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatalf("%s did not happen within %v", what, patience)
	}
}

// over reports whether a channel is closed.
func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// wantCause checks the end.
func wantCause(t *testing.T, c *Conn, code int, clean bool) {
	t.Helper()
	if got, reason, isClean := c.Cause(); got != code || isClean != clean {
		t.Fatalf("got cause %d %q, clean %v; want %d, %v", got, reason, isClean, code, clean)
	}
}

// closePayload is the payload of a Close frame.
func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}
