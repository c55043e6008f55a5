package poolfile

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Pool is one pool of PHP-FPM's own configuration, with the directives that are
// compared. A directive that no file sets is "", nil or 0.
type Pool struct {
	// Name is the section's name, in Debian's stock file "www".
	Name string
	// Listen is the address, as FPM writes it: a path, a port or host:port.
	Listen string
	// PM is static, dynamic or ondemand.
	PM string
	// MaxChildren is pm.max_children.
	MaxChildren int
	// TerminateTimeout is request_terminate_timeout; 0 is off.
	TerminateTimeout time.Duration
	// ControlTimeout is process_control_timeout of its PHP-FPM; nil: no [global] was read.
	ControlTimeout *time.Duration
	// CatchOutput is catch_workers_output.
	CatchOutput bool
	// Extensions is security.limit_extensions, ".php .phar" when it is not set.
	Extensions []string
	// INI holds php_value, php_flag, php_admin_value and php_admin_flag by the
	// directive of php.ini. The admin kinds win, and among equals the first.
	INI map[string]string
	// Unknown holds the directives, of the pool and of php.ini, whose value depends on
	// PHP-FPM's environment.
	Unknown map[string]bool

	prefix string
	admin  map[string]bool // directives of php.ini that an admin kind has set
}

func newPool(name string) *Pool {
	return &Pool{Name: name, Extensions: []string{".php", ".phar"},
		INI: map[string]string{}, Unknown: map[string]bool{}, admin: map[string]bool{}}
}

// compared are the directives of a pool that Pool has.
var compared = map[string]bool{
	"listen": true, "pm": true, "pm.max_children": true, "request_terminate_timeout": true,
	"catch_workers_output": true, "security.limit_extensions": true, "prefix": true,
}

// set sets one directive of the pool. The last one counts.
func (p *Pool) set(key string, v iniValue) error {
	if p.Unknown[key] = v.unknown != ""; p.Unknown[key] {
		return nil
	}
	delete(p.Unknown, key)
	value := strings.ReplaceAll(v.text, "$pool", p.Name)
	var err error
	switch key {
	case "listen":
		p.Listen = value
	case "prefix":
		p.prefix = value
	case "pm":
		p.PM = strings.ToLower(value)
	case "pm.max_children":
		p.MaxChildren, err = fpmNumber(value)
	case "request_terminate_timeout":
		p.TerminateTimeout, err = fpmTime(value)
	case "catch_workers_output":
		p.CatchOutput, err = fpmBool(value)
	case "security.limit_extensions":
		p.Extensions = strings.Fields(value)
	}
	return err
}

// setINI sets one directive of php.ini by one of the four kinds. PHP-FPM applies them
// from last to first, so the first one counts.
func (p *Pool) setINI(kind, directive string, v iniValue) error {
	admin := strings.HasPrefix(kind, "php_admin_")
	if _, set := p.INI[directive]; set && (!admin || p.admin[directive]) {
		return nil
	}
	value := strings.ReplaceAll(v.text, "$pool", p.Name)
	if strings.HasSuffix(kind, "_flag") && v.unknown == "" {
		on, err := fpmBool(value)
		if err != nil {
			return err
		}
		value = map[bool]string{true: "1", false: "0"}[on]
	}
	p.INI[directive], p.admin[directive] = value, admin
	delete(p.Unknown, directive)
	if v.unknown != "" {
		p.Unknown[directive] = true
	}
	return nil
}

// finish prepends the pool's prefix to a socket's relative path.
func (p *Pool) finish() {
	if p.prefix != "" && relative(p.Listen) {
		p.Listen = filepath.Join(p.prefix, p.Listen)
	}
}

// relative reports whether a listen is a path that begins at a prefix. PHP-FPM takes
// a value with a colon, or of digits only, for TCP.
func relative(listen string) bool {
	_, err := strconv.ParseUint(listen, 10, 64)
	return err != nil && listen != "" && !strings.HasPrefix(listen, "/") && !strings.Contains(listen, ":")
}

// fpmNumber reads a whole number of PHP-FPM.
func fpmNumber(s string) (int, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%.60q is not a whole number", s)
	}
	return int(n), nil
}

// fpmBool reads a switch of PHP-FPM.
func fpmBool(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true, nil
	case "", "0", "off", "no", "none", "false":
		return false, nil
	}
	return false, fmt.Errorf("%.60q is neither yes nor no", s)
}

// fpmTime reads a time of PHP-FPM: seconds, or with s, m, h or d.
func fpmTime(s string) (time.Duration, error) {
	number, unit := s, time.Second
	if s != "" {
		switch s[len(s)-1] {
		case 's':
			number = s[:len(s)-1]
		case 'm':
			number, unit = s[:len(s)-1], time.Minute
		case 'h':
			number, unit = s[:len(s)-1], time.Hour
		case 'd':
			number, unit = s[:len(s)-1], 24*time.Hour
		}
	}
	n, err := strconv.ParseUint(number, 10, 31)
	if err != nil || time.Duration(n) > time.Duration(1<<63-1)/unit {
		return 0, fmt.Errorf("%.60q is not a time: write seconds, or a number with s, m, h or d", s)
	}
	return time.Duration(n) * unit, nil
}

// INISize reads a size of php.ini: bytes, or with K, M or G.
func INISize(s string) (int64, bool) {
	unit := int64(1)
	if s != "" {
		switch s[len(s)-1] {
		case 'k', 'K':
			s, unit = s[:len(s)-1], 1<<10
		case 'm', 'M':
			s, unit = s[:len(s)-1], 1<<20
		case 'g', 'G':
			s, unit = s[:len(s)-1], 1<<30
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return n * unit, err == nil && n >= 0
}

// iniOn reads a switch of php.ini.
func iniOn(s string) bool {
	on, err := fpmBool(s)
	return on && err == nil
}
