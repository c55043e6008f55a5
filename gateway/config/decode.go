package config

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"
)

// decoder applies the tables of a TOML document to a Config. Unlike go-toml's, it
// continues after a problem.
type decoder struct{ *report }

// table sets the fields of a struct from a table.
func (d *decoder) table(path string, into reflect.Value, table map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(table)) {
		at := dotted(path, key)
		field, ok := fieldOf(into.Type(), key)
		if !ok {
			d.bad(at, "unknown key%s", suggest(path, key, into.Type()))
			continue
		}
		value := table[key]
		if list, ok := value.([]any); ok && field.Tag.Get("rest") != "" {
			value = d.first(at, into.FieldByName(field.Tag.Get("rest")), list)
		}
		d.value(at, into.FieldByIndex(field.Index), field, value)
	}
}

// first returns the first string of a list, which has its own field, and puts the others
// into rest.
func (d *decoder) first(path string, rest reflect.Value, list []any) string {
	d.strings(path, rest, false, list)
	names := rest.Interface().([]string)
	if len(list) == 0 || slices.Contains(names, "") {
		d.bad(path, "has no name, or an empty one: write the names of pools, or leave the key out")
	}
	if len(names) == 0 {
		return ""
	}
	rest.Set(reflect.ValueOf(names[1:]))
	return names[0]
}

// value sets one field from a TOML value.
func (d *decoder) value(path string, into reflect.Value, field reflect.StructField, value any) {
	switch kindOf(into.Type()) {
	case kindScalar:
		d.scalar(path, into, value)
	case kindTable:
		if table, ok := d.asTable(path, value); ok {
			d.table(path, into, table)
		}
	case kindStrings:
		d.strings(path, into, field.Tag.Get("scalar") != "", value)
	case kindParams:
		d.params(path, into, value)
	case kindPools:
		d.pools(path, into, value)
	case kindTables:
		d.tables(path, into, value)
	}
}

// scalar sets a field that is one value.
func (d *decoder) scalar(path string, into reflect.Value, value any) {
	text, ok := scalarText(into, value)
	if !ok && into.Kind() == reflect.String { // does not show a token that consists of digits
		d.bad(path, "want %s", wanted(into))
		return
	}
	if !ok {
		d.bad(path, "want %s, got %s", wanted(into), describe(value))
		return
	}
	if err := setText(into, text); err != nil {
		d.bad(path, "%v", err)
	}
}

// strings sets a list of strings; if one is set, a single string is a list of one.
func (d *decoder) strings(path string, into reflect.Value, one bool, value any) {
	if s, ok := value.(string); ok && one {
		value = []any{s}
	}
	list, ok := value.([]any)
	if !ok {
		d.bad(path, `want a list of strings, such as ["a", "b"], got %s`, describe(value))
		return
	}
	out := make([]string, 0, len(list))
	for i, item := range list {
		s, ok := item.(string)
		if !ok {
			d.bad(indexed(path, i+1), "want a string in quotes, got %s", describe(item))
			continue
		}
		out = append(out, s)
	}
	into.Set(reflect.ValueOf(out))
}

// params sets a table of strings.
func (d *decoder) params(path string, into reflect.Value, value any) {
	table, ok := d.asTable(path, value)
	if !ok {
		return
	}
	out := make(map[string]string, len(table))
	for _, key := range slices.Sorted(maps.Keys(table)) {
		s, ok := table[key].(string)
		if !ok {
			d.bad(dotted(path, key), "want a string in quotes, got %s", describe(table[key]))
			continue
		}
		out[key] = s
	}
	into.Set(reflect.ValueOf(out))
}

// pools sets the pools, each from its own table.
func (d *decoder) pools(path string, into reflect.Value, value any) {
	table, ok := d.asTable(path, value)
	if !ok {
		return
	}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		at := dotted(path, name)
		if _, isKey := fieldOf(reflect.TypeFor[FPM](), name); isKey {
			d.bad(at, "a pool's keys stand in a table with its name: write them below [fpm.%s]", DefaultPool)
			continue
		}
		keys, ok := d.asTable(at, table[name])
		if !ok {
			continue
		}
		pool := newPool(name)
		into.SetMapIndex(reflect.ValueOf(name), reflect.ValueOf(pool))
		d.table(at, reflect.ValueOf(pool).Elem(), keys)
	}
}

// tables sets a list of structs, of routes or of relays.
func (d *decoder) tables(path string, into reflect.Value, value any) {
	list, ok := value.([]any)
	if !ok {
		d.bad(path, "want tables: write [[%s]] above each one's keys", path)
		return
	}
	for i, item := range list {
		at := indexed(path, i+1)
		table, ok := d.asTable(at, item)
		if !ok {
			continue
		}
		element := reflect.New(into.Type().Elem()).Elem()
		target := element
		if element.Type() == reflect.TypeFor[*Route]() {
			element.Set(reflect.ValueOf(NewRoute("", "")))
			target = element.Elem()
		}
		d.table(at, target, table)
		into.Set(reflect.Append(into, element))
	}
}

// asTable is the value as a table.
func (d *decoder) asTable(path string, value any) (map[string]any, bool) {
	table, ok := value.(map[string]any)
	if !ok {
		d.bad(path, "want a table, got %s: write [%s] above its keys", describe(value), path)
	}
	return table, ok
}

// The shapes that a field can have.
type kind int

const (
	kindScalar  kind = iota // one value
	kindTable               // a struct
	kindStrings             // a list of strings
	kindParams              // a table of strings
	kindPools               // the pools by name
	kindTables              // a list of structs
)

func kindOf(t reflect.Type) kind {
	switch t {
	case reflect.TypeFor[[]string]():
		return kindStrings
	case reflect.TypeFor[map[string]string]():
		return kindParams
	case reflect.TypeFor[map[string]*FPM]():
		return kindPools
	}
	switch t.Kind() {
	case reflect.Struct:
		return kindTable
	case reflect.Slice:
		return kindTables
	}
	return kindScalar
}

// fieldOf finds the field of a key.
func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for name, field := range keysOf(t) {
		if name == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}

// setText sets a scalar from its text, as it stands in a flag or variable.
func setText(into reflect.Value, text string) error {
	if u, ok := into.Addr().Interface().(encoding.TextUnmarshaler); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch into.Kind() {
	case reflect.String:
		into.SetString(text)
		return nil
	case reflect.Bool:
		if v, err := strconv.ParseBool(text); err == nil {
			into.SetBool(v)
			return nil
		}
	case reflect.Int:
		if v, err := strconv.ParseInt(text, 10, strconv.IntSize); err == nil {
			into.SetInt(v)
			return nil
		}
	case reflect.Float64:
		if v, err := strconv.ParseFloat(text, 64); err == nil {
			into.SetFloat(v)
			return nil
		}
	}
	return fmt.Errorf("want %s, got %q", wanted(into), clip(text))
}

// scalarText is a TOML value as text, when its type fits the field.
func scalarText(into reflect.Value, value any) (string, bool) {
	_, isMode := into.Interface().(Mode)
	_, hasText := into.Addr().Interface().(encoding.TextUnmarshaler)
	switch v := value.(type) {
	case string:
		return v, hasText || into.Kind() == reflect.String
	case bool:
		return strconv.FormatBool(v), into.Kind() == reflect.Bool
	case int64:
		number := into.CanInt() || into.CanFloat()
		return strconv.FormatInt(v, 10), number && !isMode // 660 would be read as octal
	case float64:
		return strconv.FormatFloat(v, 'g', -1, 64), into.CanFloat()
	}
	return "", false
}

// wanted describes the values of a scalar field.
func wanted(into reflect.Value) string {
	switch into.Interface().(type) {
	case Duration:
		return `a duration in quotes, such as "30s"`
	case Size:
		return `a size, such as "64KiB"`
	case Fraction:
		return `a part of a whole, such as "50 %" or 0.5`
	case Mode:
		return `octal digits in quotes, such as "0660"`
	}
	switch into.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	}
	return "a string in quotes"
}

// describe names a TOML value for a person.
func describe(value any) string {
	switch v := value.(type) {
	case string:
		return strconv.Quote(clip(v))
	case bool, int64, float64:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return "a date or a time"
}
