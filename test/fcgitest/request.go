package fcgitest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Record types (FastCGI specification, 8).
const (
	Begin           = 1
	Abort           = 2
	End             = 3
	Params          = 4
	Stdin           = 5
	Stdout          = 6
	Stderr          = 7
	Data            = 8
	GetValues       = 9
	GetValuesResult = 10
	UnknownType     = 11
)

// Request is one request as received.
type Request struct {
	ID     uint16
	Keep   bool              // FCGI_KEEP_CONN
	Params map[string]string // the last one of each name
	Pairs  [][2]string       // all, in order
	Body   []byte
	N      int // 1 for the first request on its connection
}

// reader reads requests as PHP does: every PARAMS record is parsed by itself.
type reader struct{ *bufio.Reader }

func newReader(c io.Reader) reader { return reader{bufio.NewReader(c)} }

// ReadRequest reads one request, without answering anything.
func ReadRequest(in io.Reader) (*Request, error) {
	return reader{bufio.NewReader(in)}.request(nil, Options{IgnoreValues: true})
}

type record struct {
	kind    byte
	id      uint16
	content []byte
}

func (in reader) record() (record, error) {
	var h [8]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return record{}, err
	}
	length, pad := int(binary.BigEndian.Uint16(h[4:])), int(h[6])
	if h[0] != 1 || length+pad > 65535 {
		return record{}, fmt.Errorf("bad record header %x", h)
	}
	content := make([]byte, length+pad)
	_, err := io.ReadFull(in, content)
	return record{h[1], binary.BigEndian.Uint16(h[2:]), content[:length]}, err
}

// request reads the next request, answering FCGI_GET_VALUES on the way.
func (in reader) request(c io.Writer, opts Options) (*Request, error) {
	rec, err := in.record()
	for ; err == nil && rec.kind == GetValues && rec.id == 0; rec, err = in.record() {
		if opts.IgnoreValues {
			continue
		}
		if _, err := c.Write(recordBytes(GetValuesResult, 0, []byte("\x0f\x01FCGI_MPXS_CONNS0"))); err != nil {
			return nil, err
		}
		if opts.CloseAfterValues {
			return nil, io.EOF
		}
	}
	if err != nil {
		return nil, err
	}
	if rec.kind != Begin || len(rec.content) != 8 {
		return nil, fmt.Errorf("record type %d where BEGIN_REQUEST should be", rec.kind)
	}
	r := &Request{ID: rec.id, Keep: rec.content[2]&1 != 0, Params: make(map[string]string)}
	for {
		rec, err := in.record()
		if err != nil {
			return nil, err
		}
		if rec.kind != Params || rec.id != r.ID {
			return nil, fmt.Errorf("record type %d among the parameters", rec.kind)
		}
		if len(rec.content) == 0 {
			break
		}
		if err := r.addParams(rec.content); err != nil {
			return nil, err
		}
	}
	if opts.Early {
		return r, nil
	}
	return r, in.body(r)
}

func (in reader) body(r *Request) error {
	for {
		rec, err := in.record()
		if err != nil {
			return err
		}
		if rec.kind != Stdin || rec.id != r.ID {
			return fmt.Errorf("record type %d in the body", rec.kind)
		}
		if len(rec.content) == 0 {
			return nil
		}
		r.Body = append(r.Body, rec.content...)
	}
}

// rest reads the rest of a request's body.
func (in reader) rest(id uint16) error { return in.body(&Request{ID: id}) }

func (r *Request) addParams(b []byte) error {
	for len(b) > 0 {
		name, rest, err := length(b)
		if err != nil {
			return err
		}
		value, rest, err := length(rest)
		if err != nil {
			return err
		}
		if len(rest) < name+value {
			return errors.New("parameter exceeds its record")
		}
		pair := [2]string{string(rest[:name]), string(rest[name : name+value])}
		r.Pairs = append(r.Pairs, pair)
		r.Params[pair[0]] = pair[1]
		b = rest[name+value:]
	}
	return nil
}

func length(b []byte) (int, []byte, error) {
	if len(b) > 0 && b[0] < 128 {
		return int(b[0]), b[1:], nil
	}
	if len(b) < 4 {
		return 0, nil, errors.New("length exceeds its record")
	}
	return int(binary.BigEndian.Uint32(b) &^ (1 << 31)), b[4:], nil
}
