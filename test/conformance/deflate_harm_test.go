package conformance

import (
	"compress/flate"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// openPacked is open with compression agreed on.
func (at *target) openPacked(t *testing.T, path string) *client {
	t.Helper()
	c, err := openPacked(at.address, path, "permessage-deflate", agreed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// TestCompressedFrames has frames that break a rule once compression was
// agreed on, and unusual ones that break none (RFC 7692, 6 and 7.2).
func TestCompressedFrames(t *testing.T) {
	const greeting = "Hello, hello, hello!"
	body, long := pack(greeting, flate.BestSpeed), strings.Repeat(greeting, 100)
	hello := []item{{text, greeting}}
	bad := func(code int, frames ...[]byte) script { return script{steps: together(frames...), end: fails(code)} }
	good := func(want []item, frames ...[]byte) script { return script{steps: together(frames...), want: want} }
	scripts := map[string]script{
		"RSV1 on a continuation of a compressed message": bad(1002, frame(rsv1|text, body[:4]), frame(fin|rsv1|continuation, body[4:])),
		"RSV1 on a continuation of a plain message":      bad(1002, frame(text, "Hel"), frame(fin|rsv1|continuation, "lo")),
		"RSV1 on a continuation of no message":           bad(1002, frame(fin|rsv1|continuation, body)),
		"RSV1 on a ping":                                 bad(1002, frame(fin|rsv1|ping, "")),
		"RSV1 on a pong":                                 bad(1002, frame(fin|rsv1|pong, "")),
		"RSV1 on a Close frame":                          bad(1002, frame(fin|rsv1|closing, closePayload(1000, ""))),
		"RSV1 on a ping within a compressed message":     bad(1002, frame(rsv1|text, body[:4]), frame(fin|rsv1|ping, "")),
		"RSV1 on an opcode without a meaning":            bad(1002, frame(fin|rsv1|3, body)),
		"RSV2 on a compressed message":                   bad(1002, frame(fin|rsv1|0x20|text, body)),
		"RSV3 on a compressed message":                   bad(1002, frame(fin|rsv1|0x10|text, body)),
		"RSV2 on a plain message":                        bad(1002, frame(fin|0x20|text, greeting)),
		"a block of a kind that there is not":            bad(1007, frame(fin|rsv1|text, "\x06\x00")),
		"compressed data that is cut":                    bad(1007, frame(fin|rsv1|text, pack(long, flate.BestSpeed)[:20])),
		"a copy of what is before the message":           bad(1007, frame(fin|rsv1|text, "\x02\x03\x82\x00")),
		"text that is not UTF-8 once inflated":           bad(1007, frame(fin|rsv1|text, pack("a\xff", flate.BestSpeed))),

		"one frame":                           good(hello, frame(fin|rsv1|text, body)),
		"one byte a frame":                    good(hello, pieces(rsv1|text, body, 1)...),
		"empty frames in between":             good(hello, frame(rsv1|text, ""), frame(continuation, body), frame(fin|continuation, "")),
		"a ping in between":                   good([]item{{pong, "p"}, hello[0]}, frame(rsv1|text, body[:4]), frame(fin|ping, "p"), frame(fin|continuation, body[4:])),
		"a plain message between others":      good(slices.Repeat(hello, 3), frame(fin|rsv1|text, body), frame(fin|text, greeting), frame(fin|rsv1|text, body)),
		"an empty message":                    good([]item{{text, ""}}, frame(fin|rsv1|text, "\x00")),
		"a last block":                        good(hello, frame(fin|rsv1|text, finished(greeting)+"\x00")),
		"bytes that are not UTF-8, as binary": good([]item{{binaryData, "a\xff"}}, frame(fin|rsv1|binaryData, pack("a\xff", flate.BestSpeed))),
	}
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for name, s := range scripts {
			t.Run(name, func(t *testing.T) {
				if r := s.run(at.openPacked(t, "/packed")); r.verdict != ok {
					t.Errorf("%v: %s", r.verdict, r.why)
				}
			})
		}
	})
}

// finished is a message whose compressor was closed instead of flushed (RFC
// 7692, 7.2.3.4).
func finished(payload string) string {
	var b strings.Builder
	w, err := flate.NewWriter(&b, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	_, _ = w.Write([]byte(payload)) // into memory
	_ = w.Close()
	return b.String()
}

// TestMessageLimitIsExactOnceInflated is TestMessageLimitIsExact for
// compressed messages, among them such that compressing made longer.
func TestMessageLimitIsExactOnceInflated(t *testing.T) {
	levels := []int{flate.BestSpeed, flate.BestCompression, flate.NoCompression}
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, of := range contents() {
			for i, n := range []int{smallLimit - 1, smallLimit, smallLimit + 1} {
				for _, size := range []int{mib, 100} {
					payload := of.message(n, i)
					s := script{steps: together(pieces(of.kind|rsv1, pack(payload, levels[i]), size)...), want: []item{{of.kind, payload}}}
					if n > smallLimit {
						s.want, s.end = nil, fails(1009)
					}
					if r := s.run(at.openPacked(t, "/packed-small")); r.verdict != ok {
						t.Errorf("%s, %d bytes in frames of %d: %v: %s", of.about, n, size, r.verdict, r.why)
					}
				}
			}
		}
	})
}

// TestBombIsStoppedAtTheLimit sends what is well within message_limit as it
// comes, and a thousand times as much once inflated. Meanwhile another client
// has its messages echoed.
func TestBombIsStoppedAtTheLimit(t *testing.T) {
	const clients = 20
	bomb := pack(strings.Repeat("\x00", 60*mib), flate.BestCompression)
	if len(bomb) > smallLimit {
		t.Fatalf("the bomb has %d bytes, want at most %d", len(bomb), smallLimit)
	}
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		calm := at.openPacked(t, "/packed")
		calm.SetDeadline(time.Now().Add(patienceForMuch))
		// What was inflated up to the limit waits for the collector, and a binary with
		// the race detector holds several times as much. The bombs are 1,200 MiB.
		for path, most := range map[string]int64{"/packed-small": messageLimit, "/packed": clients * messageLimit} {
			before := at.memory()
			for i := range clients {
				s := script{steps: together(pieces(binaryData|rsv1, bomb, []int{mib, 1000}[i%2])...), end: fails(1009)}
				c := at.openPacked(t, path)
				c.SetDeadline(time.Now().Add(patienceForMuch))
				if r := s.run(c); r.verdict != ok {
					t.Fatalf("%s: %v: %s", path, r.verdict, r.why)
				}
				again := fmt.Sprintf("calm %d", i)
				if err := calm.send(frame(fin|rsv1|text, pack(again, flate.BestSpeed))); err != nil {
					t.Fatal(err)
				}
				if got, err := calm.next(); err != nil || got != (item{text, again}) {
					t.Fatalf("another client: got %v, %v, want the echo", got, err)
				}
			}
			grown := at.memory() - before
			t.Logf("%d bombs of 60 MiB at %s: %d KiB more memory", clients, path, grown/kib)
			if grown > most {
				t.Errorf("%d bombs of 60 MiB at %s took %d KiB", clients, path, grown/kib)
			}
		}
		at.awaitEnded(t, "1009", 2*clients)
	})
}
