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

// parseEnvironment reads lines of NAME=value with the comments and quotes of EnvironmentFile=
// (systemd.exec(5)). Values do not go on in a second line.
func parseEnvironment(text string) (pairs []string) {
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, found := strings.Cut(line, "=")
		if !found || strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		pairs = append(pairs, strings.TrimSpace(name)+"="+unquote(strings.TrimSpace(value)))
	}
	return pairs
}

// unquote removes quotes and backslashes as a shell does: none count in '…', and in "…" a
// backslash only before one of $ " ` \.
func unquote(value string) string {
	if n := len(value); n >= 2 && value[0] == '\'' && value[n-1] == '\'' {
		return value[1 : n-1]
	}
	escapes := ""
	if n := len(value); n >= 2 && value[0] == '"' && value[n-1] == '"' {
		value, escapes = value[1:n-1], "$\"`\\"
	}
	var out strings.Builder
	for i := 0; i < len(value); i++ {
		if value[i] == '\\' && i+1 < len(value) && (escapes == "" || strings.IndexByte(escapes, value[i+1]) >= 0) {
			i++
		}
		out.WriteByte(value[i])
	}
	return out.String()
}
