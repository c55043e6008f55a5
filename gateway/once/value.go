package once

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Key is the store's key of a user's message id. The length keeps users apart whose names
// hold colons. Prefix is that of all our names.
func Key(prefix, user, id string) string {
	return prefix + "once:" + strconv.Itoa(len(user)) + ":" + user + ":" + id
}

// Hash stands for what a message asks for: its data, and the script that is to handle it.
// It has 22 characters.
func Hash(script string, data []byte) string {
	h := sha256.New()
	h.Write([]byte(strconv.Itoa(len(script))))
	h.Write([]byte{':'})
	h.Write([]byte(script))
	h.Write(data)
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)[:hashBytes])
}

// User stands for a user, towards the page: it differs between users and does not show their names.
// All processes have the same.
func User(name string) string {
	h := sha256.Sum256([]byte("user:" + name))
	return base64.RawURLEncoding.EncodeToString(h[:userBytes])
}

const (
	userBytes = 6
	hashBytes = 16
	hashLen   = 22 // of a hash as text
)

// Message is one message of a kept answer.
type Message struct {
	Binary bool
	Data   []byte
}

// size is the number of bytes of an answer's messages.
func size(answer []Message) (n int) {
	for _, m := range answer {
		n += len(m.Data)
	}
	return n
}

// kind is the state of a message id, the first word of its value.
type kind string

// The kinds of values:
//
//	run:HASH:OVER:TOKEN:NODE   a request runs on a node. It is over for certain when the
//	                           key has OVER milliseconds or less left.
//	unknown:HASH               a request was cut off or timed out: it may have run
//	done:HASH                  PHP has answered, and the answer is not kept
//	kept:HASH:MESSAGES         PHP has answered. Each message is t (text) or b (binary), its
//	                           length in bytes, a colon and the bytes.
const (
	kindRun     kind = "run"
	kindUnknown kind = "unknown"
	kindDone    kind = "done"
	kindKept    kind = "kept"
)

// value is a stored value.
type value struct {
	kind   kind
	hash   string
	over   time.Duration // of a run
	node   string        // of a run
	answer []Message     // of kindKept
}

func runValue(hash string, over time.Duration, token, node string) string {
	return string(kindRun) + ":" + hash + ":" + strconv.FormatInt(over.Milliseconds(), 10) + ":" + token + ":" + node
}

func unknownValue(hash string) string { return string(kindUnknown) + ":" + hash }

func doneValue(hash string) string { return string(kindDone) + ":" + hash }

func keptValue(hash string, answer []Message) string {
	b := make([]byte, 0, len(kindKept)+1+hashLen+1+size(answer)+8*len(answer))
	b = append(b, kindKept...)
	b = append(b, ':')
	b = append(b, hash...)
	b = append(b, ':')
	for _, m := range answer {
		letter := byte('t')
		if m.Binary {
			letter = 'b'
		}
		b = append(b, letter)
		b = strconv.AppendInt(b, int64(len(m.Data)), 10)
		b = append(b, ':')
		b = append(b, m.Data...)
	}
	return string(b)
}

var errValue = errors.New("value of a message id is malformed")

// parse reads a stored value.
func parse(s string) (v value, err error) {
	first, rest, _ := strings.Cut(s, ":")
	v.kind = kind(first)
	if len(rest) < hashLen || strings.Contains(rest[:hashLen], ":") {
		return value{}, errValue
	}
	v.hash, rest = rest[:hashLen], rest[hashLen:]
	switch v.kind {
	case kindUnknown, kindDone:
		if rest != "" {
			return value{}, errValue
		}
		return v, nil
	case kindRun:
		return v.parseRun(rest)
	case kindKept:
		if !strings.HasPrefix(rest, ":") {
			return value{}, errValue
		}
		v.answer, err = parseAnswer(rest[1:])
		if err != nil {
			return value{}, err
		}
		return v, nil
	}
	return value{}, errValue
}

func (v value) parseRun(rest string) (value, error) {
	parts := strings.SplitN(rest, ":", 4)
	if len(parts) != 4 || parts[0] != "" || parts[2] == "" || parts[3] == "" {
		return value{}, errValue
	}
	over, err := strconv.ParseInt(parts[1], 10, 64)
	if err != nil || over < 0 || over > int64(maxOver/time.Millisecond) {
		return value{}, errValue
	}
	v.over, v.node = time.Duration(over)*time.Millisecond, parts[3]
	return v, nil
}

// maxOver keeps a garbled number from overflowing.
const maxOver = 10 * 365 * 24 * time.Hour

func parseAnswer(s string) (answer []Message, err error) {
	for s != "" {
		letter, digits := s[0], ""
		digits, s, _ = strings.Cut(s[1:], ":")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil || letter != 't' && letter != 'b' || int(n) > len(s) {
			return nil, errValue
		}
		m := Message{Binary: letter == 'b', Data: []byte(s[:n])}
		if !m.Binary && !utf8.Valid(m.Data) {
			return nil, errValue
		}
		answer, s = append(answer, m), s[n:]
	}
	return answer, nil
}
