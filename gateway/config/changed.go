package config

import (
	"maps"
	"reflect"
	"slices"

	"wsfpm/gateway/redisurl"
)

// Setting is a key whose value is not the default.
type Setting struct {
	Table   string // "limits", "fpm.local", "route[2]"; "" at the top
	Name    string
	Value   string // in TOML, without secrets
	Default string
	Where   string // "line 12", "WSFPM_REDIS_URL", "command line"
}

// Changed returns the keys of a loaded configuration that were set to another value than
// their default, in the order of [Keys].
func (c *Config) Changed() []Setting {
	var changed []Setting
	for _, t := range allTables() {
		for _, instance := range c.instances(t) {
			changed = append(changed, c.changedIn(t, instance)...)
		}
	}
	return changed
}

// instances returns the tables that a configuration has in place of t.
func (c *Config) instances(t table) (list []table) {
	switch t.name {
	case "fpm.NAME":
		for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
			list = append(list, table{"fpm." + name, false, c.FPM[name]})
		}
	case "route":
		for i, route := range c.Routes {
			list = append(list, table{indexed("route", i+1), true, route})
		}
	case "redis.relay":
		for i := range c.Redis.Relays {
			list = append(list, table{indexed("redis.relay", i+1), true, &c.Redis.Relays[i]})
		}
	case "":
		list = append(list, table{"", false, c})
	default:
		field, _ := fieldOf(reflect.TypeOf(c).Elem(), t.name)
		list = append(list, table{t.name, false, reflect.ValueOf(c).Elem().FieldByIndex(field.Index).Addr().Interface()})
	}
	return list
}

// changedIn compares a table with its defaults.
func (c *Config) changedIn(t, has table) (changed []Setting) {
	was, is := reflect.ValueOf(t.defaults).Elem(), reflect.ValueOf(has.defaults).Elem()
	for field, value := range values(is) {
		name := field.Tag.Get("toml")
		before, _ := tomlValue(was.FieldByIndex(field.Index))
		where, set := c.origin[dotted(has.name, name)]
		if !set && t.name == "route" && (name == "path" || name == "script") {
			where, set = c.origin[has.name] // of --script
		}
		if rest := field.Tag.Get("rest"); rest != "" && is.FieldByName(rest).Len() > 0 {
			names := append([]string{is.FieldByIndex(field.Index).String()}, is.FieldByName(rest).Interface().([]string)...)
			value, _ = tomlValue(reflect.ValueOf(names))
		}
		if !set || before == value { // a key that is not set may have a derived value
			continue
		}
		switch dotted(has.name, name) {
		case "admin_token":
			value = `"…"`
		case "redis.url":
			value = redisurl.Redact(value)
		}
		changed = append(changed, Setting{has.name, name, value, before, where})
	}
	return changed
}
