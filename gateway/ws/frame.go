package ws

import (
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"wsfpm/session"
)

// Opcodes (RFC 6455, 11.8).
const (
	opContinuation = 0x0
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// largestMessage keeps sums of lengths from overflowing where no limit is set.
const largestMessage = 1 << 62

// violation is a broken rule with the close code it earns.
type violation struct {
	code   int
	reason string
}

// Error tells the code and the rule.
func (v *violation) Error() string { return fmt.Sprintf("close %d: %s", v.code, v.reason) }

// header is the header of a client's frame (RFC 6455, 5.2).
type header struct {
	fin    bool
	packed bool // RSV1: the message is compressed (RFC 7692, 6)
	opcode byte
	size   int   // bytes of the header itself
	length int64 // bytes of the payload
}

// control reports whether the frame is a Close, ping or pong.
func (h header) control() bool { return h.opcode >= opClose }

// parseHeader reads the header at the beginning of b. It reports false while
// b is too short. A rule that the first two bytes break is told at once; that
// RSV1 is set breaks none where permessage-deflate was agreed on.
func parseHeader(b []byte, deflate bool) (header, bool, error) {
	if len(b) < 2 {
		return header{}, false, nil
	}
	h := header{fin: b[0]&0x80 != 0, opcode: b[0] & 0x0f, size: 6, length: int64(b[1] & 0x7f)}
	first := b[0]
	if deflate && first&rsv1 != 0 && h.opcode != opContinuation && !h.control() {
		h.packed = true
		first &^= rsv1
	}
	if err := h.check(first, b[1]); err != nil {
		return header{}, false, err
	}
	switch h.length {
	case 126:
		h.size = 8
	case 127:
		h.size = 14
	}
	if len(b) < h.size {
		return header{}, false, nil
	}
	switch h.size {
	case 8:
		h.length = int64(binary.BigEndian.Uint16(b[2:]))
		if h.length < 126 {
			return header{}, false, &violation{1002, "length is not in its shortest form"}
		}
	case 14:
		h.length = int64(binary.BigEndian.Uint64(b[2:]))
		if h.length < 0 {
			return header{}, false, &violation{1002, "length has its highest bit set"}
		}
		if h.length <= 0xffff {
			return header{}, false, &violation{1002, "length is not in its shortest form"}
		}
	}
	return h, true, nil
}

// check judges what the first two bytes of a frame say.
func (h header) check(first, second byte) error {
	switch {
	case first&0x70 != 0:
		return &violation{1002, "reserved bits are set"}
	case h.opcode > opBinary && h.opcode < opClose || h.opcode > opPong:
		return &violation{1002, "opcode is reserved"}
	case second&0x80 == 0:
		return &violation{1002, "frame is not masked"}
	case h.control() && !h.fin:
		return &violation{1002, "control frame is fragmented"}
	case h.control() && h.length > 125:
		return &violation{1002, "control frame is too long"}
	}
	return nil
}

// unmask undoes the masking of a short payload (RFC 6455, 5.3).
func unmask(payload, key []byte) {
	for i := range payload {
		payload[i] ^= key[i%4]
	}
}

// parseClose reads the payload of a Close frame (RFC 6455, 5.5.1 and 7.4).
func parseClose(payload []byte) (CloseError, error) {
	if len(payload) == 0 {
		return CloseError{Code: 1005}, nil
	}
	if len(payload) == 1 {
		return CloseError{}, &violation{1002, "close code is cut"}
	}
	code := int(binary.BigEndian.Uint16(payload))
	known := code >= 1000 && code <= 1014 && (code < 1004 || code > 1006)
	if !known && (code < 3000 || code > 4999) {
		return CloseError{}, &violation{1002, "close code is not allowed"}
	}
	if !utf8.Valid(payload[2:]) {
		return CloseError{}, &violation{1007, "close reason is not UTF-8"}
	}
	return CloseError{Code: code, Reason: string(payload[2:])}, nil
}

// closeFrame encodes a Close frame; 1005 is one without a code.
func closeFrame(code int, reason string) []byte {
	if code == 1005 {
		return []byte{0x80 | opClose, 0}
	}
	reason = session.CutReason(reason)
	frame := session.AppendFrameHeader(make([]byte, 0, 4+len(reason)), 0x80|opClose, 2+len(reason))
	frame = binary.BigEndian.AppendUint16(frame, uint16(code))
	return append(frame, reason...)
}
