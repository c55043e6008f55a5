package session

import (
	"fmt"
	"math"
	"strconv"
)

// Never is the value of [Command.Expires] for a session without an end.
const Never = math.MaxInt64

// lastSecond is the largest Unix time that is believed, of 11 digits, in the year 5138. A time in
// milliseconds is larger.
const lastSecond = 99_999_999_999

// ParseExpires parses the end of a session: a Unix time in seconds, or "never" or "".
func ParseExpires(text string) (int64, error) {
	if text == "never" || text == "" {
		return Never, nil
	}
	at, err := strconv.ParseUint(text, 10, 63) // without a sign
	if err != nil || at > lastSecond {
		return 0, fmt.Errorf("got %q, want a Unix time in seconds, such as time() + 3600, or never", shorten(text))
	}
	return int64(at), nil
}

// ExpiresText returns a text for [ParseExpires].
func ExpiresText(at int64) string {
	if at == Never {
		return "never"
	}
	return strconv.FormatInt(at, 10)
}

// readExpires reads the end of a session.
func readExpires(value []byte) (*int64, error) {
	if value == nil {
		return nil, nil
	}
	text, err := readText(value, `a Unix time in seconds, or "never"`)
	if err != nil {
		return nil, err
	}
	at, err := ParseExpires(text)
	return &at, err
}
