package config

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"wsfpm/gateway/redisurl"
)

// Problem is one error in a configuration.
type Problem struct {
	// Key is the key's path, such as "redis.url" or "route[2].timeout", where
	// lists are counted from 1.
	Key string
	// Where is the place where the key was set: "line 12", "WSFPM_REDIS_URL", "command
	// line", or "" if it was not.
	Where string
	// Text is the error and the remedy.
	Text string
}

// String returns the problem on one line, without passwords of URLs.
func (p Problem) String() string {
	s := p.Text
	if p.Key != "" {
		s = p.Key + ": " + s
	}
	if p.Where != "" {
		s = p.Where + ": " + s
	}
	return redisurl.Redact(s)
}

// Error holds every problem of a configuration, at least one.
type Error struct {
	// File is the path of the configuration file, "" when there is none.
	File string
	// Problems are in the order of the file, followed by those of other places.
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *Error) Error() string {
	var b strings.Builder
	name := cmp.Or(e.File, "configuration")
	if len(e.Problems) == 1 {
		return name + ": " + e.Problems[0].String()
	}
	fmt.Fprintf(&b, "%s: %d problems", name, len(e.Problems))
	for _, p := range e.Problems {
		b.WriteString("\n  " + p.String())
	}
	return b.String()
}

// report collects problems.
type report struct {
	origin   map[string]string
	problems []Problem
	refused  int // problems of values that could not be read; their keys are not checked
}

// bad adds a problem with a key. A missing key gets the line of its table. A key whose
// value was refused has that problem alone.
func (r *report) bad(key, format string, args ...any) {
	if slices.ContainsFunc(r.problems[:r.refused], func(p Problem) bool { return p.Key == key || strings.HasPrefix(p.Key, key+"[") }) {
		return
	}
	p := Problem{Key: key, Text: fmt.Sprintf(format, args...)}
	for path := key; path != "" && p.Where == ""; path = parent(path) {
		p.Where = r.origin[path]
	}
	r.problems = append(r.problems, p)
}

// err returns an [*Error], or nil if there are no problems.
func (r *report) err(file string) error {
	if len(r.problems) == 0 {
		return nil
	}
	slices.SortStableFunc(r.problems, func(a, b Problem) int { return cmp.Compare(a.line(), b.line()) })
	return &Error{File: file, Problems: r.problems}
}

// line is the line of the file; what stands elsewhere comes after the file.
func (p Problem) line() int {
	var n int
	if _, err := fmt.Sscanf(p.Where, "line %d", &n); err != nil {
		return math.MaxInt
	}
	return n
}
