package cache

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"wsfpm/gateway/excerpt"
)

// mostVary is the largest number of names in Vary.
const mostVary = 16

// longest is the time that a larger number of seconds means (RFC 9111, 1.2.2).
const longest = (1 << 31) * time.Second

// Freshness returns for how long a shared cache may keep an answer with these Cache-Control
// lines (RFC 9111, 5.2.2): 0 for one that does not say public. If it does, and cannot be kept
// all the same, the error is the reason. s-maxage goes before max-age; directives that are
// not known count for nothing.
func Freshness(lines []string) (time.Duration, error) {
	list, err := directives(strings.Join(lines, ","))
	public := slices.ContainsFunc(list, func(d directive) bool { return d.name == "public" })
	if !public {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	ages := make(map[string]time.Duration)
	for _, d := range list {
		switch d.name {
		case "private", "no-store", "no-cache":
			return 0, fmt.Errorf("Cache-Control has both public and %s", d.name)
		case "max-age", "s-maxage":
			if _, twice := ages[d.name]; twice {
				return 0, fmt.Errorf("Cache-Control has %s twice", d.name)
			}
			if ages[d.name], err = d.seconds(); err != nil {
				return 0, err
			}
		}
	}
	if age, ok := ages["s-maxage"]; ok {
		return age, nil
	}
	if age, ok := ages["max-age"]; ok {
		return age, nil
	}
	return 0, errors.New("Cache-Control has public without max-age")
}

// directive is one directive of Cache-Control (RFC 9111, 5.2). Its name is in lower case.
type directive struct {
	name, value string
	quoted      bool
}

// seconds parses a number of seconds (RFC 9111, 1.2.2). A quoted one is refused: senders must
// not write it (5.2.2.1).
func (d directive) seconds() (time.Duration, error) {
	if d.quoted || d.value == "" || strings.Trim(d.value, "0123456789") != "" {
		return 0, fmt.Errorf("Cache-Control: %s=%s: want a number of seconds", d.name, excerpt.Of(d.value))
	}
	n, err := strconv.ParseInt(d.value, 10, 64)
	if err != nil || n > int64(longest/time.Second) {
		return longest, nil // too large for 64 bits
	}
	return time.Duration(n) * time.Second, nil
}

// directives parses the value of Cache-Control. With an error it returns those before the
// mistake.
func directives(s string) (list []directive, err error) {
	for {
		s = strings.TrimLeft(s, " \t,")
		if s == "" {
			return list, nil
		}
		var d directive
		if d, s, err = cutDirective(s); err != nil {
			return list, fmt.Errorf("Cache-Control: %w", err)
		}
		list = append(list, d)
		if s = strings.TrimLeft(s, " \t"); s != "" && s[0] != ',' {
			return list, fmt.Errorf("Cache-Control: want a comma before %q", excerpt.Of(s))
		}
	}
}

// cutDirective parses a directive at the beginning of s.
func cutDirective(s string) (d directive, rest string, err error) {
	name, rest := cutToken(s)
	if name == "" {
		return d, s, fmt.Errorf("want a directive at %q", excerpt.Of(s))
	}
	d.name = strings.ToLower(name)
	if !strings.HasPrefix(rest, "=") {
		return d, rest, nil
	}
	rest = rest[1:]
	if strings.HasPrefix(rest, `"`) {
		d.quoted = true
		d.value, rest, err = cutQuoted(rest)
		return d, rest, err
	}
	if d.value, rest = cutToken(rest); d.value == "" {
		return d, rest, fmt.Errorf("%s= without a value", excerpt.Of(d.name))
	}
	return d, rest, nil
}

// cutQuoted parses a quoted string at the beginning of s (RFC 9110, 5.6.4).
func cutQuoted(s string) (value, rest string, err error) {
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		b.WriteByte(s[i])
	}
	return "", "", fmt.Errorf("no end of the quoted string %s", excerpt.Of(s))
}

// cutToken parses a token at the beginning of s (RFC 9110, 5.6.2), which may be empty.
func cutToken(s string) (token, rest string) {
	n := 0
	for n < len(s) && isTokenByte(s[n]) {
		n++
	}
	return s[:n], s[n:]
}

func isTokenByte(b byte) bool {
	switch {
	case b >= 'a' && b <= 'z', b >= 'A' && b <= 'Z', b >= '0' && b <= '9':
		return true
	}
	return strings.IndexByte("!#$%&'*+-.^_`|~", b) >= 0
}

// ParseVary returns the names in the Vary lines of an answer, in lower case, sorted, each
// once (RFC 9110, 12.5.5). "*" is an error: no other request matches such an answer.
func ParseVary(lines []string) (names []string, err error) {
	for name := range strings.SplitSeq(strings.Join(lines, ","), ",") {
		name = strings.Trim(name, " \t")
		if name == "" {
			continue
		}
		if name == "*" {
			return nil, errors.New("its Vary is *")
		}
		if token, rest := cutToken(name); token == "" || rest != "" {
			return nil, fmt.Errorf("its Vary: %s is not a header's name", excerpt.Of(name))
		}
		names = append(names, strings.ToLower(name))
	}
	if names = union(nil, names); len(names) > mostVary {
		return nil, fmt.Errorf("its Vary has %d names, at most %d are allowed", len(names), mostVary)
	}
	return names, nil
}

// union returns the names of both lists, sorted, each once. It is a, if that has all of them.
func union(a, b []string) []string {
	if !slices.ContainsFunc(b, func(name string) bool { return !slices.Contains(a, name) }) {
		return a
	}
	both := slices.Concat(a, b)
	slices.Sort(both)
	return slices.Compact(both)
}
