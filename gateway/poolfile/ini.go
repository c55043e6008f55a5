package poolfile

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

// iniLine is one line of PHP-FPM's ini form: PHP-FPM parses each line by itself.
// At most one of section and key is set.
type iniLine struct {
	section string
	key     string // as it is written, such as "pm.max_children" or "php_value"
	index   string // of an array: what stands in key[…]
	array   bool
	value   iniValue
}

// iniValue is a value as PHP-FPM parses it.
type iniValue struct {
	text string
	// unknown is the part of the value that only PHP-FPM can evaluate, such as
	// "${WORKERS}"; text is then not the value.
	unknown string
}

// environment looks a variable up, as os.LookupEnv does.
type environment func(name string) (string, bool)

// Directives returns what a php.ini or .user.ini sets, of several lines for one directive the
// last. Lines that only PHP can evaluate, and sections, are left out.
func Directives(text string) map[string]string {
	set := make(map[string]string)
	for line := range strings.Lines(text) {
		l, err := parseINI(line, os.LookupEnv)
		switch {
		case err != nil, l.key == "", l.array, l.value.unknown != "":
		default:
			set[l.key] = l.value.text
		}
	}
	return set
}

// parseINI reads one line. A line without anything in it is the zero iniLine.
func parseINI(line string, env environment) (l iniLine, err error) {
	line = strings.TrimSpace(line)
	switch {
	case line == "" || line[0] == ';':
		return l, nil
	case strings.ContainsFunc(line, func(c rune) bool { return c < ' ' && c != '\t' || c == 0x7f }):
		return l, errors.New("a control character")
	case line[0] == '#':
		return l, errors.New("# begins no comment in PHP-FPM's files: write ; instead")
	case line[0] == '[':
		name, _, ok := strings.Cut(line[1:], "]")
		if !ok {
			return l, fmt.Errorf("%.60q lacks its ]", line)
		}
		value, err := parseValue(name, env)
		l.section = value.text
		if err == nil && (value.unknown != "" || l.section == "") {
			err = fmt.Errorf("%.60q: a section needs a name that is known here", line)
		}
		return l, err
	}
	key, rest, ok := strings.Cut(line, "=")
	if !ok {
		return l, fmt.Errorf("%.60q is neither a section nor a directive", line)
	}
	l.key = strings.TrimSpace(key)
	if name, index, isArray := strings.Cut(l.key, "["); isArray {
		l.key, l.array = name, true
		l.index = strings.Trim(strings.TrimSpace(strings.TrimSuffix(index, "]")), `"'`)
	}
	l.value, err = parseValue(strings.TrimSpace(rest), env)
	return l, err
}

// parseValue parses the text after "=": words, quoted texts and ${…} in any order, up to
// a comment. A single word may be a constant.
func parseValue(s string, env environment) (v iniValue, err error) {
	var text strings.Builder
	plain, end := true, 0 // only words so far; text less the blanks at its end
	for s != "" && s[0] != ';' {
		part, rest := s[:1], s[1:]
		switch {
		case s[0] == '"':
			part, rest, err = doubleQuoted(rest, env, &v)
		case s[0] == '\'':
			part, rest, err = cutQuoted(rest, '\'')
		case strings.HasPrefix(s, "${"):
			part, rest, err = variable(s, env, &v)
		case strings.IndexByte("|&^~!()", s[0]) >= 0:
			v.unknown = "an expression"
		}
		if err != nil {
			return v, err
		}
		bare := len(s) == len(rest)+1 && part == s[:1]
		plain = plain && bare
		text.WriteString(part)
		if !bare || part != " " && part != "\t" {
			end = text.Len()
		}
		s = rest
	}
	v.text = text.String()[:end]
	if plain {
		v.text = constant(v.text)
	}
	return v, nil
}

// constant returns the value of a word without quotes; some are constants.
func constant(word string) string {
	switch strings.ToLower(word) {
	case "on", "yes", "true":
		return "1"
	case "off", "no", "none", "false", "null":
		return ""
	}
	return word
}

// cutQuoted cuts a text at its closing quote.
func cutQuoted(s string, quote byte) (text, rest string, err error) {
	for i := 0; i < len(s); i++ {
		if s[i] == quote {
			return s[:i], s[i+1:], nil
		}
		if s[i] == '\\' && quote == '"' {
			i++
		}
	}
	return "", "", fmt.Errorf("a quoted value lacks its %c", quote)
}

// doubleQuoted parses a text after its opening ", with variables and escapes.
func doubleQuoted(s string, env environment, v *iniValue) (text, rest string, err error) {
	quoted, rest, err := cutQuoted(s, '"')
	var b strings.Builder
	for err == nil && quoted != "" {
		part, left := quoted[:1], quoted[1:]
		switch {
		case strings.HasPrefix(quoted, "${"):
			part, left, err = variable(quoted, env, v)
		case part == `\` && left != "" && strings.IndexByte(`\"'`, left[0]) >= 0:
			part, left = left[:1], left[1:]
		}
		b.WriteString(part)
		quoted = left
	}
	return b.String(), rest, err
}

// variable reads ${NAME}, or ${NAME:-default} as of PHP 8.3. One that is not in
// the environment may be one of PHP-FPM's own.
func variable(s string, env environment, v *iniValue) (text, rest string, err error) {
	inner, rest, ok := strings.Cut(s[len("${"):], "}")
	if !ok {
		return "", "", errors.New("${ lacks its }")
	}
	name, fallback, hasFallback := strings.Cut(inner, ":-")
	text, set := env(name)
	if hasFallback && text == "" {
		return fallback, rest, nil
	}
	if !set {
		v.unknown = "${" + name + "}"
	}
	return text, rest, nil
}
