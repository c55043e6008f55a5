package ws

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"wsfpm/session"
)

const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

func TestOffersOfDeflate(t *testing.T) {
	for offer, want := range map[string]string{
		"":                   "",
		"x-webkit-deflate":   "",
		"permessage-deflate": agreed,
		"Permessage-Deflate": agreed,
		"permessage-deflate; client_max_window_bits":                                                               agreed,
		"permessage-deflate; client_max_window_bits=9":                                                             agreed,
		`permessage-deflate; client_max_window_bits="10"`:                                                          agreed,
		"permessage-deflate;server_no_context_takeover ;client_no_context_takeover":                                agreed,
		"permessage-deflate; server_max_window_bits=15; client_max_window_bits":                                    agreed + "; server_max_window_bits=15",
		"permessage-deflate; server_max_window_bits=9":                                                             "",
		"permessage-deflate; server_max_window_bits=9, permessage-deflate":                                         agreed,
		"x-other; a=1, permessage-deflate; server_max_window_bits=10,permessage-deflate;client_max_window_bits=15": agreed,
		"permessage-deflate; server_max_window_bits":                                                               "",
		"permessage-deflate; client_max_window_bits=7":                                                             "",
		"permessage-deflate; client_max_window_bits=16":                                                            "",
		"permessage-deflate; client_max_window_bits=08":                                                            "",
		"permessage-deflate; client_max_window_bits=":                                                              "",
		"permessage-deflate; server_no_context_takeover=1":                                                         "",
		"permessage-deflate; unknown":                                                                              "",
		"permessage-deflate; client_max_window_bits; client_max_window_bits":                                       "",
		"permessage-deflate;": "",
	} {
		if got := agreeDeflate([]string{offer}); got != want {
			t.Errorf("%q: got %q, want %q", offer, got, want)
		}
	}
	if got := agreeDeflate([]string{"x-other", "permessage-deflate"}); got != agreed {
		t.Errorf("two header lines: got %q", got)
	}
}

// packing is a connection with a client that agreed on compression.
func packing(t *testing.T, s *Shared, l Limits) (*Conn, *peer) {
	t.Helper()
	l.Compression = true
	server, client := sockets(t, "unix")
	r := handshake()
	r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
	w := &hijacked{header: http.Header{}, conn: server}
	c := New(&l, s)
	c.Negotiate(r.Header)
	if err := c.Upgrade(w, r, ""); err != nil {
		t.Fatal(err)
	}
	if got := w.header.Get("Sec-WebSocket-Extensions"); got != agreed {
		t.Fatalf("agreed on %q", got)
	}
	t.Cleanup(func() { c.CloseNow(); s.Wheel.Stop() })
	return c, newPeer(client)
}

// packed is the payload of a compressed message.
func packed(text string) string {
	var b bytes.Buffer
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	io.WriteString(w, text)
	w.Flush()
	return strings.TrimSuffix(b.String(), flushed)
}

// unpacked undoes packed.
func unpacked(t *testing.T, payload []byte) string {
	t.Helper()
	b, err := io.ReadAll(flate.NewReader(io.MultiReader(bytes.NewReader(payload), strings.NewReader(flushed+"\x01\x00\x00\xff\xff"))))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCompressedMessagesAreRead(t *testing.T) {
	long := strings.Repeat("half of it is the same ", 2000)
	last := "\xf3\x48\xcd\xc9\xc9\x07\x00\x00" // RFC 7692, 7.2.3.4: a block with BFINAL
	body := packed(long)
	for name, test := range map[string]struct {
		frames [][]byte
		want   string
	}{
		"whole":            {[][]byte{masked(0xc1, body)}, long},
		"binary":           {[][]byte{masked(0xc2, packed("\xff\x00"))}, "\xff\x00"},
		"fragments":        {[][]byte{masked(0x41, body[:1]), masked(0x8a, ""), masked(0x00, ""), masked(0x80, body[1:])}, long},
		"empty":            {[][]byte{masked(0xc1, "\x00")}, ""},
		"no payload":       {[][]byte{masked(0xc1, "")}, ""},
		"plain":            {[][]byte{masked(0x81, "as it is")}, "as it is"},
		"plain fragments":  {[][]byte{masked(0x01, "as "), masked(0x80, "it is")}, "as it is"},
		"example of 7.2.3": {[][]byte{masked(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00")}, "Hello"},
		"last block":       {[][]byte{masked(0xc1, last)}, "Hello"},
		"two last blocks":  {[][]byte{masked(0xc1, last[:7]+last)}, "HelloHello"},
		"two blocks":       {[][]byte{masked(0xc1, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00")}, "Hello"},
		"stored":           {[][]byte{masked(0xc1, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00")}, "Hello"},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := packing(t, NewShared(0), Limits{MessageLimit: int64(len(long))})
			p.say(t, test.frames...)
			p.say(t, masked(0xc1, packed("next")))
			for _, want := range []string{test.want, "next"} {
				m, err := c.Read()
				if err != nil || string(m.Data) != want {
					t.Fatalf("got %.80q, %v, want %.80q", m.Data, err, want)
				}
				c.shared.Memory.Release(int64(len(m.Data)))
			}
			if used := c.shared.Memory.Used(); used != 0 {
				t.Errorf("%d bytes are still held", used)
			}
		})
	}
}

func TestBrokenCompressionClosesTheConnection(t *testing.T) {
	for name, test := range map[string]struct {
		frame []byte
		code  int
	}{
		"RSV1 on a continuation": {append(masked(0x41, packed("a")), masked(0xc0, "")...), 1002},
		"RSV1 on a ping":         {masked(0xc9, ""), 1002},
		"RSV1 on a Close frame":  {masked(0xc8, ""), 1002},
		"RSV2":                   {masked(0xa1, ""), 1002},
		"RSV1 and RSV3":          {masked(0xd1, ""), 1002},
		"no deflate":             {masked(0xc1, "not compressed at all"), 1007},
		"cut":                    {masked(0xc1, packed("a long text that is cut")[:9]), 1007},
		"no UTF-8":               {masked(0xc1, packed("\xff")), 1007},
		"empty last blocks":      {masked(0xc1, strings.Repeat("\x03\x00", 100)+"\x00"), 1007},
		"inflates beyond":        {masked(0xc1, packed(strings.Repeat("x", 1001))), 1009},
		"comes in beyond":        {masked(0xc2, strings.Repeat("\x00\x00\x00\xff\xff", 220)), 1009},
	} {
		t.Run(name, func(t *testing.T) {
			c, p := packing(t, NewShared(0), Limits{MessageLimit: 1000})
			go readEnd(c)
			p.say(t, test.frame)
			p.wantClose(t, test.code)
			if used := c.shared.Memory.Used(); used != 0 {
				t.Errorf("%d bytes are still held", used)
			}
		})
	}
}

func TestCompressionIsAnErrorWhereItIsNotAgreedOn(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	go readEnd(c)
	p.say(t, masked(0xc1, packed("a")))
	p.wantClose(t, 1002)
}

func TestLimitCountsWhatComesOut(t *testing.T) {
	const limit = 100_000
	noise := make([]byte, limit)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, whole := range []string{strings.Repeat("x", limit), string(noise)} {
		c, p := packing(t, NewShared(0), Limits{MessageLimit: limit})
		go p.Write(masked(0xc2, packed(whole)))
		if m, err := c.Read(); err != nil || string(m.Data) != whole {
			t.Errorf("got %d bytes, %v", len(m.Data), err)
		}
	}
}

func TestLastBlocksMayComeAsOftenAsTheyHoldSomething(t *testing.T) {
	part := strings.Repeat("what a client flushes at a time\n", 200)
	const parts = 100
	var b bytes.Buffer
	w, _ := flate.NewWriter(nil, flate.BestCompression)
	for range parts {
		w.Reset(&b)
		io.WriteString(w, part)
		w.Close() // ends with a last block
	}
	c, p := packing(t, NewShared(0), Limits{MessageLimit: int64(parts * len(part))})
	go p.Write(masked(0xc1, b.String()+"\x00"))
	if m, err := c.Read(); err != nil || string(m.Data) != strings.Repeat(part, parts) {
		t.Errorf("got %d bytes, %v, want %d", len(m.Data), err, parts*len(part))
	}
}

func TestEmptyLastBlocksAreNotInflated(t *testing.T) {
	const limit = 64 << 10
	full := packed(strings.Repeat("x", limit)) + flushed // the window is full
	c, p := packing(t, NewShared(0), Limits{MessageLimit: limit})
	go p.Write(masked(0xc1, full+strings.Repeat("\x03\x00", (limit-len(full))/2-1)+"\x00"))
	_, err := c.Read()
	var broken *violation
	if !errors.As(err, &broken) || broken.code != 1007 || !strings.Contains(broken.reason, "last blocks") {
		t.Fatalf("got %v, want 1007 for too many last blocks", err)
	}
}

func TestPushBeforeTheUpgradeGoesOutAsAgreed(t *testing.T) {
	s := NewShared(0)
	defer s.Wheel.Stop()
	r := handshake()
	r.Header.Set("Sec-WebSocket-Extensions", "permessage-deflate")
	c := New(&Limits{Compression: true}, s)
	c.Negotiate(r.Header)
	long := strings.Repeat("a push during the upgrade ", 100)
	if err := c.Queue(text(long)); err != nil {
		t.Fatal(err)
	}
	server, client := sockets(t, "unix")
	if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, r, ""); err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	f, err := newPeer(client).frame()
	if err != nil || f.first != 0xc1 || unpacked(t, f.payload) != long {
		t.Fatalf("got frame %#x of %d bytes, %v", f.first, len(f.payload), err)
	}
}

func TestBombIsNotInflated(t *testing.T) {
	const limit = 64 << 10
	bomb := masked(0xc2, packed(strings.Repeat("\x00", 16<<20)))
	c, p := packing(t, NewShared(0), Limits{MessageLimit: limit})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	go p.Write(bomb)
	if _, err := c.Read(); err == nil {
		t.Fatal("got a message")
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 16*limit {
		t.Errorf("%d bytes were allocated for a message of at most %d", took, limit)
	}
	wantCause(t, c, 1009, false)
}

func TestMessagesAreCompressedOnceForAll(t *testing.T) {
	shared := NewShared(0)
	a, pa := packing(t, shared, Limits{})
	b, pb := packing(t, shared, Limits{})
	plain, pp := pairOf(t, shared, "unix", Limits{Compression: true})
	for _, long := range []string{
		strings.Repeat("x", deflateFrom),
		strings.Repeat("a push for many ", 10_000),
	} {
		m := text(long)
		if a.encoding(m) != b.encoding(m) {
			t.Error("compressed twice")
		}
		for _, c := range []*Conn{a, b, plain} {
			c.Queue(m)
			c.Flush()
		}
		for _, p := range []*peer{pa, pb} {
			f, err := p.frame()
			if err != nil || f.first != 0xc1 || len(f.payload) > len(long)/10 {
				t.Fatalf("got frame %#x of %d bytes, %v", f.first, len(f.payload), err)
			}
			if got := unpacked(t, f.payload); got != long {
				t.Errorf("got %.80q", got)
			}
		}
		pp.want(t, 0x81, long)
	}
	noise := make([]byte, 1000)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	for _, m := range []*session.Message{text("short"), text(""), session.NewMessage(true, noise)} {
		a.QueueReply(m)
		a.Flush()
		pa.want(t, dataByte(m), string(m.Data()))
	}
}
