package session

import (
	"bytes"
	"sync"
	"sync/atomic"
	"testing"
)

// framed makes a form with a header, and counts how often it is made.
func framed(header string, made *atomic.Int64) *Encoder {
	return &Encoder{Header: func(b []byte, _ *Message) []byte {
		made.Add(1)
		return append(b, header...)
	}}
}

func TestEachEncodingIsMadeOnceForAllThatShareAMessage(t *testing.T) {
	var made atomic.Int64
	first, second := framed("0123456789", &made), framed("> ", &made)
	reversed := &Encoder{Encode: func(m *Message) []byte {
		made.Add(1)
		return append([]byte("reversed "), m.Data()...)
	}}
	none := &Encoder{Instead: second, Encode: func(*Message) []byte {
		made.Add(1)
		return nil
	}}
	m := NewMessage(true, []byte("data"))
	want := map[*Encoder]string{first: "0123456789data", second: "> data", reversed: "reversed data", none: "> data"}
	var all sync.WaitGroup
	for range 8 {
		for by, text := range want {
			all.Go(func() {
				e := m.Encoding(by)
				if string(e.Bytes()) != text || e.Len() != len(text) {
					t.Errorf("got %q of %d bytes, want %q", e.Bytes(), e.Len(), text)
				}
				if m.Encoding(by) != e {
					t.Errorf("%q was made again", text)
				}
			})
		}
	}
	all.Wait()
	if made.Load() != int64(len(want)) {
		t.Errorf("%d encodings were made, want %d", made.Load(), len(want))
	}
	if !m.Binary() || string(m.Data()) != "data" {
		t.Errorf("the payload became %q", m.Data())
	}
}

func TestFirstEncodingCostsNoMemory(t *testing.T) {
	var made atomic.Int64
	by := framed("> ", &made)
	data := bytes.Repeat([]byte("x"), 1000)
	if n := testing.AllocsPerRun(100, func() { NewMessage(false, data).Encoding(by) }); n > 2 {
		t.Errorf("%v allocations for a message and its encoding, want 2", n)
	}
}
