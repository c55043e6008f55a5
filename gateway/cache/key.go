package cache

import (
	"crypto/sha256"
	"encoding/binary"
)

// Key is the SHA-256 of the parts of a request.
type Key [sha256.Size]byte

// Parts are the parts of a key, each with its length before it: no two lists of parts are the
// same bytes. The zero value is an empty list.
type Parts []byte

// Add appends a part.
func (p Parts) Add(part string) Parts {
	p = binary.AppendUvarint(p, uint64(len(part)))
	return append(p, part...)
}

// AddBytes is [Parts.Add] for bytes.
func (p Parts) AddBytes(part []byte) Parts {
	p = binary.AppendUvarint(p, uint64(len(part)))
	return append(p, part...)
}

// AddOptional appends a part that may be absent, which is another key than an empty one.
func (p Parts) AddOptional(part string, present bool) Parts {
	if !present {
		return append(p, 0)
	}
	return append(p, 1).Add(part)
}

// Key returns the key of the parts.
func (p Parts) Key() Key { return sha256.Sum256(p) }
