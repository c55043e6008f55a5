package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/redisurl"
)

// Duration is a time span in the file, written "30s", "1m30s" or "250ms". Only 0 may be
// written without a unit, which would be ambiguous otherwise.
type Duration time.Duration

// UnmarshalText reads a duration. Negative ones are errors.
func (d *Duration) UnmarshalText(text []byte) error {
	v, err := time.ParseDuration(strings.TrimSpace(string(text)))
	if err != nil {
		return fmt.Errorf(`%q is not a duration: write "30s", "250ms", "1m30s" or "0"`, clip(string(text)))
	}
	if v < 0 {
		return fmt.Errorf("%q is negative: write 0 or a time span", clip(string(text)))
	}
	*d = Duration(v)
	return nil
}

// MarshalText writes the duration so that UnmarshalText reads it back.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String writes the duration without needless zero units: "10m", not "10m0s".
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Size is a number of bytes, written "64KiB", "1MiB", "2GiB" or plain.
type Size int64

// The units of sizes, largest first.
var sizeUnits = []struct {
	name  string
	bytes int64
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// UnmarshalText reads a size. Units of 1000 are refused rather than guessed.
func (s *Size) UnmarshalText(text []byte) error {
	raw := strings.TrimSpace(string(text))
	number, unit := raw, int64(1)
	for _, u := range sizeUnits {
		if rest, ok := strings.CutSuffix(raw, u.name); ok {
			number, unit = strings.TrimRight(rest, " "), u.bytes
			break
		}
	}
	v, err := strconv.ParseInt(number, 10, 64)
	switch {
	case errors.Is(err, strconv.ErrRange) || err == nil && v > math.MaxInt64/unit:
		return fmt.Errorf("%q is too large", clip(raw))
	case err != nil:
		return fmt.Errorf(`%q is not a size: write whole bytes, or "64KiB", "1MiB", "2GiB"`, clip(raw))
	case v < 0:
		return fmt.Errorf("%q is negative: write 0 or a size", clip(raw))
	}
	*s = Size(v * unit)
	return nil
}

// MarshalText writes the size so that UnmarshalText reads it back.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// String writes the size in the largest unit that divides it.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && int64(s)%u.bytes == 0 && u.bytes > 1 {
			return strconv.FormatInt(int64(s)/u.bytes, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// Fraction is a part of a whole, from 0 to 1, written "50 %" or 0.5.
type Fraction float64

// UnmarshalText reads a fraction.
func (f *Fraction) UnmarshalText(text []byte) error {
	raw := strings.TrimSpace(string(text))
	number, percent := strings.CutSuffix(raw, "%")
	v, err := strconv.ParseFloat(strings.TrimSpace(number), 64)
	if percent {
		v /= 100
	}
	if err != nil || math.IsNaN(v) || v < 0 || v > 1 {
		return fmt.Errorf(`%q is not a part of a whole: write "50 %%" or 0.5`, clip(raw))
	}
	*f = Fraction(v)
	return nil
}

// MarshalText writes the fraction so that UnmarshalText reads it back.
func (f Fraction) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// String writes the fraction as a number from 0 to 1.
func (f Fraction) String() string { return strconv.FormatFloat(float64(f), 'g', -1, 64) }

// Mode is a file mode, written in octal as "0660". os.FileMode(m) is its use.
type Mode uint32

// UnmarshalText reads the permission bits of a file.
func (m *Mode) UnmarshalText(text []byte) error {
	v, err := strconv.ParseUint(strings.TrimPrefix(string(text), "0o"), 8, 32)
	if err != nil || v > 0o777 {
		return fmt.Errorf(`%q is not a file mode: write octal digits in quotes, such as "0660"`, clip(string(text)))
	}
	*m = Mode(v)
	return nil
}

// MarshalText writes the mode so that UnmarshalText reads it back.
func (m Mode) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// String writes the mode as four octal digits.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

// clip shortens a value for an error and removes secrets: it may be a misplaced URL.
func clip(s string) string { return excerpt.Of(redisurl.Redact(s)) }
