package ws

import (
	"bytes"
	"compress/flate"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"
)

// flateReader is what flate.NewReader makes.
type flateReader interface {
	io.Reader
	flate.Resetter
}

// inflateWindow is how far back compressed data refers, in bytes.
const inflateWindow = 32 << 10

// A message may have so many last blocks, and one more for each lastBlockBytes
// of it, compressed and inflated. After each of them the decompressor begins
// anew and copies its window, so that without a bound 32,000 empty ones, 64 KiB,
// would cost a gigabyte of copying.
const (
	lastBlocks     = 64
	lastBlockBytes = inflateWindow / 8
)

// inflate is the message that a client has compressed to payload (RFC 7692,
// 7.2.2). Its memory grows with what comes out, and not beyond the limit for
// messages.
func (c *Conn) inflate(payload []byte, text bool) ([]byte, error) {
	if len(payload) == 0 {
		return payload, nil
	}
	// An empty last block lets the decompressor see the end.
	in := bytes.NewReader(append(payload, flushed+"\x01\x00\x00\xff\xff"...))
	spare := &c.shared.inflaters
	f := spare.get(in)
	defer spare.pool.Put(f)
	data, err := c.inflateAll(f, in, len(payload))
	if err != nil {
		return nil, err
	}
	if text && !utf8.Valid(data) {
		return nil, &violation{1007, "text is not UTF-8"}
	}
	return exact(data), nil
}

// inflateAll reads f to the end of its input. A block that says it is the last
// need not be: clients flush so, too (RFC 7692, 7.2.3.4).
func (c *Conn) inflateAll(f flateReader, in *bytes.Reader, hint int) ([]byte, error) {
	limit := c.messageLimit()
	var data []byte
	for last := 0; ; {
		if len(data) == cap(data) {
			var err error
			if data, err = c.widen(data, hint, limit); err != nil {
				return nil, err
			}
		}
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > limit:
			return nil, c.tooLarge(limit)
		case err == nil:
		case !errors.Is(err, io.EOF):
			return nil, &violation{1007, "compressed data is broken"}
		case in.Len() == 0:
			return data, nil
		case last > lastBlocks+(int(in.Size())+len(data))/lastBlockBytes:
			return nil, &violation{1007, "compressed data has too many last blocks"}
		default:
			last++
			_ = f.Reset(in, data[max(0, len(data)-inflateWindow):]) // never fails
		}
	}
}

// widen makes room for more of a message that came in so many bytes: twice as
// much as there is, up to one byte above the limit.
func (c *Conn) widen(data []byte, compressed int, limit int64) ([]byte, error) {
	size := max(2*cap(data), 2*compressed, 512)
	if int64(size) > limit {
		size = int(limit + 1)
	}
	if err := c.hold(int64(size - cap(data))); err != nil {
		return nil, err
	}
	wider := make([]byte, len(data), size)
	copy(wider, data)
	return wider, nil
}

// messageLimit is the size of the largest message taken.
func (c *Conn) messageLimit() int64 {
	if limit := c.limits.Load().MessageLimit; limit > 0 {
		return limit
	}
	return largestMessage
}

func (c *Conn) tooLarge(limit int64) error {
	c.shared.Stats.MessagesTooLarge.Add(1)
	return &violation{1009, fmt.Sprintf("message is larger than %d bytes", limit)}
}
