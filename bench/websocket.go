package main

import (
	"bytes"
	"crypto/sha1"
	"encoding/base64"
	"encoding/binary"
	"fmt"
)

// The key of every handshake and what the server must make of it (RFC 6455,
// 1.3). A benchmark has no caches to confuse.
const (
	handshakeKey  = "dGhlIHNhbXBsZSBub25jZQ=="
	handshakeGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)

// Opcodes (RFC 6455, 5.2).
const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// webSocket is a WebSocket client that sends one text again and again.
type webSocket struct{ stream }

// dialWebSocket connects and shakes hands. Headers are further header lines,
// each with its CRLF.
func dialWebSocket(address, path, headers string, source int, body []byte) (*webSocket, error) {
	s, err := dial("tcp", address, source)
	if err != nil {
		return nil, err
	}
	w := &webSocket{s}
	w.message, w.want = maskedFrame(opText, body), body
	if err := w.handshake(address, path, headers); err != nil {
		w.close()
		return nil, fmt.Errorf("handshake of %s: %w", path, err)
	}
	return w, nil
}

func (w *webSocket) handshake(host, path, headers string) error {
	request := "GET " + path + " HTTP/1.1\r\nHost: " + host + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + handshakeKey + "\r\n" + headers + "\r\n"
	if _, err := w.conn.Write([]byte(request)); err != nil {
		return err
	}
	for {
		if err := w.fill(); err != nil {
			return err
		}
		head, _, whole := bytes.Cut(w.held(), []byte("\r\n\r\n"))
		if !whole {
			continue
		}
		sum := sha1.Sum([]byte(handshakeKey + handshakeGUID))
		accept := base64.StdEncoding.EncodeToString(sum[:])
		if !bytes.HasPrefix(head, []byte("HTTP/1.1 101 ")) || !bytes.Contains(head, []byte(accept)) {
			return fmt.Errorf("answer %.60q", head)
		}
		w.lo += len(head) + 4
		return nil
	}
}

// next waits for a frame. Its payload is valid until the next call.
func (w *webSocket) next() (opcode byte, payload []byte, err error) {
	for {
		opcode, payload, size := parseFrame(w.held())
		if size > 0 {
			w.lo += size
			return opcode, payload, nil
		}
		if err := w.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// receive waits for the next text; pings on the way are answered.
func (w *webSocket) receive() error {
	for {
		opcode, payload, err := w.next()
		if err != nil {
			return err
		}
		switch opcode {
		case opText:
			if !bytes.Equal(payload, w.want) {
				return fmt.Errorf("answer %.60q, want %.60q", payload, w.want)
			}
			return nil
		case opPing:
			if _, err := w.conn.Write(maskedFrame(opPong, payload)); err != nil {
				return err
			}
		case opClose:
			return fmt.Errorf("the server closed: %q", payload)
		default:
			return fmt.Errorf("a frame of opcode %d", opcode)
		}
	}
}

// leave ends the connection in good order.
func (w *webSocket) leave() error {
	if _, err := w.conn.Write(maskedFrame(opClose, []byte{0x03, 0xe8})); err != nil {
		return err
	}
	for {
		opcode, _, err := w.next()
		if err != nil {
			return fmt.Errorf("no answer to a Close frame: %w", err)
		}
		if opcode == opClose {
			return nil
		}
	}
}

// maskedFrame is a whole message of a client (RFC 6455, 5.3). The mask is
// always the same: what is measured is the server, which must unmask it.
func maskedFrame(opcode byte, payload []byte) []byte {
	mask := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	frame := []byte{0x80 | opcode}
	if len(payload) < 126 {
		frame = append(frame, 0x80|byte(len(payload)))
	} else {
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(len(payload)))
	}
	frame = append(frame, mask[:]...)
	for i, b := range payload {
		frame = append(frame, b^mask[i%4])
	}
	return frame
}

// parseFrame reads a server's frame at the beginning of b; size is 0 when it
// has not come whole. Payloads of 64 KB and more are not for this client.
func parseFrame(b []byte) (opcode byte, payload []byte, size int) {
	if len(b) < 2 {
		return 0, nil, 0
	}
	head, length := 2, int(b[1])
	if length == 126 {
		if len(b) < 4 {
			return 0, nil, 0
		}
		head, length = 4, int(binary.BigEndian.Uint16(b[2:]))
	}
	if len(b) < head+length {
		return 0, nil, 0
	}
	return b[0] & 0x0f, b[head : head+length], head + length
}
