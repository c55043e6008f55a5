package cookies

import (
	"strconv"
	"strings"
	"time"
)

// cookieDate reads a date as browsers do in Expires (RFC 6265, 5.1.1): a time, a
// day, a month and a year in any order, among delimiters and other words. It accepts
// PHP's DATE_COOKIE, DATE_RFC850 and DATE_RFC1123, and C's asctime.
func cookieDate(s string) (at time.Time, ok bool) {
	var d dateParts
	for token := range strings.FieldsFuncSeq(s, isDateDelimiter) {
		d.take(token)
	}
	switch {
	case d.year >= 70 && d.year <= 99:
		d.year += 1900
	case d.year >= 0 && d.year <= 69:
		d.year += 2000
	}
	if d.found != allParts || d.year < 1601 || d.clock[0] > 23 || d.clock[1] > 59 || d.clock[2] > 59 {
		return at, false
	}
	at = time.Date(d.year, d.month, d.day, d.clock[0], d.clock[1], d.clock[2], 0, time.UTC)
	return at, at.Day() == d.day && at.Month() == d.month // there is no 31 February
}

// dateParts are the parts of a date that were found so far.
type dateParts struct {
	found     uint8 // which of the parts
	clock     [3]int
	day, year int
	month     time.Month
}

// The parts of a date, for dateParts.found.
const (
	clockPart uint8 = 1 << iota
	dayPart
	monthPart
	yearPart
	allParts = clockPart | dayPart | monthPart | yearPart
)

// take interprets a token as the first missing part that it can be.
func (d *dateParts) take(token string) {
	missing := func(part uint8) bool { return d.found&part == 0 }
	if clock, ok := clockOf(token); ok && missing(clockPart) {
		d.clock, d.found = clock, d.found|clockPart
		return
	}
	if day, ok := leadingNumber(token, 1, 2); ok && missing(dayPart) {
		d.day, d.found = day, d.found|dayPart
		return
	}
	if month := monthOf(token); month != 0 && missing(monthPart) {
		d.month, d.found = month, d.found|monthPart
		return
	}
	if year, ok := leadingNumber(token, 2, 4); ok && missing(yearPart) {
		d.year, d.found = year, d.found|yearPart
	}
}

// isDateDelimiter reports whether a byte stands between the tokens of a date. The
// colon of a time does not.
func isDateDelimiter(r rune) bool {
	return r == 0x09 || r >= 0x20 && r <= 0x2f || r >= 0x3b && r <= 0x40 || r >= 0x5b && r <= 0x60 || r >= 0x7b && r <= 0x7e
}

// clockOf reads hours, minutes and seconds, of one or two digits each. More may
// stand after them.
func clockOf(token string) (clock [3]int, ok bool) {
	for i := range clock {
		part, rest, more := strings.Cut(token, ":")
		if clock[i], ok = leadingNumber(part, 1, 2); !ok {
			return clock, false
		}
		if i < 2 && (!more || strings.Trim(part, "0123456789") != "") {
			return clock, false
		}
		token = rest
	}
	return clock, true
}

// leadingNumber reads the digits that a token begins with, least to most of them.
func leadingNumber(token string, least, most int) (n int, ok bool) {
	digits := len(token) - len(strings.TrimLeft(token, "0123456789"))
	if digits < least || digits > most {
		return 0, false
	}
	n, err := strconv.Atoi(token[:digits])
	return n, err == nil
}

// monthOf finds a month by the first three letters of its English name.
func monthOf(token string) time.Month {
	if len(token) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		if strings.EqualFold(token[:3], m.String()[:3]) {
			return m
		}
	}
	return 0
}
