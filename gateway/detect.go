package gateway

import (
	"bytes"
	"regexp"
	"strings"
)

// warningShown begins a warning as PHP displays it.
const warningShown = `(?:<b>Warning</b>|(?:PHP )?Warning): .*`

// PHP reports a fatal error with status 200 when display_errors is on or
// output has begun, so a crashed login script would let everybody in. These
// are the texts by which it gives itself away.
var (
	stderrSigns  = []string{"PHP Fatal error:", "PHP Parse error:", "Header may not contain"}
	startedSigns = []string{"headers already sent", "headers have already been sent"} // counts on connect: a refusal came too late

	// bodySigns is PHP's displayed form, with html_errors and without. PHP
	// begins a line with it; within a line it may be a client's own words, and
	// a chat that keeps them would fail for everybody.
	bodySigns = regexp.MustCompile(`(?m)^(?:<b>(?:Fatal|Parse) error</b>:|(?:PHP )?(?:Fatal|Parse) error: (?s:.*?) in (?-s:.+) on line \d+|` + warningShown + `Header may not contain )`)
	// bodyStarted is the same for a refusal that came too late.
	bodyStarted = regexp.MustCompile(`(?m)^` + warningShown + `headers (?:have )?already (?:been )?sent`)

	// bodyEarly is output that came before the script had said what it thinks of
	// the client: a byte order mark or blank lines before "<?php", or a warning
	// that PHP shows. Output that is blank altogether may stand behind "?>".
	// Without output_buffering it sends the headers, with status 200, and a
	// http_response_code(401) after it is lost: PHP 8.2 does not even complain.
	bodyEarly = regexp.MustCompile(`\A(?:\x{FEFF}|\s+\S|(?:<br />\s*)?(?:<b>(?:Warning|Notice|Deprecated)</b>: |(?:PHP )?(?:Warning|Notice|Deprecated): .* in .+ on line \d+))`)

	// scriptSigns say that PHP-FPM did not run the script at all.
	scriptSigns = []string{"Primary script unknown", "Access to the script", "Unable to open primary script"}
)

// phpError returns the text by which an answer shows that its script did not
// run to its end, or "".
func phpError(connect bool, stderr, body []byte) string {
	for _, sign := range stderrSigns {
		if bytes.Contains(stderr, []byte(sign)) {
			return sign
		}
	}
	if connect {
		for _, sign := range startedSigns {
			if bytes.Contains(stderr, []byte(sign)) {
				return sign
			}
		}
		if found := bodyStarted.Find(body); found != nil && looksShown(body) {
			return string(found)
		}
	}
	if !looksShown(body) {
		return ""
	}
	return string(bodySigns.Find(body))
}

// looksShown is a quick look that spares most bodies the regular expressions.
func looksShown(body []byte) bool {
	return bytes.Contains(body, []byte("error")) || bytes.Contains(body, []byte("eader"))
}

// scriptMissing reports PHP-FPM's complaint that it cannot run the script.
func scriptMissing(stderr []byte) bool {
	for _, sign := range scriptSigns {
		if strings.Contains(string(stderr), sign) {
			return true
		}
	}
	return false
}
