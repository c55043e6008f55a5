package fcgi

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unique"
)

// contentLength is set by this package only: with a wrong or missing one PHP misreads
// the body and the rest of the stream.
const contentLength = "CONTENT_LENGTH"

// Env holds the parameters that many requests share, encoded once. It is
// immutable and safe for concurrent use.
type Env struct {
	script unique.Handle[string] // SCRIPT_FILENAME
	common unique.Handle[string] // encoded name-value pairs that come first, shared by equal Envs
	pairs  []byte                // the others, sorted by name
	cuts   []int                 // offsets into pairs at which one PARAMS record must end
}

// Var is one parameter of a single request, such as REQUEST_METHOD. Its value may
// hold any bytes.
type Var struct{ Name, Value string }

// NewEnv encodes params. SCRIPT_FILENAME is required; CONTENT_LENGTH is ignored, since
// every request has its own. The error names the invalid parameter: an empty name, a
// control byte or '=' in a name, NUL in a value, or a pair larger than a record
// (ErrTooLarge), at which PHP would drop the connection.
//
// Common lists parameters whose values many Envs have in common, such as SERVER_NAME:
// Envs that are equal in all of these share their memory.
func NewEnv(params map[string]string, common ...string) (*Env, error) {
	script := params["SCRIPT_FILENAME"]
	if script == "" {
		return nil, errors.New("fcgi: no SCRIPT_FILENAME among the parameters")
	}
	e := &Env{script: unique.Make(script)}
	size := 0
	for name, value := range params {
		size += Var{name, value}.size()
	}
	if size > maxContent {
		common = nil // several records: keep all in pairs
	}
	var shared []byte
	e.pairs = make([]byte, 0, size)
	begin := 0 // of the current record
	for _, name := range slices.Sorted(maps.Keys(params)) {
		v := Var{name, params[name]}
		if name == contentLength {
			continue
		}
		if err := v.check(); err != nil {
			return nil, err
		}
		if strings.IndexByte(v.Value, 0) >= 0 {
			return nil, fmt.Errorf("fcgi: NUL in the value of parameter %q", name)
		}
		if slices.Contains(common, name) {
			shared = v.append(shared)
			continue
		}
		if len(e.pairs)-begin+v.size() > maxContent {
			begin = len(e.pairs)
			e.cuts = append(e.cuts, begin)
		}
		e.pairs = v.append(e.pairs)
	}
	e.common = unique.Make(string(shared))
	e.pairs = bytes.Clone(e.pairs) // without spare capacity: an Env lives as long as its client
	return e, nil
}

// Script returns SCRIPT_FILENAME, for errors and logs.
func (e *Env) Script() string { return e.script.Value() }

// check returns an error if PHP would reject v.
func (v Var) check() error {
	if v.Name == "" {
		return errors.New("fcgi: parameter without a name")
	}
	for i := range len(v.Name) {
		if c := v.Name[i]; c < ' ' || c == 0x7f || c == '=' {
			return fmt.Errorf("fcgi: byte %#02x in the name of parameter %q", c, v.Name)
		}
	}
	if v.size() > maxContent {
		return fmt.Errorf("fcgi: parameter %.64q of %d bytes: %w", v.Name, v.size(), ErrTooLarge)
	}
	return nil
}

// size is the number of bytes that append adds.
func (v Var) size() int {
	return lengthSize(len(v.Name)) + lengthSize(len(v.Value)) + len(v.Name) + len(v.Value)
}

// append appends v as a name-value pair (FastCGI specification, 3.4).
func (v Var) append(b []byte) []byte {
	b = appendLength(b, len(v.Name))
	b = appendLength(b, len(v.Value))
	b = append(b, v.Name...)
	return append(b, v.Value...)
}

func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

func appendLength(b []byte, n int) []byte {
	if n < 128 {
		return append(b, byte(n))
	}
	return binary.BigEndian.AppendUint32(b, uint32(n)|1<<31)
}

// Params decodes the parameters into a new map.
func (e *Env) Params() map[string]string {
	params := make(map[string]string)
	for b := slices.Concat([]byte(e.common.Value()), e.pairs); len(b) > 0; {
		var name, value []byte
		name, value, b = cutPair(b)
		params[string(name)] = string(value)
	}
	return params
}

// Get returns the value of one parameter, and whether it is there.
func (e *Env) Get(name string) (value string, found bool) {
	for _, b := range [...][]byte{[]byte(e.common.Value()), e.pairs} {
		for len(b) > 0 {
			var each, v []byte
			if each, v, b = cutPair(b); string(each) == name {
				return string(v), true
			}
		}
	}
	return "", false
}

// cutPair decodes a pair that append wrote.
func cutPair(b []byte) (name, value, rest []byte) {
	n, b := cutLength(b)
	v, b := cutLength(b)
	return b[:n], b[n : n+v], b[n+v:]
}

// cutLength decodes a length that appendLength wrote.
func cutLength(b []byte) (n int, rest []byte) {
	if b[0]>>7 == 0 {
		return int(b[0]), b[1:]
	}
	return int(binary.BigEndian.Uint32(b) & (1<<31 - 1)), b[4:]
}
