// Package cookies applies Set-Cookie lines to a Cookie header, as a browser would:
//
//	header, ignored := cookies.Set("a=1", []string{"b=2; path=/", "a=; Max-Age=0"}, time.Now()) // "b=2", 0
package cookies

import (
	"strings"
	"time"
)

// maxHeader bounds the Cookie header of one connection, in bytes.
const maxHeader = 16 << 10

// Set returns the Cookie header after an answer with these Set-Cookie lines:
// name=value replaces or adds, an old Expires or Max-Age ≤ 0 deletes (RFC 6265,
// 5.2 and 5.3). A line that is no cookie, or would make the header longer than
// maxHeader, changes nothing; ignored counts these.
func Set(header string, lines []string, now time.Time) (after string, ignored int) {
	for _, line := range lines {
		name, value, deleted, ok := parseSetCookie(line, now)
		if !ok {
			ignored++
			continue
		}
		next := withoutCookie(header, name)
		if !deleted {
			if next != "" {
				next += "; "
			}
			next += name + "=" + value
		}
		if len(next) > maxHeader && len(next) > len(header) {
			ignored++
			continue
		}
		header = next
	}
	return header, ignored
}

// parseSetCookie parses name, value and expiry of a Set-Cookie line.
func parseSetCookie(line string, now time.Time) (name, value string, deleted, ok bool) {
	pair, attributes, _ := strings.Cut(line, ";")
	name, value, found := strings.Cut(pair, "=")
	name, value = strings.TrimSpace(name), strings.TrimSpace(value)
	if !found || name == "" || strings.ContainsFunc(pair, isControl) {
		return "", "", false, false
	}
	var byAge bool
	for attribute := range strings.SplitSeq(attributes, ";") {
		key, v, _ := strings.Cut(attribute, "=")
		v = strings.TrimSpace(v)
		switch strings.ToLower(strings.TrimSpace(key)) {
		case "max-age": // wins over Expires (RFC 6265, 5.3 step 3)
			if digits := strings.TrimPrefix(v, "-"); digits != "" && strings.Trim(digits, "0123456789") == "" {
				deleted, byAge = digits != v || strings.Trim(digits, "0") == "", true
			}
		case "expires":
			if at, ok := cookieDate(v); ok && !byAge {
				deleted = !at.After(now)
			}
		}
	}
	return name, value, deleted, true
}

// withoutCookie returns a Cookie header without the cookies of this name.
func withoutCookie(header, name string) string {
	var kept []string
	for pair := range strings.SplitSeq(header, ";") {
		pair = strings.TrimSpace(pair)
		if key, _, _ := strings.Cut(pair, "="); pair == "" || strings.TrimSpace(key) == name {
			continue
		}
		kept = append(kept, pair)
	}
	return strings.Join(kept, "; ")
}

func isControl(r rune) bool { return r < 0x20 || r == 0x7f }
