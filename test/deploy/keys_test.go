package deploy

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/test/stack"
)

// userPages are the pages that users read, which name keys of the configuration and files.
func userPages(t *testing.T) []string {
	t.Helper()
	docs, err := filepath.Glob(filepath.Join(stack.Root(t), "docs", "*.md"))
	if err != nil || len(docs) < 5 {
		t.Fatalf("docs has the pages %v, %v", docs, err)
	}
	list := []string{"README.md", "SECURITY.md", "deploy/nginx/README.md", "examples/php/README.md"}
	for _, page := range docs {
		list = append(list, "docs/"+filepath.Base(page))
	}
	return list
}

var (
	code     = regexp.MustCompile("`([^`]+)`")
	namedKey = regexp.MustCompile(`^(fpm\.[*a-zA-Z]+|redis|presence|durable|limits|log|route)\.[a-z_]+$`)
	anchor   = regexp.MustCompile(`<a id="[^"]*"></a>`)
)

// defaults are all keys with their defaults, without quotes; a list of one is its element.
func defaults() map[string]string {
	known := make(map[string]string)
	for _, k := range config.Keys() {
		value := k.Default
		if !strings.Contains(value, ",") {
			value = strings.Trim(value, `["]`)
		}
		known[k.Path()] = value
	}
	return known
}

// pathOf is the key that a page means by a name, which may be that of one pool.
func pathOf(name string) string {
	if rest, ok := strings.CutPrefix(name, "fpm."); ok {
		_, key, _ := strings.Cut(rest, ".")
		return "fpm.NAME." + key
	}
	return name
}

func TestPagesNameOnlyKeysThatExist(t *testing.T) {
	known := defaults()
	for _, page := range userPages(t) {
		for _, m := range code.FindAllStringSubmatch(read(t, page), -1) {
			if !namedKey.MatchString(m[1]) {
				continue
			}
			if _, ok := known[pathOf(m[1])]; !ok && m[1] != "route.php" {
				t.Errorf("%s names %s, which is no key", page, m[1])
			}
		}
	}
}

// The tables with a column for defaults have those of the program, where a cell is a value.
func TestTablesHaveTheDefaultsOfTheProgram(t *testing.T) {
	known, compared := defaults(), 0
	for _, page := range userPages(t) {
		inTable := false
		for line := range strings.Lines(read(t, page)) {
			if !strings.HasPrefix(line, "|") {
				inTable = false
				continue
			}
			cells := strings.Split(line, " | ")
			if strings.HasPrefix(line, "| key | default |") {
				inTable = true
			}
			if !inTable || len(cells) < 3 || strings.HasPrefix(line, "| key |") {
				continue
			}
			for _, row := range keysOf(cells[0], cells[1]) {
				want, ok := known[row.key]
				if !ok {
					t.Errorf("%s: a table has %s, which is no key", page, row.key)
				}
				if row.isValue && !same(row.value, want) {
					t.Errorf("%s: the default of %s is %s in a table, and %s in the program", page, row.key, row.value, want)
				}
				if row.isValue {
					compared++
				}
			}
		}
	}
	if compared < 50 {
		t.Errorf("compared %d defaults, want most of the tables'", compared)
	}
}

// same compares two ways to write a value: 60s is 1m, and 50 % is 0.5.
func same(a, b string) bool {
	x, errX := time.ParseDuration(a)
	y, errY := time.ParseDuration(b)
	var f, g config.Fraction
	return a == b || errX == nil && errY == nil && x == y || f.UnmarshalText([]byte(a)) == nil && g.UnmarshalText([]byte(b)) == nil && f == g
}

// row is a key of a table with its default.
type row struct {
	key, value string
	isValue    bool // else it is said in words
}

// keysOf reads two cells: one key, or several of one table with their defaults in order.
func keysOf(names, values string) (rows []row) {
	table := ""
	for _, m := range code.FindAllStringSubmatch(names, -1) {
		name := pathOf(m[1])
		if i := strings.LastIndex(name, "."); i >= 0 {
			table = name[:i+1]
		} else {
			name = table + name
		}
		rows = append(rows, row{key: name})
	}
	list := []string{strings.TrimSpace(anchor.ReplaceAllString(values, ""))}
	if len(rows) > 1 {
		list = strings.Split(list[0], ", ")
	}
	for i := range rows {
		rows[i].value, rows[i].isValue = valueOf(list[min(i, len(list)-1)])
	}
	return rows
}

// valueOf reads a default: one that is marked as code, or one word.
func valueOf(cell string) (value string, ok bool) {
	if m := code.FindStringSubmatchIndex(cell); m != nil && m[0] == 0 {
		cell, ok = cell[m[2]:m[3]], !strings.HasPrefix(cell[m[1]:], ", or ")
	} else {
		cell = strings.TrimSuffix(cell, " each")
		ok = cell != "" && !strings.ContainsAny(cell, " ,")
	}
	if !strings.Contains(cell, ",") {
		cell = strings.Trim(cell, `["]`)
	}
	return cell, ok && !slices.Contains([]string{"any", "<prefix>log"}, cell)
}
