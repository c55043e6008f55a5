package conformance

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

const (
	// patience is how long a test waits for what must happen.
	patience = 8 * time.Second
	// patienceForMuch is the same for megabytes, under the race detector on a
	// busy machine.
	patienceForMuch = 2 * time.Minute
)

// The first byte of a frame: FIN, three reserved bits, opcode (RFC 6455, 5.2).
const (
	fin          = 0x80
	continuation = 0x0
	text         = 0x1
	binaryData   = 0x2
	closing      = 0x8
	ping         = 0x9
	pong         = 0xa
)

// frame encodes a masked frame as a client sends it.
func frame(first byte, payload string) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	key := [4]byte{0x37, 0xfa, byte(len(payload)), first}
	b = append(b, key[:]...)
	at := len(b)
	b = append(b, payload...)
	for i := range len(payload) {
		b[at+i] ^= key[i&3]
	}
	return b
}

// closePayload is what a Close frame carries (RFC 6455, 5.5.1).
func closePayload(code int, reason string) string {
	return string(binary.BigEndian.AppendUint16(nil, uint16(code))) + reason
}

// item is one thing that the server sent: a whole message, or a control frame.
type item struct {
	kind    byte // the opcode
	payload string
}

// String shows an item in a report.
func (i item) String() string {
	name := map[byte]string{text: "text", binaryData: "binary", closing: "close", ping: "ping", pong: "pong"}[i.kind]
	if i.kind == closing && len(i.payload) >= 2 {
		return fmt.Sprintf("close %d %q", binary.BigEndian.Uint16([]byte(i.payload)), i.payload[2:])
	}
	if len(i.payload) > 40 {
		return fmt.Sprintf("%s %q… (%d bytes)", name, i.payload[:40], len(i.payload))
	}
	return fmt.Sprintf("%s %q", name, i.payload)
}

// code is the code of a Close frame, 1005 for none.
func (i item) code() int {
	if len(i.payload) < 2 {
		return 1005
	}
	return int(binary.BigEndian.Uint16([]byte(i.payload)))
}

// client is a TCP connection to a server, read and written byte by byte.
type client struct {
	net.Conn
	in       *bufio.Reader
	deflate  bool // compression was agreed on
	unpacked int  // messages that came compressed
}

// connect opens a TCP connection without a handshake.
func connect(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{Conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}, conn.SetDeadline(time.Now().Add(patience))
}

// good is a handshake without fault, up to the empty line, with more lines.
// Its key is that of RFC 6455, 1.3.
func good(path string, lines ...string) string {
	request := "GET " + path + " HTTP/1.1\r\nHost: gateway.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for _, line := range lines {
		request += line + "\r\n"
	}
	return request
}

// goodAccept answers the key of good.
const goodAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

// answer reads the answer to a handshake. What follows it stays to be read.
func (c *client) answer() (*http.Response, error) {
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return nil, fmt.Errorf("read the answer to the handshake: %w", err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols && resp.Header.Get("Sec-WebSocket-Accept") != goodAccept {
		return nil, fmt.Errorf("Sec-WebSocket-Accept is %q", resp.Header.Get("Sec-WebSocket-Accept"))
	}
	return resp, nil
}

// open connects and does the handshake.
func open(address, path string) (*client, error) {
	c, err := connect(address)
	if err != nil {
		return nil, err
	}
	if err = c.send([]byte(good(path) + "\r\n")); err == nil {
		var resp *http.Response
		if resp, err = c.answer(); err == nil && resp.StatusCode != http.StatusSwitchingProtocols {
			err = fmt.Errorf("the handshake was answered with %d", resp.StatusCode)
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// send writes bytes in one call.
func (c *client) send(b []byte) error {
	_, err := c.Write(b)
	return err
}

// next reads the next message or control frame, and holds the server to the
// rules that it has for its frames.
func (c *client) next() (item, error) {
	var message item
	open, packed := false, false
	for {
		first, payload, err := c.frame()
		if err != nil {
			return item{}, err
		}
		opcode := first & 0x0f
		switch {
		case opcode >= closing:
			if open && opcode == closing {
				return item{}, errors.New("Close frame within a message")
			}
			return item{opcode, payload}, nil
		case open != (opcode == continuation):
			return item{}, fmt.Errorf("opcode %d with a message open: %v", opcode, open)
		case !open:
			message.kind, open, packed = opcode, true, first&rsv1 != 0
		}
		message.payload += payload
		if first&fin == 0 {
			continue
		}
		if packed {
			c.unpacked++
			message.payload, err = unpack(message.payload)
		}
		return message, err
	}
}

// frame reads one frame as a server may send it.
func (c *client) frame() (first byte, payload string, err error) {
	var head [10]byte
	if _, err := io.ReadFull(c.in, head[:2]); err != nil {
		return 0, "", err
	}
	opcode, n := head[0]&0x0f, uint64(head[1])
	reserved := head[0] & 0x70
	if c.deflate && (opcode == text || opcode == binaryData) {
		reserved &^= rsv1
	}
	switch {
	case reserved != 0:
		return 0, "", fmt.Errorf("reserved bits in %#x", head[0])
	case opcode > pong, opcode > binaryData && opcode < closing:
		return 0, "", fmt.Errorf("reserved opcode %d", opcode)
	case n >= 0x80:
		return 0, "", errors.New("masked frame from a server")
	case opcode >= closing && (n > 125 || head[0]&fin == 0):
		return 0, "", errors.New("long or fragmented control frame")
	}
	least := uint64(0)
	switch n {
	case 126:
		_, err = io.ReadFull(c.in, head[2:4])
		n, least = uint64(binary.BigEndian.Uint16(head[2:])), 126
	case 127:
		_, err = io.ReadFull(c.in, head[2:10])
		n, least = binary.BigEndian.Uint64(head[2:]), 1<<16
	}
	if err == nil && (n < least || n > 1<<30) {
		err = fmt.Errorf("length %d in a form for %d and more", n, least)
	}
	if err != nil {
		return 0, "", cut(err)
	}
	b := make([]byte, n)
	_, err = io.ReadFull(c.in, b)
	return head[0], string(b), cut(err)
}

// cut makes the end of the stream an error that is not io.EOF, for places
// where the stream may not end.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// over reads the end of the stream, which is the server's to bring about (RFC
// 6455, 7.1.1).
func (c *client) over() error {
	b, err := c.in.ReadByte()
	if err == nil {
		return fmt.Errorf("byte %#x after the Close frame", b)
	}
	if !errors.Is(err, io.EOF) {
		return fmt.Errorf("the server did not close the connection: %w", err)
	}
	return nil
}
