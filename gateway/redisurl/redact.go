package redisurl

import "strings"

// Redact removes user and password of all URLs in a text, one per line: an error may quote
// a URL that was written in the wrong place. It removes up to the last @ of the line, since
// an @ in a password may lack its escape.
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
