package ws

import (
	"bytes"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/session"
)

// wrapping makes a connection one of wsfpm.v1 that ignores its pings.
func wrapping(c *Conn) { c.Wrap(func() {}) }

// stored is a text message of the log.
func stored(t testing.TB, payload string) *session.Message {
	t.Helper()
	at, err := session.ParsePosition("1795879931816-0-8ebb67")
	if err != nil {
		t.Fatal(err)
	}
	return session.NewMessageWith(session.Head{At: at}, false, []byte(payload))
}

func TestAMessageIsWrappedOnceForAllWhoseProtocolItIs(t *testing.T) {
	s := NewShared(0)
	plain, pp := pairOf(t, s, "unix", Limits{})
	one, p1 := pairOf(t, s, "unix", Limits{})
	two, p2 := pairOf(t, s, "unix", Limits{})
	wrapping(one)
	wrapping(two)
	m := stored(t, `{"n":1}`)
	for _, c := range []*Conn{plain, one, two} {
		if err := c.Queue(m); err != nil {
			t.Fatal(err)
		}
		c.Flush()
	}
	const envelope = `{"id":"1795879931816-0-8ebb67","data":{"n":1}}`
	pp.want(t, 0x81, `{"n":1}`)
	p1.want(t, 0x81, envelope)
	p2.want(t, 0x81, envelope)
	if one.encoding(m) != two.encoding(m) {
		t.Error("two clients have two encodings")
	}
	binary := session.NewMessage(true, []byte{0, 255})
	for _, c := range []*Conn{plain, one} {
		if err := c.QueueReply(binary); err != nil {
			t.Fatal(err)
		}
		c.Flush()
	}
	pp.want(t, 0x82, "\x00\xff")
	p1.want(t, 0x81, `{"base64":"AP8="}`)
}

func TestEnvelopesHaveFramesOfEverySize(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	wrapping(c)
	for _, size := range []int{0, 114, 115, 1000, 65523, 65524, 1 << 20} { // the envelope adds 11 bytes
		payload := strings.Repeat("x", size)
		if err := c.QueueReply(text(payload)); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		p.want(t, 0x81, `{"data":"`+payload+`"}`)
	}
}

func TestAnEnvelopeIsCompressedOnceForAll(t *testing.T) {
	s := NewShared(0)
	one, p1 := packing(t, s, Limits{})
	two, p2 := packing(t, s, Limits{})
	wrapping(one)
	wrapping(two)
	long := strings.Repeat("half of it is the same ", 100)
	m := stored(t, long)
	for _, c := range []*Conn{one, two} {
		if err := c.Queue(m); err != nil {
			t.Fatal(err)
		}
		if err := c.Queue(text("short")); err != nil {
			t.Fatal(err)
		}
		c.Flush()
	}
	for _, p := range []*peer{p1, p2} {
		p.SetReadDeadline(time.Now().Add(patience))
		f, err := p.frame()
		if err != nil || f.first != 0xc1 {
			t.Fatalf("got frame %#x, %v, want a compressed text", f.first, err)
		}
		if got, want := unpacked(t, f.payload), `{"id":"1795879931816-0-8ebb67","data":"`+long+`"}`; got != want {
			t.Errorf("got %.100q, want %.100q", got, want)
		}
		p.want(t, 0x81, `{"data":"short"}`)
	}
	if one.encoding(m) != two.encoding(m) {
		t.Error("two clients have two encodings")
	}
}

func TestAPlainClientGetsNothingRaw(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	for _, h := range []session.Head{{Raw: []byte("{}")}, {Re: "k7", Raw: []byte(`{"re":"k7"}`)}} {
		m := session.NewMessageWith(h, false, nil)
		if err := c.Queue(m); err != nil {
			t.Error(err)
		}
		if err := c.QueueReply(m); err != nil {
			t.Error(err)
		}
	}
	if err := c.Queue(stored(t, "plain")); err != nil {
		t.Error(err)
	}
	c.Flush()
	p.want(t, 0x81, "plain")
}

// A page does not see pings: the owner is told of each, and may send a notice, which is no
// message to idle connections.
func TestTheOwnerIsToldOfEachPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		s := NewShared(0)
		c, p := New(&Limits{PingInterval: 25 * time.Second}, s), newPeer(client)
		notice := session.NewMessageWith(session.Head{Raw: []byte("{}")}, false, nil)
		reply := session.NewMessageWith(session.Head{Re: "k7", Raw: []byte(`{"re":"k7"}`)}, false, nil)
		c.Wrap(func() {
			if err := c.QueueReply(notice); err != nil {
				t.Error(err)
			}
		})
		if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); err != nil {
			t.Fatal(err)
		}
		defer s.Wheel.Stop()
		defer client.Close()
		defer c.CloseNow()
		before, _ := c.Quiet()
		start := time.Now()
		for range 3 {
			p.want(t, 0x89, "")
			p.want(t, 0x81, "{}")
		}
		synctest.Wait()
		took := time.Since(start)
		if took < 60*time.Second || took > 90*time.Second {
			t.Errorf("three pings in %v", took)
		}
		if quiet, _ := c.Quiet(); quiet != before+took || c.shared.Stats.MessagesOut.Load() != 0 {
			t.Errorf("quiet for %v of %v, and %d messages", quiet, took, c.shared.Stats.MessagesOut.Load())
		}
		if err := c.QueueReply(reply); err != nil {
			t.Fatal(err)
		}
		c.Flush()
		p.want(t, 0x81, `{"re":"k7"}`)
		synctest.Wait()
		if quiet, _ := c.Quiet(); quiet >= took || c.shared.Stats.MessagesOut.Load() != 1 {
			t.Errorf("a reply: quiet for %v, and %d messages", quiet, c.shared.Stats.MessagesOut.Load())
		}
	})
}

// BenchmarkWrap is the envelope of one publication, made once for all its receivers.
func BenchmarkWrap(b *testing.B) {
	s := NewShared(0)
	defer s.Wheel.Stop()
	c := New(&Limits{}, s)
	wrapping(c)
	for name, payload := range map[string]string{
		"object": `{"user":42,"text":"` + strings.Repeat("x", 200) + `"}`,
		"string": strings.Repeat("x", 200),
	} {
		b.Run(name, func(b *testing.B) {
			data := []byte(payload)
			b.ReportAllocs()
			for b.Loop() {
				m := session.NewMessage(false, data)
				if !bytes.Contains(c.encoding(m).Bytes(), data[:10]) {
					b.Fatal("no payload")
				}
			}
		})
	}
}
