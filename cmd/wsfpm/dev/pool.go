package dev

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// poolConfig is the configuration of PHP-FPM with one pool. What a site may want otherwise is
// php_value, which ini_set overrides; what wsfpm needs is php_admin_value, as in
// deploy/php-fpm.
const poolConfig = `[global]
daemonize = no
error_log = %[1]s
process_control_timeout = 1s

[dev]
%[2]slisten = %[3]s
listen.mode = 0600
pm = static
pm.max_children = %[4]d
clear_env = no
%[5]scatch_workers_output = no
security.limit_extensions = .php
php_value[error_reporting] = 32767
php_value[session.save_path] = %[6]s
php_admin_flag[display_errors] = off
php_admin_flag[display_startup_errors] = off
php_admin_flag[html_errors] = off
php_admin_flag[log_errors] = on
php_admin_value[error_log] =
php_admin_value[fastcgi.error_header] = "WS-Failed: 1"
php_admin_value[output_buffering] = 65536
php_admin_flag[zlib.output_compression] = off
`

// definitions are for php.ini: a changed file counts from the next event on.
func definitions(dir string) []string {
	return []string{
		"sys_temp_dir=" + filepath.Join(dir, "tmp"),
		"upload_tmp_dir=" + filepath.Join(dir, "tmp"),
		"opcache.validate_timestamps=1",
		"opcache.revalidate_freq=0",
		"realpath_cache_ttl=0",
		"user_ini.cache_ttl=0",
	}
}

// render returns the configuration.
func (o *FPMOptions) render() string {
	var users, env strings.Builder
	if o.Account == nil && os.Geteuid() == 0 {
		users.WriteString("user = root\ngroup = root\n")
	}
	for _, name := range slices.Sorted(maps.Keys(o.Env)) {
		fmt.Fprintf(&env, "env[%s] = %q\n", name, o.Env[name])
	}
	return fmt.Sprintf(poolConfig, errorLog, users.String(), o.socket(), o.Workers, env.String(), filepath.Join(o.Dir, "sessions"))
}

func (o *FPMOptions) socket() string { return filepath.Join(o.Dir, "fpm.sock") }
