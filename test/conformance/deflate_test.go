package conformance

import (
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// agreed answers an offer that asks for nothing in particular.
const agreed = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// maxUnimplemented counts the cases whose offer wants a window of the server's
// that is smaller than the one there is. It may be declined (RFC 7692, 7.1.2.1).
const maxUnimplemented = 2 * 18

// offer is a way to ask for permessage-deflate (RFC 7692, 7.1), and the answer
// on a route with compression: "" declines.
type offer struct{ asks, answer string }

func offers() []offer {
	return []offer{
		{"permessage-deflate", agreed},
		{"permessage-deflate; client_no_context_takeover; server_no_context_takeover", agreed},
		{"permessage-deflate; client_max_window_bits=9; server_max_window_bits=9", ""},
		{"permessage-deflate; client_max_window_bits; server_max_window_bits=15", agreed + "; server_max_window_bits=15"},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=9", ""},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=15", agreed + "; server_max_window_bits=15"},
		{"permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_no_context_takeover, permessage-deflate", agreed},
	}
}

// content is a kind of message.
type content struct {
	about  string
	kind   byte
	packs  bool // compressed, it becomes shorter
	source string
}

// contents makes five kinds of message, each more than any case sends.
func contents() []content {
	const length = 192 * kib
	dice := rand.New(rand.NewPCG(7692, 6455))
	words := []string{"gateway", "Straße", "naïve", "σύνδεση", "сообщение", "圧縮", "🗜", "message", "and", "the", "of", "window"}
	var records, prose, random, steps strings.Builder
	for i := 0; records.Len() < length; i++ {
		fmt.Fprintf(&records, `{"id":%d,"symbol":"%s","price":%.2f,"open":%t},`, i, words[dice.IntN(len(words))], dice.Float64()*1000, i%3 == 0)
	}
	for prose.Len() < length {
		prose.WriteString(words[dice.IntN(len(words))] + " ")
	}
	for level := 128; random.Len() < length; {
		random.WriteByte(byte(dice.Uint32()))
		level += dice.IntN(3) - 1
		steps.WriteByte(byte(level))
	}
	return []content{
		{"records", text, true, records.String()},
		{"random bytes", binaryData, false, random.String()},
		{"one letter", text, true, strings.Repeat("x", length)},
		{"words of many scripts", text, true, prose.String()},
		{"bytes near those before", binaryData, true, steps.String()},
	}
}

// message is n bytes of the source that begin near a place of one's choice.
func (c content) message(n, from int) string {
	from %= len(c.source) - n - utf8.UTFMax
	if c.kind != text {
		return c.source[from : from+n]
	}
	for !utf8.RuneStart(c.source[from]) {
		from++
	}
	end := from + n
	for !utf8.RuneStart(c.source[end]) {
		end--
	}
	return c.source[from:end] + strings.Repeat("x", from+n-end)
}

// shape is a size of messages, and of the frames that carry them.
type shape struct{ size, frame int }

// shapes are those of each content and of each offer.
func shapes() (all []shape) {
	for _, n := range []int{16, 64, 256, kib, 4 * kib, 8 * kib, 16 * kib, 32 * kib, 64 * kib, 128 * kib} {
		all = append(all, shape{n, mib})
	}
	for _, n := range []int{8 * kib, 16 * kib, 32 * kib, 64 * kib, 128 * kib} {
		all = append(all, shape{n, 256})
	}
	return append(all, shape{128 * kib, kib}, shape{128 * kib, 4 * kib}, shape{128 * kib, 16 * kib})
}

// String describes a shape.
func (s shape) String() string {
	if s.frame > s.size {
		return fmt.Sprintf("%d bytes", s.size)
	}
	return fmt.Sprintf("%d bytes in frames of %d", s.size, s.frame)
}

// deflateSizeCases send every content in every shape.
func deflateSizeCases() (cases []testCase) {
	for g, of := range contents() {
		for i, s := range shapes() {
			about := fmt.Sprintf("%s, %v", of.about, s)
			cases = append(cases, testCase{fmt.Sprintf("12.%d.%d", g+1, i+1), about, packedEchoes(offers()[0], of, s)})
		}
	}
	return cases
}

// deflateParameterCases make every offer, and send every shape.
func deflateParameterCases() (cases []testCase) {
	of := contents()[0]
	for g, o := range offers() {
		for i, s := range shapes() {
			about := fmt.Sprintf("%s; %v", o.asks, s)
			cases = append(cases, testCase{fmt.Sprintf("13.%d.%d", g+1, i+1), about, packedEchoes(o, of, s)})
		}
	}
	return cases
}

// packedEchoes is a case on a second connection, since an offer belongs to the
// handshake. Each message is sent when the one before has come back.
func packedEchoes(o offer, of content, s shape) func(*client) result {
	return func(plain *client) result {
		c, err := openPacked(plain.RemoteAddr().String(), "/packed", o.asks, o.answer)
		if err != nil {
			return failure("%v", err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patienceForMuch)); err != nil {
			return failure("%v", err)
		}
		play := packedScript(of, s, c.deflate)
		r := play.run(c)
		switch {
		case r.verdict != ok:
			return r
		case !c.deflate:
			return result{unimplemented, "the offer was declined, and messages went as they are"}
		case s.size < 512 && c.unpacked > 0:
			return failure("%d short messages came compressed", c.unpacked)
		case s.size >= 512 && of.packs && c.unpacked != len(play.want):
			return failure("%d of %d messages came compressed", c.unpacked, len(play.want))
		}
		return r
	}
}

// packedScript is half a megabyte of different messages, but not more than 64.
// They are compressed in all ways that the format has.
func packedScript(of content, s shape, deflate bool) (play script) {
	levels := []int{flate.BestSpeed, flate.BestCompression, flate.NoCompression, flate.HuffmanOnly}
	for i := range min(64, 512*kib/s.size) {
		payload := of.message(s.size, i*997)
		play.want = append(play.want, item{of.kind, payload})
		first := of.kind
		if deflate {
			first |= rsv1
			payload = pack(payload, levels[i%len(levels)])
		}
		play.steps = append(play.steps, step{send: slices.Concat(pieces(first, payload, s.frame)...), wait: true})
	}
	return play
}

// TestCompressionIsDeclined: on a route without compression an offer is
// answered without it, and messages go on as they are (RFC 7692, 5).
func TestCompressionIsDeclined(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, offer := range offers() {
			c, err := openPacked(at.address, "/echo", offer.asks, "")
			if err != nil {
				t.Fatalf("%s: %v", offer.asks, err)
			}
			defer c.Close()
			if r := echo(text, 1000, 0).run(c); r.verdict != ok {
				t.Errorf("%s: %v: %s", offer.asks, r.verdict, r.why)
			}
		}
		c := at.open(t, "/echo")
		if r := (script{steps: sent(frame(fin|rsv1|text, "compressed")), end: fails(1002)}).run(c); r.verdict != ok {
			t.Errorf("a compressed frame without negotiation: %v: %s", r.verdict, r.why)
		}
	})
}
