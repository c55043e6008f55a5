package recording

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Verdict is how an event that was run again ended, beside what was recorded.
type Verdict string

// The verdicts.
const (
	Same    Verdict = "same"
	Differs Verdict = "differs"
	Fails   Verdict = "fails"  // whether or not it did
	Mended  Verdict = "mended" // it failed, and does no more
)

// Difference is a part of an answer that is not as recorded.
type Difference struct {
	What string `json:"what"`
	Was  string `json:"was"` // as JSON, "" if it was not there
	Is   string `json:"is"`  // as JSON, "" if it is not there
}

// Compare compares how an event ended with how it was recorded. Both are redacted in the same
// way. Times, and PHP's output, are not compared.
func Compare(was, is *Entry) (Verdict, []Difference) {
	before, now := was.outcome(), is.outcome()
	if was.Cached { // without the head of an answer
		delete(before, "answer.status")
		delete(now, "answer.status")
	}
	var differences []Difference
	all := maps.Clone(before)
	maps.Copy(all, now)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if before[name] != now[name] {
			differences = append(differences, Difference{name, before[name], now[name]})
		}
	}
	switch {
	case is.failed():
		return Fails, differences
	case was.failed():
		return Mended, differences
	case len(differences) > 0:
		return Differs, differences
	}
	return Same, nil
}

// failed reports whether the script failed: to refuse a client is no failure.
func (e *Entry) failed() bool {
	f := e.Failure
	return f != nil && (e.Outcome != "refused" || f.Status >= http.StatusInternalServerError)
}

// outcome is what is compared, by the name of each part.
func (e *Entry) outcome() map[string]string {
	parts := make(map[string]string)
	spread(parts, "outcome", e.Outcome)
	if e.Streamed && e.Answer == nil {
		return parts // what a client was sent of a stream is not in the recording
	}
	if a := e.Answer; a != nil {
		spread(parts, "answer", decoded(a))
		for name, value := range parts {
			if strings.HasSuffix(name, ".expires") && value != `"never"` {
				parts[name] = `"a time"` // mostly one from now on
			}
		}
	}
	if f := e.Failure; f != nil {
		spread(parts, "failure", decoded(f))
		delete(parts, "failure.php")
	}
	return parts
}

// decoded returns a value as JSON has it.
func decoded(v any) (out any) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil {
		return err.Error() // cannot happen: these are structs of texts and numbers
	}
	return out
}

// spread adds the parts of a value by their paths.
func spread(parts map[string]string, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			spread(parts, path+"."+name, value)
		}
	case []any:
		for i, value := range v {
			spread(parts, fmt.Sprintf("%s[%d]", path, i), value)
		}
	default:
		text, err := json.Marshal(v)
		if err != nil {
			text = []byte(err.Error())
		}
		parts[path] = string(text)
	}
}
