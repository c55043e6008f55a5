package poolfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"wsfpm/gateway/config"
)

const (
	maxFile     = 1 << 20 // the longest file that is read, in bytes
	maxFiles    = 1000    // files in all
	maxIncludes = 5       // nesting depth, as in PHP-FPM
)

// Files are the pools in PHP-FPM's own files.
type Files struct {
	Pools []*Pool
	// Problems make PHP-FPM or wsfpm fail, one sentence each; Warnings do not.
	Problems, Warnings []string
}

// Read reads files of PHP-FPM, such as /etc/php/8.2/fpm/pool.d/www.conf, or
// all *.conf of folders, as PHP-FPM itself does: a section that stands in several
// files is one pool, to which each adds; include lines are followed; variables are
// taken from env. Files of one folder belong to one PHP-FPM, in the order given;
// those of another folder may be another's.
func Read(names []string, env func(name string) (string, bool)) Files {
	var all Files
	seen := map[string]bool{}
	folders, files := byFolder(names, &all)
	var readers []*reader
	for _, folder := range folders {
		r := &reader{env: env, seen: seen, files: map[string][]string{}}
		readers = append(readers, r)
		for _, file := range files[folder] {
			r.file(file)
		}
		r.finish()
		all.Pools = append(all.Pools, r.Pools...)
		all.Problems = append(all.Problems, r.Problems...)
		all.Warnings = append(all.Warnings, r.Warnings...)
	}
	if found := slices.ContainsFunc(readers, func(r *reader) bool { return len(r.files) > 0 }); !found && len(all.Problems) == 0 {
		all.Problems = append(all.Problems, fmt.Sprintf("%s: no pool in it: want a section such as [www]", strings.Join(names, ", ")))
	}
	return all
}

// byFolder returns the files that names refer to, by folder.
func byFolder(names []string, all *Files) (folders []string, files map[string][]string) {
	files = map[string][]string{}
	for _, name := range names {
		folder, list := filepath.Dir(name), []string{name}
		if info, err := os.Stat(name); err == nil && info.IsDir() {
			folder = filepath.Clean(name)
			list, _ = filepath.Glob(filepath.Join(literal(name), "*.conf")) // in order
			if len(list) == 0 {
				all.Problems = append(all.Problems, name+": no *.conf in this folder")
			}
		}
		if files[folder] == nil {
			folders = append(folders, folder)
		}
		files[folder] = append(files[folder], list...)
	}
	return folders, files
}

// literal returns a path with the special bytes of patterns escaped.
func literal(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// reader reads the files of one PHP-FPM.
type reader struct {
	Files
	env  environment
	seen map[string]bool // files that were read, of all readers
	open []string        // files that are being read: each includes the next

	pool  *Pool               // of the current section; nil in [global]
	ctl   *time.Duration      // process_control_timeout; nil: there is no [global]
	files map[string][]string // by pool: those that name it
	where string              // the current line
}

func (r *reader) bad(format string, args ...any) {
	r.Problems = append(r.Problems, r.where+": "+fmt.Sprintf(format, args...))
}

func (r *reader) warn(format string, args ...any) {
	r.Warnings = append(r.Warnings, r.where+": "+fmt.Sprintf(format, args...))
}

// file reads one file. The current section continues into and after an include.
func (r *reader) file(name string) {
	if r.seen[name] || len(r.seen) >= maxFiles {
		return
	}
	r.seen[name] = true
	text, err := readFile(name)
	if err != nil {
		r.Problems = append(r.Problems, err.Error())
		return
	}
	r.open = append(r.open, name)
	r.text(name, text)
	r.open = r.open[:len(r.open)-1]
}

// readFile reads a file of bounded size; anything but a regular file is an error.
func readFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && !info.Mode().IsRegular() {
		return "", &fs.PathError{Op: "read", Path: name, Err: errors.New("not a file")}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s: longer than %v", name, config.Size(maxFile))
	}
	return string(text), err
}

// text parses the lines of a file up to the first invalid one. A file without any
// directive of PHP-FPM, such as php.ini, is one problem.
func (r *reader) text(name, text string) {
	n, known, unknown, warned := 0, 0, 0, len(r.Warnings)
	for line := range strings.Lines(strings.TrimPrefix(text, "\ufeff")) {
		n++
		r.where = fmt.Sprintf("%s: line %d", name, n)
		l, err := parseINI(line, r.env)
		if err != nil {
			r.bad("%v", err)
			return
		}
		switch {
		case l.section != "":
			r.section(l.section, name)
		case strings.EqualFold(l.key, "include") && !l.array:
			r.include(name, l.value)
			known++
		case l.key == "":
		case r.directive(l):
			known++
		default:
			unknown++
		}
	}
	if known == 0 && unknown > 0 {
		r.Warnings, r.where = r.Warnings[:warned], name
		r.bad("not a pool file: none of its %d directives is one of PHP-FPM's; name a file such as www.conf, or the folder of the pools", unknown)
	}
}

// section begins or continues a pool. Names are case-insensitive.
func (r *reader) section(name, file string) {
	r.pool = nil
	if strings.EqualFold(name, "global") {
		if r.ctl == nil {
			r.ctl = new(time.Duration)
		}
		return
	}
	i := slices.IndexFunc(r.Pools, func(p *Pool) bool { return strings.EqualFold(p.Name, name) })
	if i < 0 {
		i = len(r.Pools)
		r.Pools = append(r.Pools, newPool(name))
	}
	r.pool = r.Pools[i]
	if !slices.Contains(r.files[r.pool.Name], file) {
		r.files[r.pool.Name] = append(r.files[r.pool.Name], file)
	}
}

// include reads the files that a pattern matches.
func (r *reader) include(from string, pattern iniValue) {
	if pattern.unknown != "" {
		r.warn("include: %s is not known here, and nothing was included", pattern.unknown)
		return
	}
	if len(r.open) >= maxIncludes {
		r.bad("include: more than %d files include each other, so that PHP-FPM does not start", maxIncludes)
		return
	}
	where := r.where
	matches := globFrom(filepath.Dir(from), pattern.text)
	if len(matches) == 0 {
		r.warn("include: no file matches %.60s", pattern.text)
	}
	for _, name := range matches {
		if slices.Contains(r.open, name) {
			r.bad("include: %s includes itself, so that PHP-FPM does not start", name)
		} else if info, err := os.Stat(name); err != nil || !info.IsDir() {
			r.file(name)
		}
	}
	r.where = where
}

// globFrom lists the matches of a pattern. A relative one starts from PHP's build prefix,
// which is unknown: some folder above the file, as in /usr/local/etc/php-fpm.conf with
// include=etc/php-fpm.d/*.conf.
func globFrom(folder, pattern string) []string {
	if filepath.IsAbs(pattern) {
		matches, _ := filepath.Glob(pattern)
		return matches
	}
	folder, err := filepath.Abs(folder)
	for err == nil {
		matches, _ := filepath.Glob(filepath.Join(literal(folder), pattern))
		above := filepath.Dir(folder)
		if len(matches) > 0 || above == folder {
			return matches
		}
		folder = above
	}
	return nil
}

// directive handles a line of the current section, and reports whether it is a directive
// of PHP-FPM.
func (r *reader) directive(l iniLine) bool {
	key := strings.ToLower(l.key)
	switch {
	case r.pool == nil && key == "process_control_timeout" && r.ctl != nil && l.value.unknown == "":
		limit, err := fpmTime(l.value.text)
		if err != nil {
			r.bad("%s: %v", key, err)
		}
		*r.ctl = limit
	case r.pool == nil:
		return r.known(globalKeys, l)
	case l.array && phpKinds[l.key]:
		if err := r.pool.setINI(l.key, l.index, l.value); err != nil {
			r.bad("%s[%.60s]: %v", l.key, l.index, err)
		}
	case l.array || !compared[key]:
		return r.known(poolKeys, l)
	default:
		if l.value.unknown != "" {
			r.warn("%s of [%s] is not compared: %s is not known here; set it for wsfpm check as for PHP-FPM", key, r.pool.Name, l.value.unknown)
		}
		if err := r.pool.set(key, l.value); err != nil {
			r.bad("%s: %v", key, err)
		}
	}
	return true
}

// known reports whether a directive is in the list, and warns if not: PHP-FPM refuses
// it, unless a newer version has it.
func (r *reader) known(keys map[string]bool, l iniLine) bool {
	key := strings.ToLower(l.key)
	if l.array {
		key = l.key + "[]"
	}
	if !keys[key] {
		r.warn("%.60s: not a directive of PHP-FPM 8.2: check it with php-fpm -t", l.key)
	}
	return keys[key]
}

// finish checks the directives that PHP-FPM requires of each pool.
func (r *reader) finish() {
	r.Pools = slices.DeleteFunc(r.Pools, func(pool *Pool) bool {
		pool.finish()
		pool.ControlTimeout = r.ctl
		if pool.Unknown["listen"] {
			return true // there is a warning already
		}
		if pool.Listen == "" && len(r.Problems) == 0 {
			r.Problems = append(r.Problems, fmt.Sprintf("%s: pool [%.60s] has no listen: give all files that PHP-FPM reads together, or their folder",
				strings.Join(r.files[pool.Name], ", "), pool.Name))
		}
		return pool.Listen == ""
	})
}

// phpKinds are the four ways to set a directive of php.ini.
var phpKinds = map[string]bool{"php_value": true, "php_flag": true, "php_admin_value": true, "php_admin_flag": true}

// globalKeys and poolKeys are the directives of PHP-FPM 8.2. Arrays end in [].
var (
	globalKeys = set(`daemonize emergency_restart_interval emergency_restart_threshold error_log events.mechanism log_buffering log_level
		log_limit pid process.max process.priority process_control_timeout rlimit_core rlimit_files syslog.facility syslog.ident systemd_interval`)
	poolKeys = set(`access.format access.log access.suppress_path[] apparmor_hat catch_workers_output chdir chroot clear_env decorate_workers_output
		env[] group listen listen.acl_groups listen.acl_users listen.allowed_clients listen.backlog listen.group listen.mode listen.owner
		listen.setfib php_admin_flag[] php_admin_value[] php_flag[] php_value[] ping.path ping.response pm pm.max_children pm.max_requests
		pm.max_spare_servers pm.max_spawn_rate pm.min_spare_servers pm.process_idle_timeout pm.start_servers pm.status_listen pm.status_path
		prefix process.dumpable process.priority request_slowlog_timeout request_slowlog_trace_depth request_terminate_timeout
		request_terminate_timeout_track_finished rlimit_core rlimit_files security.limit_extensions slowlog user`)
)

// set is the set of the words of a text.
func set(words string) map[string]bool {
	m := map[string]bool{}
	for word := range strings.FieldsSeq(words) {
		m[word] = true
	}
	return m
}
