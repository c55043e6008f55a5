package session

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// Position is a place in the log of durable messages: that of one entry, behind which
// the next one follows. It is a value; the zero value is no position.
//
// Its text is 1795879931816-0-8ebb67: the id that Redis gave the entry, in milliseconds
// since 1970 and a number within the millisecond, and the tag of the log's history. Ids
// of two histories cannot be compared: after Redis has lost entries it gives their ids
// again.
type Position struct {
	Milli, Seq uint64
	Tag        Tag
}

// Tag identifies a history of the log: the first six hexadecimal digits of a replication
// id, or [NoTag]. The zero value is that of no position.
type Tag uint32

// NoTag is the tag of a log whose history is not known, "0" as text.
const NoTag Tag = 1<<32 - 1

// tagDigits is the length of a tag's text.
const tagDigits = 6

// tagSet distinguishes the tag 000000 from none.
const tagSet Tag = 1 << 31

// ParseTag parses six lower-case hexadecimal digits, or "0" for [NoTag].
func ParseTag(s string) (Tag, error) {
	if s == "0" {
		return NoTag, nil
	}
	n, err := strconv.ParseUint(s, 16, 24)
	if err != nil || len(s) != tagDigits || strings.ToLower(s) != s {
		return 0, errors.New("the tag is not six hexadecimal digits")
	}
	return Tag(n) | tagSet, nil
}

// String returns the text of ParseTag.
func (t Tag) String() string {
	if t == NoTag {
		return "0"
	}
	return fmt.Sprintf("%0*x", tagDigits, uint32(t&^tagSet))
}

// ParsePosition parses the text of a position, which a client may have forged. It accepts
// only what [Position.String] writes.
func ParsePosition(s string) (Position, error) {
	milli, rest, _ := strings.Cut(s, "-")
	seq, tag, _ := strings.Cut(rest, "-")
	m, noMilli := parseNumber(milli)
	n, noSeq := parseNumber(seq)
	t, noTag := ParseTag(tag)
	if noMilli != nil || noSeq != nil || noTag != nil {
		return Position{}, fmt.Errorf("position %q: want the form 1795879931816-0-8ebb67", shorten(s))
	}
	return Position{m, n, t}, nil
}

// parseNumber parses decimal digits in their shortest form.
func parseNumber(s string) (uint64, error) {
	if s == "" || s[0] < '0' || s[0] > '9' || len(s) > 1 && s[0] == '0' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, 64)
}

// String returns the position's text, "" for the zero value.
func (p Position) String() string {
	if p.IsZero() {
		return ""
	}
	return p.ID() + "-" + p.Tag.String()
}

// ID is the entry's id in Redis, without the tag.
func (p Position) ID() string {
	return strconv.FormatUint(p.Milli, 10) + "-" + strconv.FormatUint(p.Seq, 10)
}

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p == Position{} }

// Compare orders positions of one history, as [cmp.Compare]; the zero value is before
// all. It ignores the tag.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.Milli, q.Milli), cmp.Compare(p.Seq, q.Seq))
}

// After reports whether p is behind q in one history.
func (p Position) After(q Position) bool { return p.Compare(q) > 0 }
