package config

import (
	"embed"
	"fmt"
	"iter"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// sources are the files with the tables of the configuration. The comments of their fields
// are what [Keys] returns.
//
//go:embed config.go route.go limits.go
var sources embed.FS

// Key describes one key of the configuration.
type Key struct {
	Table   string // such as "limits" or "route"; "fpm.NAME" for the pools; "" at the top
	List    bool   // the table is written [[Table]], once for each element
	Name    string // the key in the table
	Comment string // one paragraph
	Default string // in TOML; an empty value where there is no default
}

// Path is the key with its table, such as "limits.burst".
func (k *Key) Path() string { return dotted(k.Table, k.Name) }

// table is a table of the configuration with its default values.
type table struct {
	name     string
	list     bool
	defaults any // a pointer to a struct
}

// fields returns the type of the table.
func (t table) fields() reflect.Type { return reflect.TypeOf(t.defaults).Elem() }

// allTables returns the tables in the order of the reference: the keys at the top first.
func allTables() []table {
	c := Default()
	return []table{
		{"", false, c},
		{"fpm.NAME", false, newPool(DefaultPool)},
		{"redis", false, &c.Redis},
		{"redis.relay", true, &Relay{}},
		{"presence", false, &c.Presence},
		{"durable", false, &c.Durable},
		{"limits", false, &c.Limits},
		{"log", false, &c.Log},
		{"route", true, NewRoute("", "")},
	}
}

// Keys returns every key, table by table, with its default and the comment of its field.
func Keys() []Key {
	comments, tables := fieldComments(), allTables()
	var keys []Key
	for _, t := range tables {
		v := reflect.ValueOf(t.defaults).Elem()
		for field, value := range values(v) {
			keys = append(keys, Key{t.name, t.list, field.Tag.Get("toml"), plainComment(tables, v.Type(), field, comments), value})
		}
	}
	return keys
}

// keysOf yields the keys of a table with their fields.
func keysOf(t reflect.Type) iter.Seq2[string, reflect.StructField] {
	return func(yield func(string, reflect.StructField) bool) {
		for field := range t.Fields() {
			if key := field.Tag.Get("toml"); key != "" && key != "-" && !yield(key, field) {
				return
			}
		}
	}
}

// values yields the fields of a table that are keys, with their values in TOML; not the
// tables in it.
func values(v reflect.Value) iter.Seq2[reflect.StructField, string] {
	return func(yield func(reflect.StructField, string) bool) {
		for _, field := range keysOf(v.Type()) {
			if value, ok := tomlValue(v.FieldByIndex(field.Index)); ok && !yield(field, value) {
				return
			}
		}
	}
}

// fieldComments returns the comments of all fields by type and field: "Route.Path".
func fieldComments() map[string]string {
	var (
		typeLine  = regexp.MustCompile(`^type (\w+) struct \{`)
		fieldLine = regexp.MustCompile("^\t(\\w+) .*`toml:")
		comments  = map[string]string{}
	)
	entries, err := sources.ReadDir(".")
	if err != nil {
		panic(err) // cannot happen: the files are embedded
	}
	for _, entry := range entries {
		text, err := sources.ReadFile(entry.Name())
		if err != nil {
			panic(err)
		}
		var in string
		var comment []string
		for line := range strings.Lines(string(text)) {
			if said, ok := strings.CutPrefix(line, "\t// "); ok {
				comment = append(comment, strings.TrimSpace(said))
				continue
			}
			if m := typeLine.FindStringSubmatch(line); m != nil {
				in = m[1]
			}
			if m := fieldLine.FindStringSubmatch(line); m != nil {
				comments[in+"."+m[1]] = strings.Join(comment, " ")
			}
			comment = nil
		}
	}
	return comments
}

var (
	goLink = regexp.MustCompile(`\[(\w+)\.(\w+)\]`)
	goName = regexp.MustCompile(`\b[A-Z]+[a-z]+[A-Z]\w+\b`)
)

// plainComment returns a field's comment with keys in place of the names of fields.
func plainComment(tables []table, of reflect.Type, field reflect.StructField, comments map[string]string) string {
	text := comments[of.Name()+"."+field.Name]
	if rest, ok := strings.CutPrefix(text, field.Name+" "); ok {
		text = field.Tag.Get("toml") + " " + rest
	}
	text = goLink.ReplaceAllStringFunc(text, func(link string) string {
		m := goLink.FindStringSubmatch(link)
		for _, t := range tables {
			if in := t.fields(); in.Name() == m[1] {
				return keyOf(in, m[2], dotted(t.name, m[2]), t.name)
			}
		}
		return link
	})
	return goName.ReplaceAllStringFunc(text, func(name string) string { return keyOf(of, name, name, "") })
}

// keyOf returns the key of a field of a table, or otherwise if it is none.
func keyOf(of reflect.Type, name, otherwise, table string) string {
	field, ok := of.FieldByName(name)
	key := field.Tag.Get("toml")
	if !ok || key == "" || key == "-" {
		return otherwise
	}
	return dotted(table, key)
}

// tomlValue writes a value as TOML. It returns false for tables.
func tomlValue(v reflect.Value) (string, bool) {
	switch kindOf(v.Type()) {
	case kindStrings:
		quoted := make([]string, v.Len())
		for i := range quoted {
			quoted[i] = strconv.Quote(v.Index(i).String())
		}
		return "[" + strings.Join(quoted, ", ") + "]", true
	case kindParams:
		var pairs []string
		for _, key := range v.MapKeys() {
			pairs = append(pairs, fmt.Sprintf(`%q = "…"`, key)) // values may be secret
		}
		slices.Sort(pairs)
		return strings.TrimRight("{ "+strings.Join(pairs, ", "), " ") + " }", true
	case kindScalar:
		if s, ok := v.Interface().(fmt.Stringer); ok {
			return strconv.Quote(s.String()), true
		}
		if v.Kind() == reflect.String {
			return strconv.Quote(v.String()), true
		}
		return fmt.Sprint(v.Interface()), true
	}
	return "", false
}
