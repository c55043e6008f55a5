package config

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"
)

// PoolFile is one pool of PHP-FPM's own configuration, as far as wsfpm cares.
// A directive that the file does not set is "", nil or 0.
type PoolFile struct {
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
	// CatchOutput is catch_workers_output.
	CatchOutput bool
	// Extensions is security.limit_extensions, ".php .phar" when it is not set.
	Extensions []string
	// INI holds php_value, php_flag, php_admin_value and php_admin_flag by the
	// directive of php.ini; the admin kinds win.
	INI map[string]string
}

// maxPoolFile is the longest pool file that is read, in bytes.
const maxPoolFile = 1 << 20

// ReadPoolFile reads the pools of a file such as
// /etc/php/8.2/fpm/pool.d/www.conf. Its include lines are not followed.
func ReadPoolFile(name string) ([]*PoolFile, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	pools, err := ParsePools(io.LimitReader(f, maxPoolFile))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return pools, nil
}

// ParsePools reads the pools of a file in PHP-FPM's ini form. The section
// [global] and what stands before any section are passed over.
func ParsePools(from io.Reader) ([]*PoolFile, error) {
	var pools []*PoolFile
	var pool *PoolFile
	admin := map[string]bool{} // directives that an admin kind has set
	lines := bufio.NewScanner(from)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(strings.TrimPrefix(lines.Text(), "\ufeff"))
		if line == "" || line[0] == ';' || line[0] == '#' {
			continue
		}
		if section, ok := sectionName(line); ok {
			pool = nil
			if section != "global" {
				pool = &PoolFile{Name: section, INI: map[string]string{}, Extensions: []string{".php", ".phar"}}
				pools = append(pools, pool)
				clear(admin)
			}
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			return nil, fmt.Errorf("line %d: %q is neither a section nor a directive", n, clip(line))
		}
		if pool == nil {
			continue
		}
		key, value = strings.TrimSpace(key), strings.ReplaceAll(iniValue(value), "$pool", pool.Name)
		if err := pool.set(key, value, admin); err != nil {
			return nil, fmt.Errorf("line %d: %s: %w", n, clip(key), err)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(pools) == 0 {
		return nil, fmt.Errorf("no pool in it: want a section such as [www]")
	}
	for _, pool := range pools {
		if pool.Listen == "" {
			return nil, fmt.Errorf("pool [%s] has no listen", clip(pool.Name))
		}
	}
	return pools, nil
}

// sectionName is the name in "[name]", behind which a comment may stand.
func sectionName(line string) (string, bool) {
	if line[0] != '[' {
		return "", false
	}
	name, _, ok := strings.Cut(line[1:], "]")
	return strings.TrimSpace(name), ok
}

// iniValue is the value without quotes and without the comment behind it.
func iniValue(s string) string {
	s = strings.TrimSpace(s)
	if s != "" && (s[0] == '"' || s[0] == '\'') {
		if end := strings.IndexByte(s[1:], s[0]); end >= 0 {
			return s[1 : end+1]
		}
	}
	s, _, _ = strings.Cut(s, ";")
	return strings.TrimSpace(s)
}

// set takes one directive.
func (p *PoolFile) set(key, value string, admin map[string]bool) error {
	var err error
	switch key {
	case "listen":
		p.Listen = value
	case "pm":
		p.PM = value
	case "pm.max_children":
		p.MaxChildren, err = strconv.Atoi(value)
	case "request_terminate_timeout":
		p.TerminateTimeout, err = fpmTime(value)
	case "catch_workers_output":
		p.CatchOutput = iniOn(value)
	case "security.limit_extensions":
		p.Extensions = strings.Fields(value)
	default:
		kind, directive, isINI := strings.Cut(key, "[")
		if !isINI || !strings.HasPrefix(kind, "php_") {
			return nil
		}
		directive = strings.TrimSpace(strings.TrimSuffix(directive, "]"))
		isAdmin := strings.HasPrefix(kind, "php_admin_")
		if isAdmin || !admin[directive] {
			p.INI[directive] = value
		}
		admin[directive] = admin[directive] || isAdmin
	}
	return err
}

// fpmTime reads a time of PHP-FPM: seconds, or with s, m, h or d.
func fpmTime(s string) (time.Duration, error) {
	unit := time.Second
	if s != "" {
		switch s[len(s)-1] {
		case 's':
			s = s[:len(s)-1]
		case 'm':
			s, unit = s[:len(s)-1], time.Minute
		case 'h':
			s, unit = s[:len(s)-1], time.Hour
		case 'd':
			s, unit = s[:len(s)-1], 24*time.Hour
		}
	}
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q is not a time", clip(s))
	}
	return time.Duration(n) * unit, nil
}

// iniSize reads a size of php.ini: bytes, or with K, M or G.
func iniSize(s string) (int64, bool) {
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
	switch strings.ToLower(s) {
	case "1", "on", "yes", "true":
		return true
	}
	return false
}
