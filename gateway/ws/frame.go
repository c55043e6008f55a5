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
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xa
)

// fin is set in the first byte of a message's last frame (RFC 6455, 5.2).
const fin = 0x80

// largestMessage is the message limit when none is set; sums of lengths do not overflow.
const largestMessage = 1 << 62

// violation is a violated rule with its close code.
type violation struct {
	code   int
	reason string
}

// Error returns the code and the rule.
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

// parseHeader parses the header at the beginning of b. It returns false if b is too short.
// Violations in the first two bytes are reported without waiting for more; RSV1 is valid if
// permessage-deflate was negotiated.
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

// check checks the first two bytes of a frame.
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

// unmask unmasks a short payload (RFC 6455, 5.3).
func unmask(payload, key []byte) {
	for i := range payload {
		payload[i] ^= key[i%4]
	}
}

// parseClose parses the payload of a Close frame (RFC 6455, 5.5.1 and 7.4).
func parseClose(payload []byte) (CloseError, error) {
	if len(payload) == 0 {
		return CloseError{Code: 1005}, nil
	}
	if len(payload) == 1 {
		return CloseError{}, &violation{1002, "close code is incomplete"}
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

// plainEncoder returns the encoder of uncompressed frames.
func plainEncoder() *session.Encoder {
	return &session.Encoder{Header: func(b []byte, m *session.Message) []byte {
		return appendFrameHeader(b, dataByte(m), len(m.Data()))
	}}
}

// dataByte returns the first byte of an unfragmented message.
func dataByte(m *session.Message) byte {
	if m.Binary() {
		return fin | opBinary
	}
	return fin | opText
}

// appendFrameHeader appends the header of an unmasked frame, at most session.Headroom
// bytes: its first byte (FIN, RSV and opcode) and the payload length in the shortest form
// (RFC 6455, 5.2).
func appendFrameHeader(b []byte, first byte, length int) []byte {
	b = append(b, first)
	switch {
	case length < 126:
		return append(b, byte(length))
	case length <= 0xffff:
		return binary.BigEndian.AppendUint16(append(b, 126), uint16(length))
	}
	return binary.BigEndian.AppendUint64(append(b, 127), uint64(length))
}

// closeFrame encodes a Close frame; 1005 omits the code.
func closeFrame(code int, reason string) []byte {
	if code == 1005 {
		return []byte{fin | opClose, 0}
	}
	reason = session.CutReason(reason)
	frame := appendFrameHeader(make([]byte, 0, 4+len(reason)), fin|opClose, 2+len(reason))
	frame = binary.BigEndian.AppendUint16(frame, uint16(code))
	return append(frame, reason...)
}
