package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Field is one line of an answer's header: the name as sent, and the value without
// surrounding white space.
type Field struct{ Name, Value string }

// Header holds an answer's header fields in PHP's order. A name may occur more
// than once.
type Header []Field

// Get returns the first value of name, in any case, or "".
func (h Header) Get(name string) string {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Values returns all values of name, in any case, in PHP's order.
func (h Header) Values(name string) []string {
	var values []string
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			values = append(values, f.Value)
		}
	}
	return values
}

// headerEnd finds the blank line that ends a header block in b; the first seen bytes
// were searched before. It returns the length of the block including the blank line,
// or 0. Lines end in LF or CRLF.
func headerEnd(b []byte, seen int) int {
	for i := max(0, seen-2); ; {
		n := bytes.IndexByte(b[i:], '\n')
		if n < 0 {
			return 0
		}
		i += n + 1
		switch {
		case i == 1, i == 2 && b[0] == '\r': // an empty block
			return i
		case i < len(b) && b[i] == '\n':
			return i + 1
		case i+1 < len(b) && b[i] == '\r' && b[i+1] == '\n':
			return i + 2
		}
	}
}

// parseHeader appends the fields of a complete header block to h, without Status,
// which it returns: 200 by default (RFC 3875, 6.3.3). A block without fields, or with
// an invalid line, is an error.
func parseHeader(h Header, block string) (status int, _ Header, err error) {
	for line := range strings.SplitSeq(block, "\n") {
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			continue
		}
		name, value, found := strings.Cut(line, ":")
		if !found || !validName(name) {
			return 0, h, fmt.Errorf("header line %.64q has no name", line)
		}
		value = strings.Trim(value, " \t")
		if strings.ContainsAny(value, "\r\x00") {
			return 0, h, fmt.Errorf("NUL or CR in header field %.64q", name)
		}
		if !strings.EqualFold(name, "Status") {
			h = append(h, Field{name, value})
			continue
		}
		if status != 0 {
			return 0, h, errors.New("header has two Status lines")
		}
		if status = parseStatus(value); status == 0 {
			return 0, h, fmt.Errorf("unreadable status %.64q", value)
		}
	}
	if status == 0 {
		if len(h) == 0 {
			return 0, h, errors.New("empty header")
		}
		status = 200
	}
	return status, h, nil
}

// validName reports whether name has neither white space nor control bytes.
func validName(name string) bool {
	return name != "" && !strings.ContainsFunc(name, func(c rune) bool { return c <= ' ' || c == 0x7f })
}

// parseStatus reads "404" or "404 Not Found"; 0 means unreadable.
func parseStatus(s string) int {
	code, _, _ := strings.Cut(s, " ")
	status, err := strconv.ParseUint(code, 10, 16)
	if err != nil || len(code) != 3 || status < 100 {
		return 0
	}
	return int(status)
}
