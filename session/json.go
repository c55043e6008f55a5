package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// checkJSON reports why a text is not one well-formed JSON value in UTF-8. What follows in
// this file takes well-formed values only, and so need not look for mistakes.
func checkJSON(text []byte) error {
	if len(bytes.TrimSpace(text)) == 0 {
		return errors.New("the body is empty")
	}
	if !utf8.Valid(text) {
		return errors.New("the body is not UTF-8")
	}
	if json.Valid(text) {
		return nil
	}
	err := json.Unmarshal(text, new(json.RawMessage))
	if syntax := (*json.SyntaxError)(nil); errors.As(err, &syntax) {
		return fmt.Errorf("not JSON: %w, at byte %d of %d", syntax, syntax.Offset, len(text))
	}
	return err
}

// inside is what stands between the braces of an object or the brackets of a list.
func inside(value []byte) []byte { return bytes.TrimSpace(value[1 : len(value)-1]) }

// cut parts the inside of an object or a list at its first comma or colon.
func cut(inside []byte) (first, rest []byte) {
	depth, quoted := 0, false
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			depth++
		case c == '}' || c == ']':
			depth--
		case depth == 0 && (c == ',' || c == ':'):
			return bytes.TrimSpace(inside[:i]), inside[i+1:]
		}
	}
	return bytes.TrimSpace(inside), nil
}

// readObject puts the values of an object where field says; nil is a name that the
// object does not have, which unknown may refuse.
func readObject(object []byte, field func(name string) *[]byte, unknown func(name string) error) error {
	for rest := inside(object); len(rest) > 0; {
		var quoted, value []byte
		quoted, rest = cut(rest)
		value, rest = cut(rest)
		name, err := unquote(quoted)
		if err != nil {
			return err
		}
		switch to := field(name); {
		case to == nil:
			if err := unknown(name); err != nil {
				return err
			}
		case *to != nil:
			return fmt.Errorf("%q stands twice", name)
		default:
			*to = value
		}
	}
	return nil
}

// readList reads one text or a list of texts by parse. No value is no text.
func readList[T any](value []byte, want string, parse func(string) (T, error)) (list []T, err error) {
	if value == nil {
		return nil, nil
	}
	if value[0] != '[' {
		one, err := readItem(value, want+" or a list of them", parse)
		return []T{one}, err
	}
	for rest := inside(value); len(rest) > 0; {
		var item []byte
		item, rest = cut(rest)
		one, err := readItem(item, want, parse)
		if err != nil {
			return nil, fmt.Errorf("item %d: %w", len(list)+1, err)
		}
		list = append(list, one)
	}
	return list, nil
}

// readItem reads one text by parse.
func readItem[T any](value []byte, want string, parse func(string) (T, error)) (out T, err error) {
	s, err := readText(value, want)
	if err != nil {
		return out, err
	}
	return parse(s)
}

// readText reads a string. An integer stands for its digits: in applications ids
// are often numbers.
func readText(value []byte, want string) (string, error) {
	switch {
	case value[0] == '"':
		return unquote(value)
	case strings.Trim(string(value), "-0123456789") == "":
		return string(value), nil
	}
	return "", fmt.Errorf("got %s, want %s", shown(value), want)
}

// readOptional reads a text that need not be there.
func readOptional(value []byte, want string, check func(string) error) (*string, error) {
	if value == nil {
		return nil, nil
	}
	s, err := readText(value, want)
	if err != nil {
		return nil, err
	}
	return &s, check(s)
}

// unquote reads a string.
func unquote(value []byte) (s string, err error) {
	if bytes.IndexByte(value, '\\') < 0 {
		return string(value[1 : len(value)-1]), nil
	}
	err = json.Unmarshal(value, &s)
	return s, err
}

// shown is a value as an error shows it.
func shown(value []byte) string {
	switch value[0] {
	case '{':
		return "an object"
	case '[':
		return "a list"
	}
	return shorten(string(value))
}
