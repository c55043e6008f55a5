package phpreport

import (
	"bytes"
	"slices"
	"strings"
)

// Where PHP displays a report, it puts it after the output so far. After a
// fatal error nothing follows but what shutdown functions write.

const (
	onLine     = " on line "
	stackBegin = "\nStack trace:\n"
	stackEnd   = "{main}"
	byteOrder  = "\xef\xbb\xbf"
	xdebugPage = "<br />\n<font size='1'><table class='xdebug-error xe-"
)

// displayed are the beginnings of a report of that kind whose text begins with
// words: with html_errors off and on, and by Xdebug with it on.
func displayed(kind, words string) [][]byte {
	return [][]byte{[]byte("\n" + kind + ": " + words), []byte("<br />\n<b>" + kind + "</b>:  " + words), []byte("( ! )</span> " + kind + ": " + words)}
}

// shownFatal are the beginnings of reports that end a script. Xdebug's page
// begins before its first words.
var shownFatal = slices.Concat(
	displayed("Fatal error", ""), displayed("Parse error", ""), displayed("Recoverable fatal error", ""),
	[][]byte{
		[]byte(xdebugPage + "fatal-error'"), []byte(xdebugPage + "parse-error'"),
		[]byte(xdebugPage + "uncaught-exception'"), []byte(xdebugPage + "catchable-fatal-error'"),
	},
)

// shownOnConnect are these and the beginnings of warnings that a header was lost.
var shownOnConnect = func() [][]byte {
	all := slices.Concat(shownFatal, displayed("Warning", headerLost))
	for _, words := range tooLate {
		all = append(all, displayed("Warning", words)...)
	}
	return all
}()

// shownFirst are the beginnings of all reports that a body can begin with.
var shownFirst = func() [][]byte {
	all := [][]byte{[]byte(xdebugPage)}
	for _, kind := range slices.Concat(fatalKinds, otherKinds) {
		all = append(all, displayed(kind, "")[:2]...)
	}
	return all
}()

// shownAtEnd returns the report that ends the script and, maybe with others
// after it, the body. It is nil without one.
func shownAtEnd(body []byte) []byte {
	place := placeAtEnd(body)
	if place < 0 {
		return nil
	}
	begin := firstIndex(body[:place], shownFatal)
	if begin < 0 {
		return nil
	}
	return body[begin:place]
}

// placeAtEnd returns where the line's number of the report begins with which
// body ends, or -1. For most bodies the last bytes decide.
func placeAtEnd(body []byte) int {
	switch {
	case bytes.HasSuffix(body, []byte("</b><br />\n")):
		return placeBefore(body[:len(body)-len("</b><br />\n")], onLine+"<b>")
	case bytes.HasSuffix(body, []byte("</table></font>\n")): // Xdebug
		return bytes.LastIndex(body, []byte(onLine+"<i>"))
	case bytes.HasSuffix(body, []byte(stackEnd+"\n")): // since PHP 8.5
		if i := bytes.LastIndex(body, []byte(stackBegin)); i >= 0 {
			return placeAtEnd(body[:i+1])
		}
	case bytes.HasSuffix(body, []byte("\n")):
		text := bytes.TrimRight(body, "\n")
		if place := placeBefore(text, onLine); place >= 0 {
			return place
		}
		if i := bytes.LastIndex(text, []byte("\n\nCall Stack:\n    ")); i >= 0 { // Xdebug
			return placeBefore(text[:i], onLine)
		}
	}
	return -1
}

// placeBefore returns where sign begins, when text ends with sign and a number.
func placeBefore(text []byte, sign string) int {
	before := bytes.TrimRight(text, "0123456789")
	if len(before) == len(text) || !bytes.HasSuffix(before, []byte(sign)) {
		return -1
	}
	return len(before) - len(sign)
}

// appendShown appends what the body of an answer to connect shows of PHP's
// reports. It is content only when no file of the site is named: a script that
// dies before its decision may write more in a shutdown function.
func appendShown(claims []claim, body []byte) []claim {
	if begin := firstIndex(body, shownOnConnect); begin >= 0 {
		if place := bytes.LastIndex(body, []byte(onLine)); place > begin {
			claims = append(claims, claim{body[begin:place], fromBody, true})
		}
	}
	if !beginsWithReport(body) {
		return claims
	}
	if place := bytes.Index(body, []byte(onLine)); place >= 0 { // a warning that came before all decisions
		claims = append(claims, claim{body[:place], fromBody, true})
	}
	if isPrependMissing(body) {
		claims = append(claims, claim{body, fromPrepend, true})
	}
	return claims
}

// beginsWithReport reports whether a body begins with a report.
func beginsWithReport(body []byte) bool {
	return slices.ContainsFunc(shownFirst, func(begin []byte) bool { return bytes.HasPrefix(body, begin) })
}

// isPrependMissing reports whether a body is PHP's whole answer when there is no
// auto_prepend_file: no script ran, and no line names another file.
func isPrependMissing(body []byte) bool {
	for line := range bytes.Lines(body) {
		text := strings.TrimRight(string(line), "\n")
		ends := func(with string) bool { return strings.HasSuffix(text, with) }
		if !slices.Contains(reportFrame, text) && !strings.HasPrefix(text, "<font size='1'><table class='xdebug-error xe-") && !slices.ContainsFunc(unknownPlace, ends) {
			return false
		}
	}
	return bytes.Contains(body, []byte("Failed opening required '"))
}

// What the lines of a report that names no file can be, or end with.
var (
	reportFrame  = []string{"", "<br />", "</table></font>"}
	unknownPlace = []string{" in Unknown on line 0", " in <b>Unknown</b> on line <b>0</b><br />", " in Unknown on line <i>0</i></th></tr>"}
)

// ComesFirst reports whether a body begins with output that no script means to
// send: a byte order mark or blank lines before "<?php". Output that is blank
// altogether may stand after "?>". Without output_buffering it sends the
// headers, with status 200, and a http_response_code(401) after it is lost: PHP
// 8.2 does not even complain.
func ComesFirst(body []byte) bool {
	if bytes.HasPrefix(body, []byte(byteOrder)) {
		return true
	}
	text := bytes.TrimLeft(body, " \t\r\n")
	return len(text) > 0 && len(text) < len(body) && !beginsWithReport(body)
}

// reportBegins returns where the first report in whole lines of a stream begins
// that ends the script, or -1.
func reportBegins(lines []byte) int {
	for _, sign := range shownFatal {
		if _, line, _ := bytes.Cut(sign, []byte("\n")); len(line) > 0 && bytes.HasPrefix(lines, line) {
			return 0 // the line before was sent
		}
	}
	return firstIndex(lines, shownFatal)
}

// firstIndex returns where the first of the signs stands in text, or -1.
func firstIndex(text []byte, signs [][]byte) int {
	first := -1
	for _, sign := range signs {
		if at := bytes.Index(text, sign); at >= 0 && (first < 0 || at < first) {
			first = at
		}
	}
	return first
}
