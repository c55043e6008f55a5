package phpreport

import (
	"bytes"
	"slices"
)

// PHP-FPM puts the messages of a request one after the other: "PHP message:
// first; PHP message: second". A report of PHP's begins with "PHP", its kind, a
// colon and two spaces, and ends with a file and a line. error_log() writes what
// it is given in the same way, so a client's words can hold all of that, but
// for the path of a file of the site.
const (
	messageStart = "PHP message: "
	messageBreak = "; " + messageStart
	messageCut   = "..." // the end of one that was longer than PHP-FPM's log_limit
)

// How a report on an uncaught exception begins, and its last line.
const (
	uncaughtStart = "PHP Fatal error:  Uncaught "
	thrownIn      = "\n  thrown in "
)

// reportOnStderr returns the message in which PHP says that the script did not
// run to its end, or nil.
func reportOnStderr(stderr []byte, folder string, connect bool) []byte {
	rest := bytes.TrimPrefix(stderr, []byte(messageStart))
	for more := true; more; {
		var text []byte
		text, rest, more = cutMessage(rest, folder)
		if endsScript(text, folder, connect) {
			return text
		}
	}
	if connect { // whatever a script had logged before it died
		return uncaught(stderr, folder)
	}
	return nil
}

// cutMessage cuts the first message off stderr. A report does not end before it
// has named a file of the site: what looks like a next message before that is
// a client's words in it.
func cutMessage(stderr []byte, folder string) (text, rest []byte, more bool) {
	kind, _ := report(stderr)
	named := -1
	if kind != "" {
		named = bytes.Index(stderr, []byte(folder))
	}
	for from := 0; ; {
		i := bytes.Index(stderr[from:], []byte(messageBreak))
		if i < 0 {
			return stderr, nil, false
		}
		end := from + i
		from = end + len(messageBreak)
		text = stderr[:end]
		if kind == "" || named >= 0 && named < end && endsAtPlace(text) || isCut(text) {
			return text, stderr[from:], true
		}
	}
}

// endsScript reports whether PHP's message means that the script did not run to its end,
// or that a refusal may have been lost.
func endsScript(text []byte, folder string, connect bool) bool {
	kind, words := report(text)
	if slices.Contains(fatalKinds, kind) {
		if connect && isCut(text) || uncaught(text, folder) != nil {
			return true
		}
	} else if kind != "Warning" || !losesHeader(words, connect) {
		return false
	}
	return bytes.Contains(text, []byte(folder)) && !bytes.Contains(text, []byte(messageBreak)) &&
		(endsAtPlace(text) || bytes.HasSuffix(text, []byte(messageCut)))
}

// report returns the kind of the report that a message is, or "", and its text.
func report(message []byte) (kind string, words []byte) {
	after, found := bytes.CutPrefix(message, []byte("PHP "))
	if !found {
		return "", nil
	}
	for _, kinds := range [][]string{fatalKinds, otherKinds} {
		for _, kind := range kinds {
			if words, found := bytes.CutPrefix(after, []byte(kind+":  ")); found {
				return kind, words
			}
		}
	}
	return "", nil
}

// losesHeader reports whether a warning says that PHP dropped a header, on
// connect also because it came too late.
func losesHeader(words []byte, connect bool) bool {
	begins := func(with string) bool { return bytes.HasPrefix(words, []byte(with)) }
	return begins(headerLost) || connect && slices.ContainsFunc(tooLate, begins)
}

// uncaught returns the last line of a report on an exception that was thrown in
// a file of the site, or nil. PHP names file and line twice in it, so that words
// of a client's in front of a path that PHP wrote for another reason make none.
func uncaught(text []byte, folder string) []byte {
	begin := bytes.Index(text, []byte(uncaughtStart))
	for from := max(begin, 0); begin >= 0; {
		i := bytes.Index(text[from:], []byte(thrownIn+folder))
		if i < 0 {
			return nil
		}
		line := text[from+i+1:]
		before := text[begin : from+i]
		if end := bytes.IndexByte(line, '\n'); end >= 0 {
			line = line[:end]
		}
		from += i + len(line)
		if first, _, found := bytes.Cut(line, []byte(messageBreak)); found {
			line = first
		}
		place := placeBefore(line, onLine)
		if place < 0 {
			continue
		}
		file, number := line[len(thrownIn)-1:place], line[place+len(onLine):]
		if bytes.Contains(before, slices.Concat([]byte(" in "), file, []byte(":"), number, []byte(stackBegin))) {
			return line
		}
	}
	return nil
}

// endsAtPlace reports whether text ends as PHP's reports do: with the number of
// a line or, since PHP 8.5, with the stack after it.
func endsAtPlace(text []byte) bool {
	if bytes.HasSuffix(text, []byte(stackEnd)) {
		if i := bytes.LastIndex(text, []byte(stackBegin)); i >= 0 {
			text = text[:i]
		}
	}
	return placeBefore(text, onLine) >= 0
}

// isCut reports whether PHP-FPM cut a message, so that it may have lost the
// path: by its length under the usual values of log_limit, 1024 and, in Docker's
// images, 8192. PHP-FPM counts a final byte and, unless its log_level is above
// it, a "NOTICE: ".
func isCut(text []byte) bool {
	if !bytes.HasSuffix(text, []byte(messageCut)) {
		return false
	}
	switch n := len(messageStart) + len(text) + 1; n {
	case 1024, 8192, 1024 - len("NOTICE: "), 8192 - len("NOTICE: "):
		return true
	}
	return false
}
