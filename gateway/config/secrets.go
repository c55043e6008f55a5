package config

import (
	"os"
	"path/filepath"
	"strings"
)

// SecretsFile is the file beside the configuration with variables of the environment that
// only root reads: systemd gives them to the service, and a command that root runs by hand
// reads them here.
const SecretsFile = "secrets.env"

// secrets returns the variables of the file beside a configuration, NAME=value each. A file
// that is not there, or that this user may not read, has none.
func secrets(configuration string) []string {
	if configuration == "" {
		return nil
	}
	text, err := os.ReadFile(filepath.Join(filepath.Dir(configuration), SecretsFile))
	if err != nil {
		return nil
	}
	return parseEnvironment(string(text))
}

// parseEnvironment reads NAME=value as systemd does for EnvironmentFile= (systemd.exec(5)), so
// that a password is the same one here and in the service. A comment ends with its line, as
// from systemd 254 on.
func parseEnvironment(text string) (pairs []string) {
	for {
		text = strings.TrimLeft(text, " \t\r\n")
		if text == "" {
			return pairs
		}
		line := text[:strings.IndexAny(text+"\n", "\r\n")]
		name, _, found := strings.Cut(line, "=")
		if !found || line[0] == '#' || line[0] == ';' {
			text = text[len(line):]
			continue
		}
		var value string
		value, text = environmentValue(text[len(name)+1:])
		pairs = append(pairs, strings.TrimRight(name, " \t")+"="+value)
	}
}

// environmentValue returns the value at the beginning of text, and the rest. Quotes count at
// the beginning of a value and after each other.
func environmentValue(text string) (value, rest string) {
	var quoted []byte
	for {
		text = strings.TrimLeft(text, " \t")
		if text == "" || text[0] != '\'' && text[0] != '"' {
			value, rest = plainValue(text)
			return string(quoted) + value, rest
		}
		var part []byte
		part, text = quotedValue(text[1:], text[0])
		quoted = append(quoted, part...)
	}
}

// quotedValue reads up to a quote; there may be several lines. In "…" a backslash counts before
// one of $ " ` \ and the end of a line, which it removes.
func quotedValue(text string, quote byte) (value []byte, rest string) {
	for i := 0; i < len(text); i++ {
		c := text[i]
		if c == quote {
			return value, text[i+1:]
		}
		if c == '\\' && quote == '"' && i+1 < len(text) && strings.IndexByte("$\"`\\\n", text[i+1]) >= 0 {
			i++
			if c = text[i]; c == '\n' {
				continue
			}
		}
		value = append(value, c)
	}
	return value, ""
}

// plainValue reads up to the end of the line, without blanks there. A backslash makes a
// character of the next one, and removes the end of a line.
func plainValue(text string) (value, rest string) {
	var out []byte
	kept := 0 // of out, without blanks at its end
	for i := 0; i < len(text); i++ {
		c := text[i]
		isEscaped := c == '\\' && i+1 < len(text)
		if isEscaped {
			i++
			c = text[i]
		}
		switch isEnd := c == '\r' || c == '\n'; {
		case isEnd && isEscaped:
			continue
		case isEnd:
			return string(out[:kept]), text[i:]
		}
		out = append(out, c)
		if isEscaped || c != ' ' && c != '\t' {
			kept = len(out)
		}
	}
	return string(out[:kept]), ""
}
