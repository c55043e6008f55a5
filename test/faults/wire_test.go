package faults

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"wsfpm/test/stack"
)

// The opcodes of RFC 6455, 5.2 that a client meets.
const (
	opText   = 1
	opBinary = 2
	opClose  = 8
	opPing   = 9
	opPong   = 10
)

// wire is the client's end of a WebSocket connection, made by hand: it is cheap
// and can be slow, rude or deaf. One goroutine reads, another may write.
type wire struct {
	conn  net.Conn
	in    *bufio.Reader
	close int // the code of the Close frame that came, 0 before

	writing sync.Mutex // held while a frame is written; guards stuck
	stuck   bool       // a write has failed
}

// refusedError is a handshake that was answered with something other than 101.
type refusedError struct{ status int }

func (e *refusedError) Error() string { return fmt.Sprintf("refused with %d", e.status) }

// dialWire does a handshake and returns the connection and its id, which the
// script put onto the 101.
func dialWire(address, path string, bound time.Duration, tune func(*net.TCPConn)) (*wire, string, error) {
	return dialProtocol(address, path, "", bound, tune)
}

// dialProtocol is dialWire that offers a subprotocol, if it is not empty.
func dialProtocol(address, path, protocol string, bound time.Duration, tune func(*net.TCPConn)) (*wire, string, error) {
	conn, err := net.DialTimeout("tcp", address, bound)
	if err != nil {
		return nil, "", err
	}
	if tune != nil {
		tune(conn.(*net.TCPConn))
	}
	conn.SetDeadline(time.Now().Add(bound))
	request := "GET " + path + " HTTP/1.1\r\nHost: " + address + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	if protocol != "" {
		request += "Sec-WebSocket-Protocol: " + protocol + "\r\n"
	}
	request += "\r\n"
	if _, err := conn.Write([]byte(request)); err != nil {
		conn.Close()
		return nil, "", err
	}
	in := bufio.NewReaderSize(conn, 2<<10)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		conn.Close()
		return nil, "", err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		conn.Close()
		return nil, "", &refusedError{resp.StatusCode}
	}
	return &wire{conn: conn, in: in}, resp.Header.Get("X-Connection"), nil
}

// patience is how long a write may take: a gateway whose backlog for this client
// is full does not read before many events have had their bound.
const patience = 10 * bound

// write writes a frame whole, or nothing ever again: what followed half a frame
// would be taken for its rest. Of the frame's beginning, slowly bytes go one by one.
func (w *wire) write(frame []byte, slowly int) error {
	if w.stuck {
		return errStuck
	}
	w.conn.SetWriteDeadline(time.Now().Add(patience))
	for _, b := range frame[:slowly] {
		if _, err := w.conn.Write([]byte{b}); err != nil {
			w.stuck = true
			return err
		}
		<-time.After(time.Millisecond)
	}
	_, err := w.conn.Write(frame[slowly:])
	w.stuck = err != nil
	return err
}

// errStuck says that an earlier write failed.
var errStuck = errors.New("an earlier frame was not written whole")

// send writes one text message.
func (w *wire) send(text string) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.write(stack.ClientFrame(0x80|opText, []byte(text)), 0)
}

// drip writes the beginning of one text message byte by byte.
func (w *wire) drip(text string) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	frame := stack.ClientFrame(0x80|opText, []byte(text))
	return w.write(frame, min(len(frame), 200))
}

// pong answers a ping. While a message is being written, that is sign of life enough.
func (w *wire) pong(payload []byte) {
	if w.writing.TryLock() {
		defer w.writing.Unlock()
		w.write(stack.ClientFrame(0x80|opPong, payload), 0) // what becomes of it is seen by reading
	}
}

// sayClose writes a Close frame.
func (w *wire) sayClose(code int) error {
	w.writing.Lock()
	defer w.writing.Unlock()
	return w.write(stack.ClientFrame(0x80|opClose, binary.BigEndian.AppendUint16(nil, uint16(code))), 0)
}

// vanish resets the connection.
func (w *wire) vanish() {
	if tcp, ok := w.conn.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	w.conn.Close()
}

// errQuiet says that nothing came until the deadline.
var errQuiet = errors.New("nothing came")

// next reads up to the next text message, answering pings. It returns errQuiet
// at the deadline, and io.EOF when the connection has ended.
func (w *wire) next(deadline time.Time) (string, error) {
	for {
		w.conn.SetReadDeadline(deadline)
		if _, err := w.in.Peek(1); err != nil {
			return "", quietOr(err)
		}
		// The rest of a frame may take its time: it counts from its beginning.
		w.conn.SetReadDeadline(time.Now().Add(30 * time.Second))
		op, payload, err := w.frame()
		switch {
		case err != nil:
			return "", io.EOF
		case op == opText || op == opBinary:
			return string(payload), nil
		case op == opPing:
			w.pong(payload)
		case op == opClose:
			w.close = 1005
			if len(payload) >= 2 {
				w.close = int(binary.BigEndian.Uint16(payload))
			}
			return "", io.EOF
		}
	}
}

func quietOr(err error) error {
	var timeout net.Error
	if errors.As(err, &timeout) && timeout.Timeout() {
		return errQuiet
	}
	return io.EOF
}

// frame reads one unmasked frame (RFC 6455, 5.2). The gateway fragments nothing.
func (w *wire) frame() (op byte, payload []byte, err error) {
	var head [10]byte
	if _, err = io.ReadFull(w.in, head[:2]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1] & 0x7f)
	switch n {
	case 126:
		if _, err = io.ReadFull(w.in, head[2:4]); err != nil {
			return 0, nil, err
		}
		n = uint64(binary.BigEndian.Uint16(head[2:4]))
	case 127:
		if _, err = io.ReadFull(w.in, head[2:10]); err != nil {
			return 0, nil, err
		}
		n = binary.BigEndian.Uint64(head[2:10])
	}
	if head[0]&0xf0 != 0x80 || head[1]&0x80 != 0 || n > 8<<20 {
		return 0, nil, fmt.Errorf("odd frame %x", head[:2])
	}
	payload = make([]byte, n)
	_, err = io.ReadFull(w.in, payload)
	return head[0] & 0x0f, payload, err
}
