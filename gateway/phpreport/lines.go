package phpreport

import "bytes"

// Lines cuts a stream into lines that may be sent. It looks at each byte a fixed
// number of times, however long a line is. It is for one goroutine.
type Lines struct {
	Script string // SCRIPT_FILENAME
	Look   bool   // for PHP's reports, after which nothing may be sent

	text  []byte // not yet sent
	whole int    // bytes of text that are whole lines
	ready int    // of these, bytes that Add has handed out
	held  bool   // text begins with what may be a report, since the last chunk
}

// Add takes the next chunk and returns the whole lines that may be sent now, valid
// until the next call, and PHP's report that the script has ended, or "". Of the
// report nothing is among the lines.
func (l *Lines) Add(chunk []byte, last bool) (lines []byte, report string) {
	if l.ready > 0 {
		l.text = append(l.text[:0], l.text[l.ready:]...)
		l.whole -= l.ready
	}
	if end := bytes.LastIndexByte(chunk, '\n'); end >= 0 {
		l.whole = len(l.text) + end + 1
	}
	l.text = append(l.text, chunk...)
	if last {
		l.whole = len(l.text)
	}
	l.ready = l.whole
	if !l.Look {
		return l.text[:l.ready], ""
	}
	begin := reportBegins(l.text[:l.whole])
	if begin < 0 {
		l.held = false
		return l.text[:l.ready], ""
	}
	clean := bytes.LastIndexByte(l.text[:begin+1], '\n') + 1
	if report := confirmed(l.Script, []claim{{text: l.text[begin:l.whole]}}); report != "" {
		return l.text[:clean], report
	}
	// The path may still come: the message of an exception can have many lines.
	// PHP writes a report at once, so it is in the next chunk, or these are a
	// client's words.
	l.held = !l.held && !last
	if l.held {
		l.ready = clean
	}
	return l.text[:l.ready], ""
}

// Unfinished is the length, in bytes, of the line whose end has not come.
func (l *Lines) Unfinished() int { return len(l.text) - l.whole }
