package config

import (
	"fmt"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// lineMap finds the line of every key of a TOML document. Keys are written as
// in [Problem.Key]. The TOML decoder reports lines for some errors only, and Check runs
// after it.
type lineMap struct {
	parser unstable.Parser
	lines  map[string]int
	counts map[string]int // elements seen of each array of tables
}

// keyLines reads a document that is known to be valid TOML.
func keyLines(doc []byte) map[string]int {
	m := lineMap{lines: map[string]int{}, counts: map[string]int{}}
	m.parser.Reset(doc)
	table := ""
	for m.parser.NextExpression() {
		e := m.parser.Expression()
		switch e.Kind {
		case unstable.Table:
			table = m.walk("", e)
		case unstable.ArrayTable:
			table = m.element(e)
		case unstable.KeyValue:
			m.keyValue(table, e)
		}
	}
	return m.lines
}

// element opens the next element of an array of tables, [[name]].
func (m *lineMap) element(e *unstable.Node) string {
	line, parts := m.key(e)
	array := m.join("", parts[:len(parts)-1])
	array = dotted(array, parts[len(parts)-1])
	m.counts[array]++
	path := indexed(array, m.counts[array])
	m.lines[path] = line
	return path
}

// walk records the line of a key and returns its path below a table.
func (m *lineMap) walk(table string, e *unstable.Node) string {
	line, parts := m.key(e)
	path := m.join(table, parts)
	if _, seen := m.lines[path]; !seen {
		m.lines[path] = line
	}
	return path
}

// keyValue records a key, and those of an inline table or a list of them.
func (m *lineMap) keyValue(table string, e *unstable.Node) {
	path := m.walk(table, e)
	switch v := e.Value(); v.Kind {
	case unstable.InlineTable:
		m.inline(path, v)
	case unstable.Array:
		elements := v.Children()
		for n := 1; elements.Next(); n++ {
			if elements.Node().Kind == unstable.InlineTable {
				m.inline(indexed(path, n), elements.Node())
			}
		}
	}
}

func (m *lineMap) inline(path string, table *unstable.Node) {
	pairs := table.Children()
	for pairs.Next() {
		m.keyValue(path, pairs.Node())
	}
}

// key is a dotted key and the line on which it begins.
func (m *lineMap) key(e *unstable.Node) (line int, parts []string) {
	for key := e.Key(); key.Next(); {
		if len(parts) == 0 {
			line = m.parser.Shape(key.Node().Raw).Start.Line
		}
		parts = append(parts, string(key.Node().Data))
	}
	return line, parts
}

// join appends the parts of a key to a path. The name of an array of tables
// means its newest element.
func (m *lineMap) join(path string, parts []string) string {
	for _, part := range parts {
		path = dotted(path, part)
		if n := m.counts[path]; n > 0 {
			path = indexed(path, n)
		}
	}
	return path
}

// dotted is the path of a key in a table.
func dotted(table, key string) string {
	if table == "" {
		return key
	}
	return table + "." + key
}

// indexed is the path of an element of a list, counted from 1.
func indexed(list string, n int) string { return fmt.Sprintf("%s[%d]", list, n) }

// parent is the path of the table that holds a key.
func parent(path string) string {
	if i := strings.LastIndexAny(path, ".["); i > 0 {
		return path[:i]
	}
	return ""
}
