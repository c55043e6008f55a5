package poolfile

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/config"
)

const poolFile = `; a comment
[global]
pid = /run/php.pid
process_control_timeout = 1m
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

// readPools reads files of one folder, the first of which is named a.conf, with
// $WORKERS in the environment.
func readPools(t *testing.T, texts ...string) Files {
	t.Helper()
	dir := t.TempDir()
	for i, text := range texts {
		if err := os.WriteFile(filepath.Join(dir, string(rune('a'+i))+".conf"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return Read([]string{dir}, workersOnly)
}

// minimal is a configuration with one pool and one route.
func minimal(t *testing.T) *config.Config {
	t.Helper()
	c := config.Default()
	c.Node = "web1"
	c.FPM["default"] = config.NewFPM("default", "unix:/run/fpm.sock")
	c.Routes = []*config.Route{config.NewRoute("/ws", "/srv/app/ws.php")}
	return c
}

func workersOnly(name string) (string, bool) {
	return map[string]string{"WORKERS": "20"}[name], name == "WORKERS"
}

func TestPoolIsRead(t *testing.T) {
	read := readPools(t, poolFile)
	ws, second := *newPool("ws"), *newPool("second")
	ws.Listen, ws.PM, ws.MaxChildren, ws.TerminateTimeout, ws.CatchOutput = "/run/php/ws.sock", "static", 8, 2*time.Minute, true
	ws.Extensions = []string{".php", ".inc"}
	ws.INI = map[string]string{"output_buffering": "65536", "display_errors": "0", "post_max_size": "32M"}
	ws.admin = map[string]bool{"output_buffering": true, "display_errors": true, "post_max_size": true}
	second.Listen = "127.0.0.1:9000"
	minute := time.Minute
	ws.ControlTimeout, second.ControlTimeout = &minute, &minute
	want := []*Pool{&ws, &second}
	if !reflect.DeepEqual(read.Pools, want) {
		t.Errorf("got %+v and %+v, want %+v and %+v", read.Pools[0], read.Pools[1], want[0], want[1])
	}
	if len(read.Problems) > 0 || len(read.Warnings) != 1 || !strings.Contains(read.Warnings[0], "request_terminate_timeout") {
		t.Errorf("got problems %q and warnings %q, want a word about the timeout in [global]", read.Problems, read.Warnings)
	}
}

// The files of PHP's official image: none of them is a pool by itself.
func TestASectionInSeveralFilesIsOnePool(t *testing.T) {
	read := readPools(t,
		"[global]\nerror_log = /proc/self/fd/2\nlog_limit = 8192\n\n[www]\naccess.log = /proc/self/fd/2\nclear_env = no\ncatch_workers_output = yes\ndecorate_workers_output = no\n",
		"[www]\nuser = www-data\nlisten = 127.0.0.1:9000\npm = dynamic\npm.max_children = 5\nphp_admin_value[memory_limit] = 1G\n",
		"[global]\ndaemonize = no\n[WWW]\nlisten = 9000\nphp_admin_value[memory_limit] = 2G\n")
	if len(read.Problems)+len(read.Warnings) > 0 || len(read.Pools) != 1 {
		t.Fatalf("got %+v, want one pool", read)
	}
	pool := read.Pools[0]
	if pool.Listen != "9000" || pool.MaxChildren != 5 || !pool.CatchOutput || pool.INI["memory_limit"] != "1G" {
		t.Errorf("got %+v, want the last listen and the first memory_limit", pool)
	}
}

func TestFilesOfSeveralPHPFPMsAreNotOnePool(t *testing.T) {
	var names []string
	for _, version := range []string{"8.1", "8.2"} {
		name := filepath.Join(t.TempDir(), "www.conf")
		if err := os.WriteFile(name, []byte("[www]\nlisten = /run/php/php"+version+"-fpm.sock\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if read := Read(append(names, names[0]), workersOnly); len(read.Pools) != 2 || len(read.Problems)+len(read.Warnings) > 0 {
		t.Errorf("got %+v, want two pools", read)
	}
}

func TestIncludesAreFollowed(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"etc/php-fpm.conf":       "[global]\ninclude=etc/php-fpm.d/*.conf\n",
		"etc/php-fpm.d/b.conf":   "listen = /run/b.sock\npm.max_children = 3\n",
		"etc/php-fpm.d/a.conf":   "[www]\nlisten = /run/a.sock\n",
		"etc/php-fpm.d/c.conf":   "include = DIR/etc/none-*.conf\n",
		"etc/php-fpm.d/old.bak":  "[old]\nnonsense\n",
		"etc/php-fpm.d/d.conf/x": "[folder]\n",
		"loop/a.conf":            "[loop]\nlisten = /run/loop.sock\ninclude = DIR/loop/a.conf\n",
		"ring/a.conf":            "[ring]\nlisten = /run/ring.sock\ninclude = DIR/ring/b.x\n",
		"ring/b.x":               "include = DIR/ring/*.conf\n",
		"deep/0.conf":            "[deep]\nlisten = /run/deep.sock\ninclude = DIR/deep/1.x\n",
		"deep/1.x":               "include = DIR/deep/2.x\n",
		"deep/2.x":               "include = DIR/deep/3.x\n",
		"deep/3.x":               "include = DIR/deep/4.x\n",
		"deep/4.x":               "include = DIR/deep/5.x\n",
		"deep/5.x":               "pm.max_children = 9\n",
	} {
		name = filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(strings.ReplaceAll(text, "DIR", dir)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	read := Read([]string{dir + "/etc/php-fpm.conf"}, workersOnly)
	if len(read.Pools) != 1 || read.Pools[0].Listen != "/run/b.sock" || read.Pools[0].MaxChildren != 3 || len(read.Problems) > 0 {
		t.Errorf("got %+v, want the section of the first file to go on in the second", read)
	}
	expect(t, "warnings", read.Warnings, "no file matches")
	for _, loop := range []string{"loop", "ring"} {
		expect(t, loop, Read([]string{filepath.Join(dir, loop)}, workersOnly).Problems, loop+"/a.conf includes itself")
	}
	expect(t, "problems", Read([]string{dir + "/deep"}, workersOnly).Problems, "include each other")
}

func TestValuesOfFiles(t *testing.T) {
	for text, want := range map[string]string{
		`plain text ; comment`: "plain text", `"quoted; text" ; c`: "quoted; text", `'single ${WORKERS}'`: "single ${WORKERS}",
		`"${WORKERS}"`: "20", `1${WORKERS}0`: "1200", `a"b c"d`: "ab cd", `"a \"q\" \\"`: `a "q" \`, `"on"`: "on", `on`: "1", `Off`: "",
		`${NONE:-7}`: "7", `${WORKERS:-7}`: "20", ``: "", `[::]:9000`: "[::]:9000", "5\r": "5", `$pool.sock`: "$pool.sock",
	} {
		l, err := parseINI("key = "+text, workersOnly)
		if err != nil || l.value.text != want || l.value.unknown != "" {
			t.Errorf("%s: got %+v, %v, want %q", text, l.value, err, want)
		}
	}
}

func TestAValueThatOnlyPHPFPMKnowsIsAWarning(t *testing.T) {
	const base = "[ws]\nlisten = /run/fpm.sock\npm = static\npm.max_children = 8\nphp_admin_value[output_buffering] = 65536\nphp_admin_value[error_log] =\nphp_admin_value[fastcgi.error_header] = \"WS-Failed: 1\"\n"
	for line, warning := range map[string]string{
		"pm.max_children = ${NONE}":                                "pm.max_children of [ws] is not compared: ${NONE} is not known here",
		"pm.max_children = 4|1":                                    "pm.max_children of [ws] is not compared: an expression",
		"pm.max_children = ${WORKERS}":                             "",
		"request_terminate_timeout = ${NONE}s":                     "request_terminate_timeout of [ws] is not compared",
		"listen = ${NONE}":                                         "listen of [ws] is not compared",
		"user = ${NONE}":                                           "",
		"env[A] = ${NONE}":                                         "",
		"php_admin_value[memory_limit] = ${NONE}":                  "",
		"php_admin_value[error_reporting] = E_ALL & ~E_DEPRECATED": "",
		"brand.new = 1":                                            "brand.new: not a directive of PHP-FPM 8.2",
		"new[a] = 1":                                               "new: not a directive",
	} {
		read := readPools(t, base+line+"\n")
		if len(read.Problems) > 0 {
			t.Errorf("%s: got problems %q", line, read.Problems)
		}
		c := minimal(t)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		problems, warnings := Compare(c, read.Pools)
		expect(t, line+": problems", problems, "")
		expect(t, line+": warnings", append(read.Warnings, warnings...), warning)
	}
}

func TestBrokenFiles(t *testing.T) {
	for doc, want := range map[string]string{
		"":                     "no pool in it",
		"[global]\npid = x\n":  "no pool in it",
		"[www]\npm = static\n": "a.conf: pool [www] has no listen: give all files",
		"[www]\nlisten\n":      `a.conf: line 2: "listen" is neither`,
		"[www]\nlisten = 1\npm.max_children = many\n": `a.conf: line 3: pm.max_children: "many" is not a whole number`,
		"[www]\nrequest_terminate_timeout = s":        `is not a time`,
		"[www]\nrequest_terminate_timeout = -1":       `is not a time`,
		"[www]\nrequest_terminate_timeout = 1y":       `is not a time`,
		"[www]\ncatch_workers_output = maybe":         `"maybe" is neither yes nor no`,
		"[www]\nphp_flag[x] = maybe":                  `php_flag[x]: "maybe" is neither yes nor no`,
		"[www]\n# no comment\n":                       "write ; instead",
		"[www\n":                                      "lacks its ]",
		"[www]\nlisten = \"/run\n":                    `lacks its "`,
		"[www]\nlisten = ${A\n":                       "lacks its }",
		"[${NONE}]\n":                                 "needs a name",
	} {
		expect(t, doc, readPools(t, doc).Problems, want)
	}
	expect(t, "no such file", Read([]string{"/none/such.conf"}, workersOnly).Problems, "/none/such.conf: no such file")
	expect(t, "an empty folder", Read([]string{t.TempDir()}, workersOnly).Problems, "no *.conf in this folder")
	expect(t, "a device", Read([]string{"/dev/zero"}, workersOnly).Problems, "not a file")
}

func TestCompareWithPool(t *testing.T) {
	const good = "[ws]\nlisten = /run/fpm.sock\npm = static\npm.max_children = 8\nphp_admin_value[output_buffering] = 65536\nphp_admin_value[error_log] =\nphp_admin_value[fastcgi.error_header] = \"WS-Failed: 1\"\n"
	for name, test := range map[string]struct {
		file             string
		change           func(c *config.Config)
		problem, warning string
	}{
		"fits":           {file: good},
		"elsewhere":      {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), problem: `write address = "tcp:127.0.0.1:9000"`},
		"any host":       {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:fpm.example:9000" }},
		"other port":     {file: strings.Replace(good, "/run/fpm.sock", "9000", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:fpm.example:19000" }, problem: "no fpm.*.address says so"},
		"too few":        {file: good + "pm.max_children = 2\n", problem: "write at most 2"},
		"all":            {file: good + "pm.max_children = 3\n", warning: "takes all 3 workers"},
		"all of its own": {file: good + "pm.max_children = 3\n[www]\nlisten = /run/www.sock\n"},
		"not said":       {file: good + "pm.max_children = 0\n", warning: "does not set pm.max_children"},
		"kills":          {file: good + "request_terminate_timeout = 30\n", problem: "write 0, or at least 37s"},
		"reload kills":   {file: "[global]\nprocess_control_timeout = 5\n" + good, warning: "write process_control_timeout = "},
		"kills stream":   {file: good + "request_terminate_timeout = 37\n", warning: "streams of route[1] end by then"},
		"kills spare": {file: good + "request_terminate_timeout = 30\n", change: func(c *config.Config) {
			c.FPM["local"], c.Routes[0].FPM, c.Routes[0].Spares = config.NewFPM("", "unix:/run/local.sock"), "local", []string{"default"}
		}, problem: "write 0, or at least 37s", warning: "fpm.local is not compared: no pool in the files of --fpm-pool listens on unix:/run/local.sock"},
		"long enough":  {file: good + "request_terminate_timeout = 607\n"},
		"ondemand":     {file: good + "pm = ondemand\n", warning: "pm = ondemand"},
		"extensions":   {file: good + "security.limit_extensions = .phtml\n", problem: "leaves out .php"},
		"catch":        {file: good + "catch_workers_output = yes\n", warning: "catch_workers_output"},
		"no header":    {file: strings.Replace(good, "php_admin_value[fastcgi.error_header]", "env[X]", 1), warning: "does not set fastcgi.error_header to WS-Failed"},
		"other header": {file: strings.Replace(good, "WS-Failed", "X-Failed", 1), warning: "does not set fastcgi.error_header to WS-Failed"},
		"display":      {file: good + "php_flag[display_errors] = on\n", warning: "display_errors"},
		"log":          {file: good + "php_admin_flag[log_errors] = off\n", warning: "log_errors"},
		"error log":    {file: strings.Replace(good, "[error_log] =", "[error_log] = /var/log/x", 1), warning: "error_log of [ws] keeps PHP's errors"},
		"no error log": {file: strings.Replace(good, "php_admin_value[error_log] =", "", 1), warning: "[ws] does not set error_log"},
		"first counts": {file: good + "php_admin_value[output_buffering] = 0\nphp_admin_value[error_log] = /var/log/x\n"},
		"zlib":         {file: good + "php_flag[zlib.output_compression] = on\n", warning: "zlib.output_compression"},
		"zlib size":    {file: good + "php_value[zlib.output_compression] = 4096\n", warning: "zlib.output_compression"},
		"zlib off":     {file: good + "php_flag[zlib.output_compression] = off\n"},
		"limiter": {file: good + "php_value[session.cache_limiter] = public\n", warning: "session.cache_limiter of [ws] is public",
			change: func(c *config.Config) { c.Routes[0].Cache = 1 << 20 }},
		"limiter, no cache": {file: good + "php_value[session.cache_limiter] = public\n"},
		"limiter off":       {file: good + "php_value[session.cache_limiter] = nocache\n", change: func(c *config.Config) { c.Routes[0].Cache = 1 << 20 }},
		"any IPv6":          {file: strings.Replace(good, "/run/fpm.sock", "[::]:9000", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:[::1]:9000" }},
		"IPv6":              {file: strings.Replace(good, "/run/fpm.sock", "[::1]:9000", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:[::1]:9000" }},
		"IPv6, long":        {file: strings.Replace(good, "/run/fpm.sock", "[0::1]:9000", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:[::1]:9000" }},
		"localhost":         {file: strings.Replace(good, "/run/fpm.sock", "localhost:9055", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:127.0.0.1:9055" }},
		"to localhost":      {file: strings.Replace(good, "/run/fpm.sock", "[::1]:9055", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:localhost:9055" }},
		"two families":      {file: strings.Replace(good, "/run/fpm.sock", "[::1]:9055", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:127.0.0.1:9055" }, problem: "no fpm.*.address says so"},
		"other local":       {file: strings.Replace(good, "/run/fpm.sock", "localhost:9055", 1), change: func(c *config.Config) { c.FPM["default"].Address = "tcp:127.0.0.1:9056" }, problem: "no fpm.*.address says so"},
		"relative": {file: strings.Replace(good, "/run/fpm.sock", "var/q.sock", 1),
			problem: `listens on var/q.sock, relative to PHP-FPM's prefix, and no fpm.*.address says so: write address = "unix:PREFIX/var/q.sock"`},
		"below prefix": {file: strings.Replace(good, "/run/fpm.sock", "run/fpm.sock", 1)},
		"any, unnamed": {file: strings.Replace(good, "/run/fpm.sock", "[::]:9000", 1), problem: `write address = "tcp:127.0.0.1:9000"`},
		"prefix":       {file: strings.Replace(good, "/run/fpm.sock", "$pool.sock\nprefix = /srv", 1), problem: `write address = "unix:/srv/ws.sock"`},
		"no buffering": {file: strings.Replace(good, "65536", "0", 1), warning: "output_buffering of [ws] is off"},
		"buffering":    {file: strings.Replace(good, "php_admin_value[output_buffering] = 65536", "", 1), warning: "does not set output_buffering"},
		"post":         {file: good + "php_value[post_max_size] = 8K\n", problem: "raise it to 65536"},
		"post off":     {file: good + "php_value[post_max_size] = 0\n"},
	} {
		t.Run(name, func(t *testing.T) {
			c := minimal(t)
			if test.change != nil {
				test.change(c)
			}
			if err := c.Check(); err != nil {
				t.Fatal(err)
			}
			problems, warnings := Compare(c, readPools(t, test.file).Pools)
			expect(t, "problems", problems, test.problem)
			expect(t, "warnings", warnings, test.warning)
		})
	}
}

func TestAFolderMayHaveTwoNames(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(dir, dir+"/run"); err != nil {
		t.Fatal(err)
	}
	pool := newPool("ws")
	pool.Listen = dir + "/run/fpm.sock"
	c := minimal(t)
	c.FPM["default"].Address = "unix:" + dir + "/fpm.sock"
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	problems, _ := Compare(c, []*Pool{pool})
	expect(t, "problems", problems, "")
}

func TestAFileThatIsNoPoolFileIsOneProblem(t *testing.T) {
	ini := "[PHP]\nengine = On\nshort_open_tag = Off\nprecision = 14\nerror_log =\n[CLI Server]\ncli_server.color = On\n"
	read := readPools(t, ini)
	expect(t, "problems", read.Problems, "a.conf: not a pool file: none of its 5 directives")
	expect(t, "warnings", read.Warnings, "")
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
	f.Add("[www]\nlisten = 'a'\"b ${WORKERS} \\\"\"\npm.max_children = ${NONE:-3}|1\ninclude = *\n# x")
	f.Fuzz(func(t *testing.T, doc string) {
		r := reader{env: workersOnly, seen: map[string]bool{}, files: map[string][]string{}, open: make([]string, maxIncludes)}
		r.text("x.conf", doc) // nothing is included
		Directives(doc)
		r.finish()
		c := minimal(t)
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		Compare(c, r.Pools)
		for _, line := range slices.Concat(r.Problems, r.Warnings) {
			if strings.ContainsAny(line, "\n\r\x1b") {
				t.Fatalf("a message of several lines, or for a terminal: %q", line)
			}
		}
		for _, pool := range r.Pools {
			if pool.Listen == "" || pool.Name == "" || pool.MaxChildren < 0 || pool.TerminateTimeout < 0 {
				t.Fatalf("got the pool %+v", pool)
			}
		}
	})
}

func TestDirectivesOfAUserINI(t *testing.T) {
	got := Directives("; a comment\n[PATH=/x]\ndisplay_errors = On\nauto_prepend_file = \"/srv/a b.php\" ; why\nextension[] = x\noutput_buffering = 1\noutput_buffering = 4096\n# broken\nx\npost_max_size = ~1\nlog_errors = off")
	want := map[string]string{"display_errors": "1", "auto_prepend_file": "/srv/a b.php", "output_buffering": "4096", "log_errors": ""}
	if !maps.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
