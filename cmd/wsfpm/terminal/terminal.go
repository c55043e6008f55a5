// Package terminal makes text of other parties safe for a terminal: what clients, scripts
// and servers write must not move the cursor, change colours, or reverse the direction of
// a line.
//
//	fmt.Println(terminal.Escape(text))
package terminal

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"wsfpm/gateway/excerpt"
)

// Escape returns s on one line, with everything that a terminal could take for a command
// written as an escape: control characters (C0, DEL, C1 such as U+009B), line and paragraph
// separators, the controls of bidirectional text, and bytes that are not UTF-8.
func Escape(s string) string {
	i := 0
	for i < len(s) && s[i] >= ' ' && s[i] < 0x7f {
		i++
	}
	if i == len(s) {
		return s
	}
	var b strings.Builder
	b.WriteString(s[:i])
	for i < len(s) {
		r, size := utf8.DecodeRuneInString(s[i:])
		switch {
		case r == utf8.RuneError && size == 1:
			const hex = "0123456789abcdef"
			b.WriteString(`\x` + string(hex[s[i]>>4]) + string(hex[s[i]&15]))
		case commands(r):
			quoted := strconv.QuoteRuneToASCII(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		default:
			b.WriteString(s[i : i+size])
		}
		i += size
	}
	return b.String()
}

// JSON returns a text of JSON in which the characters that Escape escapes, and JSON does not,
// are escapes of JSON. They can stand in its strings only.
func JSON(text []byte) []byte {
	var out []byte
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		if r >= 0x7f && commands(r) {
			out = fmt.Appendf(out, `\u%04x`, r)
		} else {
			out = append(out, text[i:i+size]...)
		}
		i += size
	}
	return out
}

// Lines returns the lines of s, each escaped, at most n of them. A cut text ends with a
// line that has the number of lines left out.
func Lines(s string, n int) []string {
	all := strings.Split(strings.Trim(strings.ReplaceAll(s, "\r\n", "\n"), "\n"), "\n")
	var lines []string
	for i, line := range all {
		if i == n {
			return append(lines, "… "+strconv.Itoa(len(all)-n)+" more lines")
		}
		lines = append(lines, Escape(line))
	}
	return lines
}

// Excerpt returns the first n bytes of s, cut at a character, escaped, and an ellipsis when
// there are more.
func Excerpt(s string, n int) string {
	if len(s) <= n {
		return Escape(s)
	}
	return Escape(excerpt.Cut(s, n)) + "…"
}

// commands reports whether a terminal may take r for a command.
func commands(r rune) bool {
	switch {
	case r < ' ', r >= 0x7f && r <= 0x9f: // C0, DEL, C1
		return true
	case r == 0x61c, r == 0x200e, r == 0x200f, r >= 0x202a && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // bidirectional text
		return true
	case r == 0x2028, r == 0x2029: // separators
		return true
	}
	return false
}
