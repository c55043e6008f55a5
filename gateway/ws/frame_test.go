package ws

import (
	"bytes"
	"testing"

	"wsfpm/session"
)

func TestFrameHeaders(t *testing.T) {
	plain := plainEncoder()
	for length, want := range map[int][]byte{
		0:     {0x81, 0},
		125:   {0x81, 125},
		126:   {0x81, 126, 0, 126},
		65535: {0x81, 126, 0xff, 0xff},
		65536: {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0},
	} {
		frame := session.NewMessage(false, make([]byte, length)).Encoding(plain).Bytes()
		if !bytes.HasPrefix(frame, want) || len(frame) != len(want)+length {
			t.Errorf("%d bytes: a frame of %d bytes that begins with % x, want % x", length, len(frame), frame[:min(10, len(frame))], want)
		}
	}
	if first := session.NewMessage(true, nil).Encoding(plain).Bytes()[0]; first != 0x82 {
		t.Errorf("a binary message begins with %#x", first)
	}
}
