package redis

import "errors"

// NotSent reports whether [Client.Append] failed before a command was sent, so that Redis has
// certainly done nothing: the connection was not made, or not free in time.
func NotSent(err error) bool {
	_, ok := errors.AsType[*unsent](err)
	return ok
}

// unsent is an error before a command was sent.
type unsent struct{ error }

// Unwrap returns the error.
func (e *unsent) Unwrap() error { return e.error }

// newID is the argument of XADD that asks for a new id. It notes when go-redis writes it to a
// connection: an error of go-redis does not say whether it waited for the connection or for
// the answer.
type newID struct{ written bool }

// MarshalBinary implements [encoding.BinaryMarshaler].
func (id *newID) MarshalBinary() ([]byte, error) {
	id.written = true
	return []byte("*"), nil
}
