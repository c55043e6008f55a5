// Package excerpt keeps a peer's text from filling an error or a log line:
//
//	fmt.Errorf("unknown header %q", excerpt.Of(name))
package excerpt

// Of returns the first 80 bytes of s, and an ellipsis when there are more.
func Of(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
