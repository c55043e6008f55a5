package fcgitest

import (
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
)

// Writer answers one request. Write errors are ignored: the peer may disconnect at any
// time.
type Writer struct {
	conn   net.Conn
	id     uint16
	ended  bool
	hungUp bool
}

// Stdout sends one STDOUT record; the first must begin with the header block. An
// empty one is sent too.
func (w *Writer) Stdout(s string) { w.Record(Stdout, w.id, []byte(s)) }

// Stderr sends one STDERR record.
func (w *Writer) Stderr(s string) { w.Record(Stderr, w.id, []byte(s)) }

// End sends END_REQUEST. Without it the server sends End(0, 0) for the handler.
func (w *Writer) End(appStatus uint32, protocolStatus byte) {
	body := binary.BigEndian.AppendUint32(nil, appStatus)
	w.Record(End, w.id, append(body, protocolStatus, 0, 0, 0))
	w.ended = true
}

// Ended marks the request as ended by the handler, with Raw, so that the server adds
// nothing.
func (w *Writer) Ended() { w.ended = true }

// Record sends any record, padded to a multiple of eight.
func (w *Writer) Record(kind byte, id uint16, content []byte) {
	w.Raw(recordBytes(kind, id, content))
}

// Raw sends bytes as they are.
func (w *Writer) Raw(b []byte) { w.conn.Write(b) }

// Hangup closes the connection when the handler returns, without END_REQUEST.
func (w *Writer) Hangup() { w.hungUp = true }

// Bytes returns the bytes of a complete answer to request 1: stdout in records of at
// most 65,528 bytes, and END_REQUEST.
func Bytes(stdout string) []byte {
	var b []byte
	for len(stdout) > 0 {
		n := min(len(stdout), 65528)
		b = append(b, recordBytes(Stdout, 1, []byte(stdout[:n]))...)
		stdout = stdout[n:]
	}
	return append(b, recordBytes(End, 1, make([]byte, 8))...)
}

func recordBytes(kind byte, id uint16, content []byte) []byte {
	pad := -len(content) & 7
	b := []byte{1, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), byte(pad), 0}
	b = append(b, content...)
	return append(b, make([]byte, pad)...)
}

// Reply answers every request with a status and a body.
func Reply(status int, body string) Handler {
	return func(w *Writer, _ *Request) {
		w.Raw(Bytes(fmt.Sprintf("Status: %d\r\nContent-Type: text/plain\r\n\r\n%s", status, body)))
		w.ended = true
	}
}

// Echo answers every request with its own body.
func Echo(w *Writer, r *Request) {
	head := "Content-Type: text/plain\r\nContent-Length: " + strconv.Itoa(len(r.Body)) + "\r\n\r\n"
	w.Raw(Bytes(head + string(r.Body)))
	w.ended = true
}
