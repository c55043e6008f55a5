package ws

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestBrokenRulesAreAnsweredWithTheirCode(t *testing.T) {
	unmasked := []byte{0x81, 0x02, 'h', 'i'}
	longLength := func(second byte, length uint64) []byte {
		return append(binary.BigEndian.AppendUint64([]byte{0x82, second}, length), 1, 2, 3, 4)
	}
	rest := func(b ...[]byte) []byte { return bytes.Join(b, nil) }
	shown := 0 // clients that saw the end of the stream while the socket was open
	tests := []struct {
		name string
		sent []byte
		code int
	}{
		{"unmasked", unmasked, 1002},
		{"unmasked, two bytes", unmasked[:2], 1002},
		{"RSV1", masked(0xc1, "x"), 1002},
		{"RSV2", masked(0xa1, "x"), 1002},
		{"RSV3 on a ping", masked(0x99, "x"), 1002},
		{"opcode 3", masked(0x83, "x"), 1002},
		{"opcode 15", masked(0x8f, "x"), 1002},
		{"continuation of nothing", masked(0x80, "x"), 1002},
		{"message within a message", rest(masked(0x01, "x"), masked(0x81, "y")), 1002},
		{"fragmented ping", masked(0x09, "x"), 1002},
		{"long ping", masked(0x89, strings.Repeat("x", 126)), 1002},
		{"length 2^63", longLength(0xff, 1<<63), 1002},
		{"length 2^63-1", longLength(0xff, 1<<63-1), 1009},
		{"long form of a short length", longLength(0xff, 0xffff), 1002},
		{"medium form of a short length", []byte{0x82, 0xfe, 0, 125, 1, 2, 3, 4}, 1002},
		{"one byte too many", masked(0x82, strings.Repeat("x", 1001)), 1009},
		{"one byte too many in fragments", rest(masked(0x02, strings.Repeat("x", 500)), masked(0x80, strings.Repeat("x", 501))), 1009},
		{"too many fragments", rest(masked(0x01, ""), masked(0x00, ""), masked(0x00, ""), masked(0x80, "")), 1008},
		{"close code cut", masked(0x88, "x"), 1002},
		{"close code 999", masked(0x88, closePayload(999, "")), 1002},
		{"close code 1005", masked(0x88, closePayload(1005, "")), 1002},
		{"close code 1006", masked(0x88, closePayload(1006, "")), 1002},
		{"close code 1015", masked(0x88, closePayload(1015, "")), 1002},
		{"close code 2999", masked(0x88, closePayload(2999, "")), 1002},
		{"close code 5000", masked(0x88, closePayload(5000, "")), 1002},
		{"close reason not UTF-8", masked(0x88, closePayload(1000, "\xce\xba\xe1\xbd\xff")), 1007},
		{"close reason too long", masked(0x88, closePayload(1000, strings.Repeat("x", 124))), 1002},
		{"control flood", bytes.Repeat(masked(0x8a, ""), 21), 1008},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c, p := pair(t, "tcp", Limits{MessageLimit: 1000, MaxFragments: 3, ControlRate: 1e-6, ControlBurst: 20})
			p.say(t, masked(0x82, "before"), test.sent)
			if m, err := c.Read(); err != nil || string(m.Data) != "before" {
				t.Fatalf("got %q, %v", m.Data, err)
			}
			_, err := c.Read()
			var broken *violation
			if !errors.As(err, &broken) || broken.code != test.code {
				t.Fatalf("got %v, want a violation %d", err, test.code)
			}
			if _, again := c.Read(); again.Error() != err.Error() {
				t.Fatalf("got %v from the next Read, want the same error", again)
			}
			p.wantClose(t, test.code)
			p.wantEnd(t)
			if !over(c.Ended()) {
				shown++
			}
			p.Close()
			within(t, "the end", c.Ended())
			wantCause(t, c, test.code, false)
		})
	}
	if shown == 0 {
		t.Error("no client saw the end of the stream before the socket was closed")
	}
}

func TestGoodFramesPass(t *testing.T) {
	for _, test := range []struct {
		name string
		sent [][]byte
		want string
	}{
		{"exactly the limit", [][]byte{masked(0x81, strings.Repeat("x", 1000))}, strings.Repeat("x", 1000)},
		{"exactly the limit in fragments", [][]byte{masked(0x01, strings.Repeat("x", 999)), masked(0x80, "x")}, strings.Repeat("x", 1000)},
		{"as many fragments as allowed", [][]byte{masked(0x01, "a"), masked(0x00, ""), masked(0x80, "b")}, "ab"},
		{"pings within", [][]byte{masked(0x89, "1"), masked(0x01, "a"), masked(0x8a, ""), masked(0x89, "2"), masked(0x80, "b")}, "ab"},
		{"empty fragments", [][]byte{masked(0x01, ""), masked(0x00, ""), masked(0x80, "")}, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := pair(t, "unix", Limits{MessageLimit: 1000, MaxFragments: 3, ControlRate: 1e-6, ControlBurst: 20})
			p.say(t, test.sent...)
			if m, err := c.Read(); err != nil || string(m.Data) != test.want {
				t.Fatalf("got %.40q, %v, want %.40q", m.Data, err, test.want)
			}
		})
	}
}

func TestEveryCloseCodeIsEchoed(t *testing.T) {
	for _, code := range []int{1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999} {
		c, p := pair(t, "unix", Limits{})
		p.say(t, masked(0x88, closePayload(code, "why")), masked(0x89, "ignored"), masked(0x81, "ignored"))
		if _, err := c.Read(); !errors.As(err, new(CloseError)) {
			t.Fatalf("got %v, want a CloseError", err)
		}
		p.want(t, 0x88, closePayload(code, "why"))
		p.wantEnd(t)
		wantCause(t, c, code, true)
	}
}

func TestCloseWithoutACodeIsEchoedWithoutOne(t *testing.T) {
	c, p := pair(t, "unix", Limits{})
	p.say(t, masked(0x88, ""))
	if _, err := c.Read(); !errors.As(err, new(CloseError)) {
		t.Fatalf("got %v, want a CloseError", err)
	}
	p.want(t, 0x88, "")
	p.wantEnd(t)
	wantCause(t, c, 1005, true)
}

func TestPongComesBeforeTheMessageEnds(t *testing.T) {
	c, p := pair(t, "tcp", Limits{})
	got := make(chan Message, 1)
	go func() {
		m, _ := c.Read()
		got <- m
	}()
	p.say(t, masked(0x01, "half, "))
	for _, payload := range []string{"", "ping", strings.Repeat("p", 125)} {
		for _, b := range masked(0x89, payload) {
			p.say(t, []byte{b})
		}
		p.want(t, 0x8a, payload)
	}
	p.say(t, masked(0x80, "whole"))
	if m := <-got; string(m.Data) != "half, whole" {
		t.Fatalf("got %q", m.Data)
	}
}

func TestTextIsCheckedAsItArrives(t *testing.T) {
	for _, test := range []struct {
		name string
		good []byte // must not be refused
		bad  []byte // must be, without another byte
	}{
		{"in one frame", nil, masked(0x81, "caf\xe9.")},
		{"cut at the end", nil, masked(0x81, "\xf0\x9f\x98")},
		{"surrogate", nil, masked(0x81, "\xed\xa0\x80")},
		{"overlong", nil, masked(0x81, "\xc0\xaf")},
		{"above U+10FFFF", nil, masked(0x81, "\xf4\x90\x80\x80")},
		{"lonely continuation", nil, masked(0x81, "\x80")},
		{"in a later frame", masked(0x01, "\xce\xba\xf4"), masked(0x00, "\x90")},
		{"within a frame", masked(0x81, "\xce\xba\xf4\x90 and more")[:9], masked(0x81, "\xce\xba\xf4\x90 and more")[9:10]},
		{"at the last fragment", masked(0x01, "\xe2\x82"), masked(0x80, "")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, p := pair(t, "tcp", Limits{})
			over := make(chan error, 1)
			go func() {
				_, err := c.Read()
				over <- err
			}()
			p.say(t, test.good)
			if len(test.good) == 0 || test.good[0] == 0x01 {
				p.say(t, masked(0x89, ""))
				p.want(t, 0x8a, "")
			}
			p.say(t, test.bad)
			p.wantClose(t, 1007)
			p.Close()
			if err := <-over; err == nil || !strings.Contains(err.Error(), "UTF-8") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestTextMaySplitAnywhere(t *testing.T) {
	const word = "κόσμε \U0010ffff \ufffe 😀"
	for cut := range len(word) + 1 {
		c, p := pair(t, "unix", Limits{})
		p.say(t, masked(0x01, word[:cut]), masked(0x89, ""))
		go func() {
			p.frame() // the pong: the first half has been judged
			p.Write(masked(0x80, word[cut:]))
		}()
		if m, err := c.Read(); err != nil || string(m.Data) != word {
			t.Fatalf("cut at %d: got %q, %v", cut, m.Data, err)
		}
	}
}

func TestTextMayComeByteForByte(t *testing.T) {
	const word = "κόσμε \U0010ffff"
	c, p := pair(t, "tcp", Limits{})
	go func() {
		for _, b := range masked(0x81, word) {
			p.Write([]byte{b})
		}
	}()
	if m, err := c.Read(); err != nil || string(m.Data) != word {
		t.Fatalf("got %q, %v", m.Data, err)
	}
}

func TestSlowMessageIsRefused(t *testing.T) {
	for _, begun := range [][]byte{masked(0x81, "never ends")[:10], masked(0x01, "first"), {0x81}, masked(0x89, "ping")[:7]} {
		c, p := pair(t, "tcp", Limits{AssemblyTimeout: 50 * time.Millisecond})
		p.say(t, masked(0x81, "quick"))
		if _, err := c.Read(); err != nil {
			t.Fatal(err)
		}
		p.say(t, begun)
		if _, err := c.Read(); err == nil {
			t.Fatal("got a message")
		}
		p.wantClose(t, 1008)
		wantCause(t, c, 1008, false)
	}
}

func TestCloseReachesAClientThatKeepsSending(t *testing.T) {
	c, p := pair(t, "tcp", Limits{MessageLimit: 1000})
	written := make(chan error, 1)
	go func() {
		_, err := p.Write(masked(0x82, strings.Repeat("x", 8<<20)))
		written <- err
	}()
	if _, err := c.Read(); err == nil {
		t.Fatal("got a message")
	}
	p.wantClose(t, 1009)
	p.wantEnd(t)
	if err := <-written; err != nil {
		t.Errorf("got %v: the connection was reset", err)
	}
	p.Close()
	within(t, "the end", c.Ended())
}
