// Package excerpt keeps a peer's text from filling an error or a log line:
//
//	fmt.Errorf("unknown header %q", excerpt.Of(name))
package excerpt

import "unicode/utf8"

// Of returns the first 80 bytes of s, and an ellipsis when there are more.
func Of(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}

// Cut returns the first n bytes of s, less a character that is not whole.
func Cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for back := 0; n > 0 && back < utf8.UTFMax-1 && !utf8.RuneStart(s[n]); back++ {
		n--
	}
	return s[:n]
}
