package phpreport

import (
	"regexp"
	"slices"
	"strings"
)

// opening is how a report begins: its kind, and what follows of PHP's own words, if these are
// among the known ones. What a script or a client has written can only come after that.
var opening = func() *regexp.Regexp {
	var words []string
	for _, w := range slices.Concat([]string{headerLost}, tooLate) {
		words = append(words, regexp.QuoteMeta(strings.TrimSpace(w)))
	}
	return regexp.MustCompile(`((?:PHP )?(?:` + strings.Join(slices.Concat(fatalKinds, otherKinds), "|") + `)(?:</b>)?:\s+)(Uncaught [\w\\]{1,60}|` + strings.Join(words, "|") + `|)`)
}()

// Kind returns the beginning of a report as far as it has no text of a script's or a client's,
// and an ellipsis: "PHP Fatal error:  Uncaught RuntimeException…". The message of an exception
// often quotes what a client has sent.
func Kind(report string) string {
	m := opening.FindStringSubmatch(report)
	if m == nil {
		return "…"
	}
	return strings.ReplaceAll(m[1], "</b>", "") + m[2] + "…"
}
