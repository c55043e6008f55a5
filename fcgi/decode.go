package fcgi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind is the kind of the record that a decoder found.
type kind uint8

const (
	gotStdout kind = iota + 1 // content of the answer
	gotStderr                 // text for the log
	gotEnd                    // END_REQUEST with status complete
	gotReady                  // the reply to a probe
)

// readBuffer is the size of a connection's read buffer. A small answer, END_REQUEST
// and the probe's reply fit into one read.
const readBuffer = 16 << 10

// decoder reads the records of one connection. After gotStdout or gotStderr, left
// bytes of content follow: take them with chunk and skip, or with readInto.
type decoder struct {
	r     *bufio.Reader
	in    recordType // of the record whose content is being read
	left  int        // bytes of content not yet taken
	pad   int        // padding after the content
	ended bool       // END_REQUEST was read: only management records may follow
}

// next advances to the next relevant record and skips the rest of the current one. A
// protocol error wraps ErrProtocol; others come from the connection.
func (d *decoder) next() (kind, error) {
	for {
		if err := d.skipRecord(); err != nil {
			return 0, err
		}
		h, err := d.r.Peek(recordHeader)
		if err != nil {
			return 0, err
		}
		k, err := d.begin(h)
		if err != nil {
			return 0, err
		}
		if k == gotEnd || k == gotReady {
			if err := d.whole(); err != nil {
				return 0, err
			}
		}
		d.r.Discard(recordHeader) // cannot fail: these bytes are buffered
		switch {
		case k == gotEnd:
			if err := d.readEnd(); err != nil {
				return 0, err
			}
			return k, nil
		case k == gotReady:
			return k, d.skipRecord()
		case k != 0 && d.left > 0: // an empty STDOUT record has no meaning
			return k, nil
		}
	}
}

// whole waits until the current record has arrived completely. Nothing of it is taken
// before, so that a call after a timeout finds all of it.
func (d *decoder) whole() error {
	_, err := d.r.Peek(recordHeader + d.left + d.pad)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, bufio.ErrBufferFull):
		err = fmt.Errorf("%w: record type %d of %d bytes", ErrProtocol, d.in, d.left)
	}
	d.left, d.pad = 0, 0
	return err
}

// begin checks a record header and returns the record's kind; 0: to be skipped.
func (d *decoder) begin(h []byte) (kind, error) {
	t, id := recordType(h[1]), binary.BigEndian.Uint16(h[2:])
	if h[0] != recordVersion {
		return 0, fmt.Errorf("%w: record version %d", ErrProtocol, h[0])
	}
	var k kind
	wantID := uint16(requestID)
	switch t {
	case typeStdout:
		k = gotStdout
	case typeStderr:
		k = gotStderr
	case typeEnd:
		k = gotEnd
	case typeValues:
		k, wantID = gotReady, 0
	case typeBegin, typeAbort, typeParams, typeStdin, typeData, typeGetValues:
		return 0, fmt.Errorf("%w: record type %d from an application", ErrProtocol, t)
	default:
		wantID = id // unknown types are skipped for any id
	}
	if id != wantID {
		return 0, fmt.Errorf("%w: record type %d for request %d, want %d", ErrProtocol, t, id, wantID)
	}
	if d.ended && wantID == requestID && k != 0 {
		return 0, fmt.Errorf("%w: record type %d after END_REQUEST", ErrProtocol, t)
	}
	d.in, d.left, d.pad = t, int(binary.BigEndian.Uint16(h[4:])), int(h[6])
	return k, nil
}

// readEnd reads the body of END_REQUEST (FastCGI specification, 5.5).
func (d *decoder) readEnd() error {
	if d.left != 8 {
		return fmt.Errorf("%w: END_REQUEST of %d bytes", ErrProtocol, d.left)
	}
	body, err := d.r.Peek(8)
	if err != nil {
		return err
	}
	status := body[4]
	if err := d.skipRecord(); err != nil {
		return err
	}
	d.ended = true
	switch status {
	case statusComplete:
		return nil
	case statusOverloaded:
		return fmt.Errorf("%w: the application server is overloaded", ErrOverloaded)
	case statusCannotMPX:
		return fmt.Errorf("%w: the application server cannot multiplex", ErrProtocol)
	case statusBadRole:
		return fmt.Errorf("%w: the application server is no Responder", ErrProtocol)
	}
	return fmt.Errorf("%w: protocol status %d", ErrProtocol, status)
}

// skipRecord discards the rest of the current record.
func (d *decoder) skipRecord() error {
	n, err := d.r.Discard(d.left)
	d.left -= n
	if err != nil {
		return err
	}
	n, err = d.r.Discard(d.pad)
	d.pad -= n
	return err
}

// chunk waits for at least one byte of content and returns the part of this record
// that has arrived. The bytes are valid until the next call; skip takes them.
func (d *decoder) chunk() ([]byte, error) {
	if _, err := d.r.Peek(1); err != nil {
		return nil, err
	}
	return d.r.Peek(min(d.left, d.r.Buffered()))
}

// skip takes n bytes that chunk returned.
func (d *decoder) skip(n int) {
	d.r.Discard(n) // cannot fail: chunk returned them
	d.left -= n
}

// readInto reads content of this record into b and takes it. A large b is filled
// directly from the socket.
func (d *decoder) readInto(b []byte) (int, error) {
	n, err := d.r.Read(b[:min(len(b), d.left)])
	d.left -= n
	if n > 0 {
		return n, nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return 0, err
}

// buffered reports whether the next record has arrived completely, so that next does
// not block.
func (d *decoder) buffered() bool {
	have := d.r.Buffered() - d.left - d.pad
	if have < recordHeader {
		return false
	}
	b, err := d.r.Peek(d.left + d.pad + recordHeader)
	if err != nil {
		return false
	}
	h := b[d.left+d.pad:]
	return have >= recordHeader+int(binary.BigEndian.Uint16(h[4:]))+int(h[6])
}
