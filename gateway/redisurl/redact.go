package redisurl

import "strings"

// Redact takes the user and the password of a URL from a text, line by line,
// wherever they stand: a URL may have been written in the place of something
// else, which an error quotes. It goes to the last @ of the line, since an @ in
// a password may lack its escape.
func Redact(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		before, after, isURL := strings.Cut(line, "://")
		if at := strings.LastIndexByte(after, '@'); isURL && at >= 0 {
			line = before + "://…" + after[at:]
		}
		b.WriteString(line)
	}
	return b.String()
}
