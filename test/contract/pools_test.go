package contract

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/poolfile"
	"wsfpm/test/stack"
)

// dumped is a directive as php-fpm -tt prints it.
var dumped = regexp.MustCompile(`NOTICE: \t(\S.*?) = (.*)`)

// dump asks PHP-FPM itself what a configuration means. Of two lines for one
// directive of php.ini it applies the last one last.
func dump(t *testing.T, file string, environ []string) (pool map[string]string, ok bool) {
	t.Helper()
	binary := stack.Tool(t, "php-fpm", "php-fpm", "php-fpm8.*", "/usr/sbin/php-fpm*", "/usr/local/sbin/php-fpm*")
	cmd := exec.Command(binary, "-tt", "-y", file)
	cmd.Env = append(os.Environ(), environ...)
	out, err := cmd.CombinedOutput()
	_, text, _ := strings.Cut(string(out), "NOTICE: [www]")
	pool = map[string]string{}
	for _, m := range dumped.FindAllStringSubmatch(text, -1) {
		pool[m[1]] = m[2]
	}
	return pool, err == nil
}

// poolBase is a pool that PHP-FPM takes.
const poolBase = "[www]\nuser = root\ngroup = root\nlisten = /run/x.sock\npm = static\npm.max_children = 4\n"

// poolFiles are configurations, each a list of files that the main one includes
// in this order.
var poolFiles = map[string][]string{
	"plain":            {poolBase},
	"Docker's image":   {"[global]\nerror_log = /proc/self/fd/2\nlog_limit = 8192\n[www]\naccess.log = /proc/self/fd/2\nclear_env = no\ncatch_workers_output = yes\n", poolBase, "[global]\ndaemonize = no\n[www]\nlisten = 9000\n"},
	"other case":       {poolBase, "[WWW]\nPM.Max_Children = 9\nCatch_Workers_Output = 1\n"},
	"over an include":  {poolBase, "pm.max_children = 7\n"},
	"variable":         {poolBase + "pm.max_children = ${WSFPM_TEST_WORKERS}\n"},
	"in quotes":        {poolBase + "pm.max_children = \"${WSFPM_TEST_WORKERS}\" ; as in many images\n"},
	"beside digits":    {poolBase + "pm.max_children = 1${WSFPM_TEST_WORKERS}0\n"},
	"single quotes":    {poolBase + "pm.max_children = '${WSFPM_TEST_WORKERS}'\n"},
	"unset":            {poolBase + "pm.max_children = ${WSFPM_TEST_NONE}\n"},
	"not a number":     {poolBase + "pm.max_children = many\n"},
	"number and text":  {poolBase + "pm.max_children = 5 workers\n"},
	"with a unit":      {poolBase + "pm.max_children = 1K\n"},
	"comment after":    {poolBase + "pm.max_children = 5; five\n"},
	"hash":             {poolBase + "# no comment\n"},
	"hash, assigned":   {poolBase + "# pm.max_children = 5\n"},
	"no value":         {poolBase + "pm.max_children\n"},
	"CRLF":             {strings.ReplaceAll(poolBase, "\n", "\r\n")},
	"blanks":           {poolBase + "\t pm.max_children \t=  6 \t\n"},
	"pm in capitals":   {poolBase + "pm = Static\n"},
	"minutes":          {poolBase + "request_terminate_timeout = 2m\n"},
	"seconds":          {poolBase + "request_terminate_timeout = 90\n"},
	"days":             {poolBase + "request_terminate_timeout = 1d\n"},
	"unknown unit":     {poolBase + "request_terminate_timeout = 2M\n"},
	"no time":          {poolBase + "request_terminate_timeout =\n"},
	"on":               {poolBase + "catch_workers_output = On\n"},
	"quoted on":        {poolBase + "catch_workers_output = \"on\"\n"},
	"neither":          {poolBase + "catch_workers_output = enabled\n"},
	"port":             {poolBase + "listen = 9000\n"},
	"host and port":    {poolBase + "listen = 127.0.0.1:9000\n"},
	"IPv6":             {poolBase + "listen = [::]:9000\n"},
	"the pool's name":  {poolBase + "listen = /run/$pool.sock\n"},
	"the pool's place": {poolBase + "prefix = /tmp\nlisten = $pool.sock\n"},
	"extensions":       {poolBase + "security.limit_extensions = .php .html\n"},
	"no extensions":    {poolBase + "security.limit_extensions =\n"},
	"quoted name":      {strings.Replace(poolBase, "[www]", "[\"www\"] ; ours", 1)},
	"unknown key":      {poolBase + "nonsense = 5\n"},
	"unknown array":    {poolBase + "nonsense[a] = 5\n"},
	"broken section":   {poolBase + "[www\n"},
	"php.ini": {poolBase + "php_admin_value[memory_limit] = 1G\nphp_admin_value[memory_limit] = 2G\nphp_flag[display_errors] = off\nphp_value[\"x\"] = on\n" +
		"php_value[sendmail_path] = /usr/sbin/sendmail -t -f a@b\nphp_value[y] = 'it; is'\nphp_value[z] = \"a \\\"q\\\" $pool\"\nphp_value[w] = a\"b c\"d\n"},
	"two kinds": {poolBase + "php_value[a] = 1\nphp_admin_value[a] = 2\nphp_admin_flag[b] = yes\nphp_value[b] = 5\n"},
	"itself":    {poolBase + "include = SELF\n"},
	"bad flag":  {poolBase + "php_flag[display_errors] = maybe\n"},
}

func TestCheckReadsPoolsAsPHPFPMDoes(t *testing.T) {
	Row(t, "5.check-pool", "5.check-pool-files")
	stack.Integration(t)
	t.Setenv("WSFPM_TEST_WORKERS", "20")
	for name, texts := range poolFiles {
		dir := t.TempDir()
		text := "[global]\n"
		for i, part := range texts {
			file := filepath.Join(dir, string(rune('a'+i))+".part")
			if err := os.WriteFile(file, []byte(strings.ReplaceAll(part, "SELF", file)), 0o644); err != nil {
				t.Fatal(err)
			}
			text += "include = " + file + "\n"
		}
		main := filepath.Join(dir, "php-fpm.conf")
		if err := os.WriteFile(main, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		want, taken := dump(t, main, nil)
		read := poolfile.Read([]string{main}, os.LookupEnv)
		if said := len(read.Problems) + len(read.Warnings); taken && said > 0 || !taken && said == 0 {
			t.Errorf("%s: PHP-FPM takes it: %v, and we said %q and %q", name, taken, read.Problems, read.Warnings)
		}
		if taken && len(read.Pools) == 1 {
			samePool(t, name, read.Pools[0], want)
		}
	}
}

// samePool compares a pool as we read it with what PHP-FPM says of it.
func samePool(t *testing.T, name string, got *poolfile.Pool, want map[string]string) {
	t.Helper()
	equal(t, name+": listen", got.Listen, want["listen"])
	equal(t, name+": pm", got.PM, want["pm"])
	equal(t, name+": pm.max_children", fmt.Sprint(got.MaxChildren), want["pm.max_children"])
	equal(t, name+": request_terminate_timeout", fmt.Sprintf("%ds", got.TerminateTimeout/time.Second), want["request_terminate_timeout"])
	equal(t, name+": catch_workers_output", got.CatchOutput, want["catch_workers_output"] == "yes")
	equal(t, name+": security.limit_extensions", strings.Join(got.Extensions, " "), strings.TrimSpace(want["security.limit_extensions"]))
	for directive, value := range got.INI {
		said, found := want["php_admin_value["+directive+"]"]
		if !found {
			said, found = want["php_value["+directive+"]"]
		}
		if said == "undefined" {
			said = ""
		}
		if !found || said != value {
			t.Errorf("%s: %s: got %q, want %q", name, directive, value, said)
		}
	}
}

// Two lines for one directive of php.ini: the first counts, and an admin one
// before others. So a file that comes late, such as zz-docker.conf, changes none.
func TestTheFirstOfTwoPHPValuesCounts(t *testing.T) {
	Row(t, "5.check-pool")
	lines := map[string]string{"php_admin_value[post_max_size]": "3M\nphp_admin_value[post_max_size] = 4M",
		"php_value[precision]": "11\nphp_value[precision] = 12", "php_value[serialize_precision]": "6\nphp_admin_value[serialize_precision] = 5"}
	fpm := stack.FPM(t, stack.FPMOptions{Children: 1, Pool: lines})
	w := start(t, setup{script: `echo ini_get('post_max_size'), ' ', ini_get('precision'), ' ', ini_get('serialize_precision');`,
		options: stack.GatewayOptions{FPM: fpm}})
	c := w.open()
	got := string(c.Next().Data)
	read := poolfile.Read([]string{fpm.ConfigFile()}, os.LookupEnv)
	if len(read.Pools) != 1 {
		t.Fatalf("got %+v", read)
	}
	ini := read.Pools[0].INI
	equal(t, "as PHP has it", ini["post_max_size"]+" "+ini["precision"]+" "+ini["serialize_precision"], got)
}

func TestCheckTakesAFolderOfPoolFiles(t *testing.T) {
	Row(t, "5.check-pool", "5.check-pool-files")
	dir := t.TempDir()
	for file, text := range map[string]string{"docker.conf": "[www]\nclear_env = no\n", "www.conf": poolBase, "zz-docker.conf": "[www]\nlisten = 9000\n"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file := strings.Replace(soundFile, "unix:/run/php/php-fpm.sock", "tcp:127.0.0.1:9000", 1)
	all := dir + "/docker.conf," + dir + "/www.conf," + dir + "/zz-docker.conf"
	for _, arg := range []string{dir, all} {
		if out, code := checkFile(t, file, "--fpm-pool", arg); code != 0 || strings.Contains(out, "no listen") {
			t.Errorf("--fpm-pool %s: got exit code %d, %s", arg, code, out)
		}
	}
	if out, code := checkFile(t, file, "--fpm-pool", dir+"/docker.conf"); code == 0 || !strings.Contains(out, "their folder") {
		t.Errorf("a part alone: got exit code %d, %s", code, out)
	}
	if out, code := checkFile(t, file, "--fpm-pool", ""); code == 0 || !strings.Contains(out, "an empty name") {
		t.Errorf("an empty name: got exit code %d, %s", code, out)
	}
	out, code := checkFile(t, file+"\n[limits]\nchannels = 64\n", "--fpm-pool", all, "--set", "fpm.default.max_connections=8")
	if code == 0 || strings.Count(out, "pm.max_children of [www] is 4") != 1 {
		t.Errorf("too many connections: got exit code %d, %s", code, out)
	}
}
