package config

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"
)

// EnvPrefix is the prefix of environment variables. The key follows in capitals, with
// "_" for each dot: WSFPM_REDIS_URL is redis.url, WSFPM_FPM_DEFAULT_ADDRESS is
// fpm.default.address. Only the file can set lists and routes; listen, admin_hosts and
// redis.prefix can be set to one value.
const EnvPrefix = "WSFPM_"

// EnvFile is the variable that names the configuration file. It is no key.
const EnvFile = EnvPrefix + "CONFIG"

// defaultAddress is the address of the pool "default".
const defaultAddress = "unix:/run/php/php8.2-fpm.sock"

// Source names the sources of a configuration. Flags override the environment, which
// overrides the file, which overrides the defaults.
type Source struct {
	// File is the path of the TOML file; "" is none.
	File string
	// Environ holds NAME=value pairs, as os.Environ returns them. Load adds those of
	// [SecretsFile] whose names it does not have.
	Environ []string
	// Flags holds values by key, such as "redis.url" or "fpm.default.address", for the
	// same keys as the environment.
	Flags map[string]string
	// Script, the flag --script, makes one route that answers every path, and
	// is an error when the file has routes. It may be relative.
	Script string
	// Defaults holds values by key, as Flags does, in place of the program's own defaults.
	Defaults map[string]string
	// Base is the folder of relative paths in the script, root and document_root of the
	// file's routes; "": they must be absolute.
	Base string
	// Web, the flag --web, is the folder of [Config.Web]. It may be relative.
	Web string
	// WebHosts, the flag --web-host, are [Config.WebHosts].
	WebHosts []string
	// NoRoutes is set for a program that only pushes, which needs no route.
	NoRoutes bool
}

// Load reads and checks a configuration. The error is an [*Error] with every problem, or
// the reason why the file could not be read.
func Load(from Source) (*Config, error) {
	var doc []byte
	if from.File != "" {
		var err error
		if doc, err = os.ReadFile(from.File); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		from.Environ = append(secrets(from.File), from.Environ...)
	}
	return load(from, doc)
}

// load is Load with the file's content.
func load(from Source, doc []byte) (*Config, error) {
	c := Default()
	c.Node, c.noRoutes = hostName(), from.NoRoutes
	r := &report{origin: map[string]string{}}
	c.origin = r.origin
	for _, path := range slices.Sorted(maps.Keys(from.Defaults)) {
		c.setKey(r, path, "default", from.Defaults[path])
	}
	if !c.loadFile(r, doc) {
		return nil, r.err(from.File) // the rest would only repeat that the file is missing
	}
	c.rebase(from.Base)
	c.loadEnviron(r, from.Environ)
	c.loadFlags(r, from)
	if len(c.FPM) == 0 {
		c.FPM[DefaultPool] = newPool(DefaultPool)
	}
	c.check(r)
	if err := r.err(from.File); err != nil {
		return nil, err
	}
	return c, nil
}

// loadFile applies the file. It returns false if the file is not TOML.
func (c *Config) loadFile(r *report, doc []byte) bool {
	var tree map[string]any
	doc = bytes.TrimPrefix(doc, []byte("\xef\xbb\xbf"))
	if err := toml.Unmarshal(doc, &tree); err != nil {
		p := Problem{Text: strings.TrimPrefix(err.Error(), "toml: ")}
		if syntax := (*toml.DecodeError)(nil); errors.As(err, &syntax) {
			line, column := syntax.Position()
			p.Where = fmt.Sprintf("line %d, column %d", line, column)
		}
		r.problems = append(r.problems, p)
		return false
	}
	for path, line := range keyLines(doc) {
		r.origin[path] = fmt.Sprintf("line %d", line)
	}
	d := decoder{r}
	d.table("", reflect.ValueOf(c).Elem(), tree)
	return true
}

// rebase makes the relative paths of routes absolute.
func (c *Config) rebase(base string) {
	if base == "" {
		return
	}
	for _, route := range c.Routes {
		for _, path := range []*string{&route.Script, &route.Root, &route.DocumentRoot} {
			if *path != "" && !filepath.IsAbs(*path) {
				*path = filepath.Join(base, *path)
			}
		}
	}
}

// loadEnviron applies the environment.
func (c *Config) loadEnviron(r *report, environ []string) {
	keys := map[string]string{}
	for _, path := range c.scalarKeys() {
		keys[EnvName(path)] = path
	}
	for _, pair := range environ {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, EnvPrefix) || name == EnvFile {
			continue
		}
		path, ok := keys[name]
		if !ok {
			c.notes = append(c.notes, name+" in the environment was ignored: it is not a key"+suggestEnv(name, keys))
			continue
		}
		c.setKey(r, path, name, value)
	}
}

// loadFlags applies the flags.
func (c *Config) loadFlags(r *report, from Source) {
	const where = "command line"
	known := c.scalarKeys()
	for _, path := range slices.Sorted(maps.Keys(from.Flags)) {
		if !slices.Contains(known, path) {
			r.problems = append(r.problems, Problem{Key: path, Where: where,
				Text: "unknown key, or one that only the file can set"})
			continue
		}
		c.setKey(r, path, where, from.Flags[path])
	}
	if from.Script != "" {
		if len(c.Routes) > 0 {
			r.problems = append(r.problems, Problem{Key: "--script", Where: where,
				Text: "the file has routes already: write the script into a [[route]] there"})
		} else {
			c.Routes = []*Route{NewRoute(AnyPath, absolute(from.Script))}
			r.origin["route[1]"] = where
		}
	}
	if from.Web != "" {
		c.Web = absolute(from.Web)
	}
	c.WebHosts = slices.Clone(from.WebHosts)
	if len(c.WebHosts) > 0 && c.Web == "" {
		c.notes = append(c.notes, "--web-host has no effect without --web")
	}
}

// setKey sets one scalar key and records its origin.
func (c *Config) setKey(r *report, path, where, text string) {
	r.origin[path] = where
	if name, ok := strings.CutPrefix(parent(path), "fpm."); ok && c.FPM[name] == nil {
		c.FPM[name] = newPool(name)
	}
	into := c.field(path)
	if into.Kind() == reflect.Slice {
		into.Set(reflect.ValueOf([]string{text}))
		return
	}
	if err := setText(into, text); err != nil {
		r.bad(path, "%v", err)
	}
}

// field finds the value of a scalar key.
func (c *Config) field(path string) reflect.Value {
	table, key := reflect.ValueOf(c).Elem(), path
	if name := parent(path); name != "" {
		key = strings.TrimPrefix(path, name+".")
		if pool, ok := strings.CutPrefix(name, "fpm."); ok {
			table = reflect.ValueOf(c.FPM[pool]).Elem()
		} else {
			field, _ := fieldOf(table.Type(), name)
			table = table.FieldByIndex(field.Index)
		}
	}
	field, _ := fieldOf(table.Type(), key)
	return table.FieldByIndex(field.Index)
}

// scalarKeys lists the keys that a flag or variable can set, always including those of
// the pool "default".
func (c *Config) scalarKeys() (keys []string) {
	for _, t := range allTables() {
		if t.list {
			continue
		}
		names := []string{t.name}
		if t.name == "fpm.NAME" {
			names = []string{dotted("fpm", DefaultPool)}
			for _, name := range slices.Sorted(maps.Keys(c.FPM)) {
				if name != DefaultPool {
					names = append(names, dotted("fpm", name))
				}
			}
		}
		for _, name := range names {
			for key, field := range keysOf(t.fields()) {
				if kindOf(field.Type) == kindScalar || field.Tag.Get("scalar") != "" {
					keys = append(keys, dotted(name, key))
				}
			}
		}
	}
	return keys
}

// EnvName is the environment variable of a key.
func EnvName(key string) string {
	upper := strings.ToUpper(key)
	return EnvPrefix + strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, upper)
}

// suggestEnv suggests a known variable with a similar name.
func suggestEnv(name string, keys map[string]string) string {
	for _, known := range slices.Sorted(maps.Keys(keys)) {
		if editDistance(name, known) <= 2 {
			return "; did you mean " + known + "?"
		}
	}
	return ""
}

// newPool returns a pool with defaults. Only the pool "default" has a default address.
func newPool(name string) *FPM {
	if name == DefaultPool {
		return NewFPM(name, defaultAddress)
	}
	return NewFPM(name, "")
}

// absolute returns the absolute form of a path of the command line.
func absolute(path string) string {
	abs, err := filepath.Abs(path)
	if err != nil {
		return path // only without a working folder; Check refuses what is not absolute
	}
	return abs
}

// hostName returns the default name of the node: the host name with invalid bytes
// replaced.
func hostName() string {
	name, err := os.Hostname()
	if err != nil || name == "" {
		return "node"
	}
	return strings.Map(func(r rune) rune {
		if r < 0x80 && nodeByte(byte(r)) {
			return r
		}
		return '-'
	}, name[:min(len(name), maxNode)])
}
