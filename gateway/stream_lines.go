package gateway

import "bytes"

// streamLines cuts a stream into lines that may be sent. It looks at each byte
// a fixed number of times, however long a line is.
type streamLines struct {
	look   bool // for reports of PHP's, after which nothing may be sent
	script string

	text  []byte // not yet sent
	whole int    // bytes of text that are whole lines
	ready int    // of these, bytes that add has handed out
	held  bool   // text begins with what may be a report, since the last chunk
}

// add takes the next chunk and returns the whole lines that may be sent now,
// valid until the next call. The error says that PHP reported the script's end;
// of the report nothing is among the lines.
func (l *streamLines) add(chunk []byte, last bool) ([]byte, error) {
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
	if !l.look {
		return l.text[:l.ready], nil
	}
	begin := reportBegins(l.text[:l.whole])
	if begin < 0 {
		l.held = false
		return l.text[:l.ready], nil
	}
	clean := bytes.LastIndexByte(l.text[:begin+1], '\n') + 1
	if sign := ownWords(l.script, []claim{{text: l.text[begin:l.whole]}}); sign != "" {
		return l.text[:clean], failed("PHP reported %q", clip(sign))
	}
	// The path may still come: the message of an exception can have many lines.
	// PHP writes a report at once, so it is in the next chunk, or these are a
	// client's words.
	l.held = !l.held && !last
	if l.held {
		l.ready = clean
	}
	return l.text[:l.ready], nil
}

// unfinished is the length of the line whose end has not come.
func (l *streamLines) unfinished() int { return len(l.text) - l.whole }
