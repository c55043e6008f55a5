package fcgi

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// kind is what a decoder found next.
type kind uint8

const (
	gotStdout kind = iota + 1 // content of the answer
	gotStderr                 // text for the log
	gotEnd                    // END_REQUEST with status complete
	gotReady                  // the answer to the probe
)

// readBuffer is the size of a connection's read buffer. A small answer, its end
// and the probe's answer fit in one read.
const readBuffer = 16 << 10

// decoder reads the records of one connection. After gotStdout or gotStderr, left
// bytes of content are waiting: take them with chunk and skip, or with readInto.
type decoder struct {
	r     *bufio.Reader
	in    recordType // of the record whose content is being read
	left  int        // bytes of content not yet taken
	pad   int        // padding behind the content
	ended bool       // END_REQUEST was read: nothing may follow but management records
}

// next moves to the next thing of interest. Content of the record before that was
// not taken is skipped. An error of the protocol wraps ErrProtocol, others come
// from the connection.
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
		d.r.Discard(recordHeader) // cannot fail: these bytes were peeked at
		switch {
		case k == gotEnd:
			if err := d.readEnd(); err != nil {
				return 0, err
			}
			return k, nil
		case k == gotReady:
			return k, d.skipRecord()
		case k != 0 && d.left > 0: // an empty STDOUT record ends nothing
			return k, nil
		}
	}
}

// whole waits until the record that has begun is here whole. Before that nothing
// of it is taken, so that whoever asks again after a deadline finds all of it.
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

// begin checks a record header and says what its record holds; 0 is a record to
// be skipped.
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
		wantID = id // types to come are skipped, whoever they are for
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

// skipRecord drops what is left of the current record.
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

// chunk waits for at least one byte of content and returns what has arrived of
// this record. The bytes are valid until the next call; skip takes them.
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
// straight from the socket.
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

// buffered tells whether the next record has arrived whole, so that next will not
// block.
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
