package ws

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"unicode/utf8"
)

// flateReader is the type that flate.NewReader returns.
type flateReader interface {
	io.Reader
	flate.Resetter
}

// inflateWindow is the size of the DEFLATE window, in bytes.
const inflateWindow = 32 << 10

// A message may have at most lastBlocks last blocks, and one more for each lastBlockBytes of
// its compressed and inflated size. After each the decompressor restarts and copies its
// window: without a limit 32,000 empty blocks, 64 KiB, would cost a gigabyte of copying.
const (
	lastBlocks     = 64
	lastBlockBytes = inflateWindow / 8
)

// mostInflated is the largest number of bytes that one compressed byte expands to.
const mostInflated = 1032

// errFull is returned when there is no memory to inflate a message without waiting.
var errFull = errors.New("no memory to inflate")

// inflation is the decompression of one message.
type inflation struct {
	c     *Conn
	limit int64 // of messages
	most  int64 // maximum of bytes to produce, at most limit+1
	room  int64 // bytes claimed from the budget and not used yet
	made  int64 // bytes claimed and used
}

// inflate decompresses a message (RFC 7692, 7.2.2). Its memory grows with the output, up to
// the message limit. If the budget has no room, decompression restarts after a wait for all
// that may be needed: no decompressor is held during a wait.
func (c *Conn) inflate(payload []byte, text bool) ([]byte, error) {
	if len(payload) == 0 {
		return payload, nil
	}
	i := inflation{c: c, limit: c.messageLimit()}
	i.most = min(i.limit+1, mostInflated*int64(len(payload))+512)
	// An empty last block lets the decompressor see the end.
	payload = append(payload, flushed+"\x01\x00\x00\xff\xff"...)
	data, err := i.run(payload)
	if errors.Is(err, errFull) {
		if err = c.hold(i.most - i.made); err != nil {
			return nil, err
		}
		i.room = i.most
		data, err = i.run(payload)
	}
	if err != nil {
		return nil, err
	}
	if text && !utf8.Valid(data) {
		return nil, &violation{1007, "text is not UTF-8"}
	}
	return exact(data), nil
}

// run inflates payload. A block marked as last may be followed by more: some clients flush
// with one (RFC 7692, 7.2.3.4).
func (i *inflation) run(payload []byte) ([]byte, error) {
	in := bytes.NewReader(payload)
	spare := &i.c.shared.inflaters
	f := spare.get(in)
	defer spare.pool.Put(f)
	var data []byte
	for last := 0; ; {
		if len(data) == cap(data) {
			var err error
			if data, err = i.widen(data, len(payload)); err != nil {
				return nil, err
			}
		}
		n, err := f.Read(data[len(data):cap(data)])
		data = data[:len(data)+n]
		switch {
		case int64(len(data)) > i.limit:
			return nil, i.c.tooLarge(i.limit)
		case err == nil:
		case !errors.Is(err, io.EOF):
			return nil, &violation{1007, "compressed data is invalid"}
		case in.Len() == 0:
			return data, nil
		case last > lastBlocks+(len(payload)+len(data))/lastBlockBytes:
			return nil, &violation{1007, "compressed data has too many last blocks"}
		default:
			last++
			_ = f.Reset(in, data[max(0, len(data)-inflateWindow):]) // never fails
		}
	}
}

// widen doubles the capacity of data, at most to i.most. The message had compressed bytes.
func (i *inflation) widen(data []byte, compressed int) ([]byte, error) {
	size := min(int64(max(2*cap(data), 2*compressed, 512)), i.most)
	more := size - int64(cap(data))
	switch {
	case i.room >= more:
		i.room -= more
	case i.c.input.held.TryGrow(more):
		i.made += more
	default:
		return nil, errFull
	}
	wider := make([]byte, len(data), size)
	copy(wider, data)
	return wider, nil
}

// exact copies data if its capacity exceeds its length.
func exact(data []byte) []byte {
	if cap(data) == len(data) {
		return data
	}
	out := make([]byte, len(data))
	copy(out, data)
	return out
}
