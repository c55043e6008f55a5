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
	for known := range keysOf(t) {
		if n := editDistance(name, known); n < distance && n < len(known)-1 {
			best, distance = known, n
		}
	}
	if best != "" {
		return ": did you mean " + best + "?"
	}
	for _, other := range allTables() {
		if _, ok := fieldOf(other.fields(), name); !ok {
			continue
		}
		header := "[" + strings.Replace(other.name, "NAME", DefaultPool, 1) + "]"
		switch {
		case other.name == "":
			return ": did you mean " + name + " at the top of the file, before the first table?"
		case other.list:
			header = "[" + header + "]"
		}
		return ": did you mean " + name + " below " + header + "?"
	}
	where := "here"
	if table == "" {
		where = "at the top of the file"
	}
	var keys []string
	for known := range keysOf(t) {
		keys = append(keys, known)
	}
	return ": the keys " + where + " are " + strings.Join(keys, ", ")
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
