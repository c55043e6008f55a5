package config

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

const poolFile = `; a comment
[global]
pid = /run/php.pid
request_terminate_timeout = 1

[ws] ; ours
user = www-data
listen = /run/php/$pool.sock
pm = static
pm.max_children = 8
request_terminate_timeout = 2m ; seconds when there is no unit
catch_workers_output = yes
security.limit_extensions = .php .inc
php_admin_value[output_buffering] = 65536
php_value[output_buffering] = 0
php_admin_flag[display_errors] = "off"
env[HOSTNAME] = $HOSTNAME
php_admin_value[post_max_size] = 32M

[second]
listen = 127.0.0.1:9000
`

func TestPoolFileIsRead(t *testing.T) {
	pools, err := ParsePools(strings.NewReader(poolFile))
	if err != nil {
		t.Fatal(err)
	}
	want := []*PoolFile{
		{Name: "ws", Listen: "/run/php/ws.sock", PM: "static", MaxChildren: 8, TerminateTimeout: 2 * time.Minute, CatchOutput: true,
			Extensions: []string{".php", ".inc"}, INI: map[string]string{"output_buffering": "65536", "display_errors": "off", "post_max_size": "32M"}},
		{Name: "second", Listen: "127.0.0.1:9000", Extensions: []string{".php", ".phar"}, INI: map[string]string{}},
	}
	if !reflect.DeepEqual(pools, want) {
		t.Errorf("got %+v and %+v, want %+v and %+v", pools[0], pools[1], want[0], want[1])
	}
}

func TestBrokenPoolFiles(t *testing.T) {
	for doc, want := range map[string]string{
		"":                                      "no pool in it",
		"[global]\npid = x\n":                   "no pool in it",
		"[www]\npm = static\n":                  "pool [www] has no listen",
		"[www]\nlisten\n":                       `line 2: "listen" is neither`,
		"[www]\npm.max_children = many\n":       "line 2: pm.max_children",
		"[www]\nrequest_terminate_timeout = s":  `is not a time`,
		"[www]\nrequest_terminate_timeout = -1": `is not a time`,
	} {
		_, err := ParsePools(strings.NewReader(doc))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", doc, err, want)
		}
	}
}

func TestCompareWithPoolFile(t *testing.T) {
	const good = "[ws]\nlisten = /run/fpm.sock\npm = static\npm.max_children = 8\nphp_admin_value[output_buffering] = 65536\nphp_admin_value[error_log] =\n"
	for name, test := range map[string]struct {
		file             string
		change           func(c *Config)
		problem, warning string
	}{
		"fits":         {file: good},
		"elsewhere":    {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), problem: `write address = "tcp:127.0.0.1:9000"`},
		"any host":     {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), change: func(c *Config) { c.FPM["default"].Address = "tcp:fpm.example:9000" }},
		"other port":   {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), change: func(c *Config) { c.FPM["default"].Address = "tcp:fpm.example:19000" }, problem: "no fpm.*.address says so"},
		"too few":      {file: good + "pm.max_children = 2\n", problem: "write at most 2"},
		"all":          {file: good + "pm.max_children = 3\n", warning: "takes all 3 workers"},
		"not said":     {file: good + "pm.max_children = 0\n", warning: "does not set pm.max_children"},
		"kills":        {file: good + "request_terminate_timeout = 30\n", problem: "write 0, or at least 37s"},
		"kills stream": {file: good + "request_terminate_timeout = 37\n", warning: "streams of route[1] end by then"},
		"long enough":  {file: good + "request_terminate_timeout = 607\n"},
		"ondemand":     {file: good + "pm = ondemand\n", warning: "pm = ondemand"},
		"extensions":   {file: good + "security.limit_extensions = .phtml\n", problem: "leaves out .php"},
		"catch":        {file: good + "catch_workers_output = yes\n", warning: "catch_workers_output"},
		"display":      {file: good + "php_flag[display_errors] = on\n", warning: "display_errors"},
		"log":          {file: good + "php_admin_flag[log_errors] = off\n", warning: "log_errors"},
		"error log":    {file: strings.Replace(good, "[error_log] =", "[error_log] = /var/log/x", 1), warning: "error_log of [ws] keeps PHP's errors"},
		"no error log": {file: strings.Replace(good, "php_admin_value[error_log] =", "", 1), warning: "[ws] does not set error_log"},
		"zlib":         {file: good + "php_flag[zlib.output_compression] = on\n", warning: "zlib.output_compression"},
		"zlib size":    {file: good + "php_value[zlib.output_compression] = 4096\n", warning: "zlib.output_compression"},
		"zlib off":     {file: good + "php_flag[zlib.output_compression] = off\n"},
		"no buffering": {file: strings.Replace(good, "65536", "0", 1), warning: "output_buffering of [ws] is off"},
		"buffering":    {file: strings.Replace(good, "php_admin_value[output_buffering] = 65536", "", 1), warning: "does not set output_buffering"},
		"post":         {file: good + "php_value[post_max_size] = 8K\n", problem: "raise it to 65536"},
		"post off":     {file: good + "php_value[post_max_size] = 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := minimal()
			if test.change != nil {
				test.change(c)
			}
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			files, err := ParsePools(strings.NewReader(test.file))
			if err != nil {
				t.Fatal(err)
			}
			problems, warnings := c.Compare(files)
			expect(t, "problems", problems, test.problem)
			expect(t, "warnings", warnings, test.warning)
		})
	}
}

// expect checks for one line with a text in it, or for none.
func expect(t *testing.T, what string, got []string, want string) {
	t.Helper()
	if want == "" && len(got) > 0 || want != "" && (len(got) != 1 || !strings.Contains(got[0], want)) {
		t.Errorf("got %s %q, want %q", what, got, want)
	}
}

func FuzzParsePools(f *testing.F) {
	f.Add(poolFile)
	f.Add("[www]\nlisten = \"\nphp_value[ = ;\n")
	f.Fuzz(func(t *testing.T, doc string) {
		pools, err := ParsePools(strings.NewReader(doc))
		if err != nil {
			return
		}
		if len(pools) == 0 {
			t.Fatal("got neither a pool nor an error")
		}
		c := minimal()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		c.Compare(pools)
	})
}
