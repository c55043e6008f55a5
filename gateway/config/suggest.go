package config

import (
	"reflect"
	"strings"
)

// suggest suggests a key for an unknown one: the same name in another table, or the most
// similar one in this table.
func suggest(table, key string, t reflect.Type) string {
	name := strings.ToLower(strings.ReplaceAll(key, "-", "_"))
	if _, ok := fieldOf(t, name); ok {
		return ": did you mean " + name + "?"
	}
	best, distance := "", 3
	for field := range t.Fields() {
		known := field.Tag.Get("toml")
		if known == "" || known == "-" {
			continue
		}
		if n := editDistance(name, known); n < distance && n < len(known)-1 {
			best, distance = known, n
		}
	}
	if best != "" {
		return ": did you mean " + best + "?"
	}
	for _, other := range tables() {
		if _, ok := fieldOf(other.fields, name); ok {
			if other.header == "" {
				return ": did you mean " + name + " at the top of the file, before the first table?"
			}
			return ": did you mean " + name + " below " + other.header + "?"
		}
	}
	if table == "" {
		return ": the keys at the top of the file are " + keyList(t)
	}
	return ": the keys here are " + keyList(t)
}

// tableKind is one kind of table in the file.
type tableKind struct {
	header string
	fields reflect.Type
}

func tables() []tableKind {
	return []tableKind{
		{"", reflect.TypeFor[Config]()},
		{"[fpm." + DefaultPool + "]", reflect.TypeFor[FPM]()},
		{"[redis]", reflect.TypeFor[Redis]()},
		{"[[redis.relay]]", reflect.TypeFor[Relay]()},
		{"[durable]", reflect.TypeFor[Durable]()},
		{"[presence]", reflect.TypeFor[Presence]()},
		{"[[route]]", reflect.TypeFor[Route]()},
		{"[limits]", reflect.TypeFor[Limits]()},
		{"[log]", reflect.TypeFor[Log]()},
	}
}

// keyList names the keys of a table.
func keyList(t reflect.Type) string {
	var keys []string
	for field := range t.Fields() {
		if key := field.Tag.Get("toml"); key != "" && key != "-" {
			keys = append(keys, key)
		}
	}
	return strings.Join(keys, ", ")
}

// editDistance is the number of bytes to insert, delete or replace to make b
// from a (Levenshtein).
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
