package fcgi

import (
	"net"
	"strconv"
)

// inlineBody is the size up to which a body is copied after the parameters, so that
// the request is one write. A larger one is written from Request.Body.
const inlineBody = 16 << 10

// appendBegin appends the records before the body: BEGIN_REQUEST and PARAMS. The
// Env's pairs come first, then r.Vars, then CONTENT_LENGTH. PHP parses every
// PARAMS record by itself, so records are cut between pairs only.
func appendBegin(b []byte, r *Request, keep bool) []byte {
	b = appendRecordHeader(b, typeBegin, 8)
	var flags byte
	if keep {
		flags = flagKeep
	}
	b = append(b, 0, roleResponder, flags, 0, 0, 0, 0, 0)

	from := 0
	for _, cut := range r.Env.cuts {
		b = appendRecordHeader(b, typeParams, cut-from)
		b = append(b, r.Env.pairs[from:cut]...)
		from = cut
	}
	open := len(b) // offset of the header of the last, still growing record
	b = appendRecordHeader(b, typeParams, 0)
	b = append(b, r.Env.common.Value()...)
	b = append(b, r.Env.pairs[from:]...)
	for _, v := range r.Vars {
		if v.Name != contentLength {
			b, open = appendVar(b, open, v)
		}
	}
	// No string from strconv: this runs for every request.
	var digits [20]byte
	n := strconv.AppendInt(digits[:0], int64(len(r.Body)), 10)
	if len(b)-open-recordHeader+2+len(contentLength)+len(n) > maxContent {
		b, open = nextParams(b, open)
	}
	b = append(b, byte(len(contentLength)), byte(len(n)))
	b = append(b, contentLength...)
	b = append(b, n...)

	setRecordLength(b[open:], len(b)-open-recordHeader)
	return appendRecordHeader(b, typeParams, 0)
}

// appendVar appends v to the PARAMS record whose header is at open, or to a new one if
// that is full. It returns the offset of the growing record's header.
func appendVar(b []byte, open int, v Var) ([]byte, int) {
	if len(b)-open-recordHeader+v.size() > maxContent {
		b, open = nextParams(b, open)
	}
	return v.append(b), open
}

// nextParams ends the PARAMS record at open and begins another.
func nextParams(b []byte, open int) ([]byte, int) {
	setRecordLength(b[open:], len(b)-open-recordHeader)
	return appendRecordHeader(b, typeParams, 0), len(b)
}

// appendEnd appends the end of STDIN and the ready probe.
func appendEnd(b []byte, withProbe bool) []byte {
	b = appendRecordHeader(b, typeStdin, 0)
	if withProbe {
		b = append(b, probe...)
	}
	return b
}

// encode returns r's bytes in order. They are in buf, which grows as needed and is
// returned, and, above inlineBody, in r.Body itself. WithProbe adds a probe after the
// request, probeAhead one before it.
func encode(buf []byte, r *Request, withProbe, probeAhead bool) (out net.Buffers, grown []byte) {
	b := buf[:0]
	if probeAhead {
		b = append(b, probe...)
	}
	b = appendBegin(b, r, withProbe)
	if len(r.Body) <= inlineBody {
		if len(r.Body) > 0 {
			b = appendRecordHeader(b, typeStdin, len(r.Body))
			b = append(b, r.Body...)
		}
		b = appendEnd(b, withProbe)
		return nil, b
	}
	begin := len(b)
	b = appendRecordHeader(b, typeStdin, maxContent)
	full := len(b)
	rest := len(r.Body) % maxContent
	b = appendRecordHeader(b, typeStdin, rest)
	last := len(b)
	b = appendEnd(b, withProbe)

	out = make(net.Buffers, 0, 2*(len(r.Body)/maxContent)+4)
	out = append(out, b[:begin])
	body := r.Body
	for ; len(body) >= maxContent; body = body[maxContent:] {
		out = append(out, b[begin:full], body[:maxContent])
	}
	if rest > 0 {
		out = append(out, b[full:last], body)
	}
	return append(out, b[last:]), b
}
