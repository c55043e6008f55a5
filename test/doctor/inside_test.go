package doctor

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/contract"
	"wsfpm/test/stack"
)

// direct runs wsfpm doctor without a proxy, with another configuration for its own eyes.
func (s *site) direct(t *testing.T, conf string, args ...string) report {
	t.Helper()
	file := filepath.Join(stack.TempDir(t), "wsfpm.toml")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	return ask(t, append(append([]string{"ws://" + s.gateway.Listen + "/ws/count", "--silence", "100ms"}, s.inside(t)...), append([]string{"--config", file}, args...)...)...)
}

func TestTheInside(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-inside", "5.doctor-php")
	s := newSite(t, stack.FreeAddress(t))
	conf := s.gateway.ConfigText(t)
	clean(t, s.direct(t, conf, "--silence", "4s"), "dns", "tls", "redirect")
	for _, m := range []mistake{
		{name: "a wrong key", old: "[limits]", new: "[limits]\nping_intervall = 1", check: "configuration"},
		{name: "no script", old: `root = "`, new: `root = "/nowhere`, check: "configuration", status: "warning"},
		{name: "no PHP-FPM", old: s.fpm.Socket, new: s.fpm.Socket + "x", check: "php-fpm", args: []string{"--fpm-pool", s.poolFile(t, s.fpm.Socket, s.fpm.Socket+"x")}},
		{name: "too few workers", old: "max", new: "max", check: "pool files", args: []string{"--fpm-pool", s.poolFile(t, "max_children = 4", "max_children = 2")}},
		{name: "a reload that kills", old: "max", new: "max", check: "pool files", status: "warning", args: []string{"--fpm-pool", s.poolFile(t, "= 60s", "= 0")}},
		{name: "scripts that are killed", old: "max", new: "max", check: "pool files", args: []string{"--fpm-pool", s.poolFile(t, "timeout = 0", "timeout = 5s")}},
		{name: "no Redis", old: s.redis.Addr, new: stack.FreeAddress(t), check: "redis"},
	} {
		t.Run(m.name, func(t *testing.T) {
			if m.old == "max" {
				m.old, m.new = "[limits]", "[limits]"
			}
			m.only(t, s.direct(t, m.plant(t, conf), m.args...))
		})
	}
	s.noRuns(t)
}

func TestPHPSettings(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-inside", "5.doctor-php")
	s := newSite(t, stack.FreeAddress(t))
	silent := filepath.Join(s.dir, "silent.php")
	if err := os.WriteFile(silent, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, m := range []mistake{
		{old: "display_errors", new: "on", status: "warning"},
		{old: "log_errors", new: "off", status: "warning"},
		{old: "error_log", new: "/tmp/php.log", status: "warning"},
		{old: "fastcgi.error_header", new: "", status: "warning"},
		{old: "output_buffering", new: "0", status: "warning"},
		{old: "zlib.output_compression", new: "on"},
		{old: "session.cache_limiter", new: "public", status: "warning"},
		{old: "opcache.enable", new: "0", status: "warning"},
		{old: "auto_prepend_file", new: silent, status: "warning"},
		{old: "auto_append_file", new: silent, status: "warning"},
		{old: "output_handler", new: "ob_gzhandler"},
		{old: "session.auto_start", new: "on", status: "warning"},
		{old: "post_max_size", new: "1K"},
	} {
		t.Run(m.old, func(t *testing.T) {
			ini := maps.Clone(rightINI)
			ini[m.old] = m.new
			m.check, m.cure = "php", m.old
			m.only(t, s.direct(t, s.with(t, ini)))
		})
	}
	t.Run("open_basedir", func(t *testing.T) {
		ini := maps.Clone(rightINI)
		ini["open_basedir"] = "/nowhere"
		r := s.direct(t, s.with(t, ini))
		if got := r.of(t, "php"); got.Status != "not run" || r.Exit != 0 {
			t.Errorf("got %v, want that it could not run", got)
		}
	})
	s.noRuns(t)
}

// PHP changes its settings by files beside the scripts, but for those that the pool has fixed.
func TestSettingsOfTheScriptsFolder(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-inside", "5.doctor-php")
	s := newSite(t, stack.FreeAddress(t))
	conf := s.gateway.ConfigText(t)
	folder := regexp.MustCompile(`root = "(.*)"`).FindStringSubmatch(conf)[1]
	below := filepath.Join(folder, "events")
	if err := os.Mkdir(below, 0o755); err != nil {
		t.Fatal(err)
	}
	deep := strings.Replace(conf, `root = "`+folder, `document_root = "`+folder+"\"\nroot = \""+below, 1)
	alone := strings.Replace(conf, `root = "`+folder, "root = \""+below, 1)
	write := func(text string) {
		if err := os.WriteFile(filepath.Join(folder, ".user.ini"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("; fixed by the pool, and harmless\noutput_buffering = 0\nmemory_limit = 64M\n[PATH=/x]\n")
	clean(t, s.direct(t, conf, "--silence", "100ms"), "dns", "tls", "redirect", "silence")
	write("auto_prepend_file = \"before.php\" ; a banner\n")
	for text, found := range map[string]bool{conf: true, deep: true, alone: false} {
		r := s.direct(t, text)
		if got := r.of(t, "php"); found {
			mistake{check: "php", status: "warning", cure: "php_admin_value[auto_prepend_file] ="}.only(t, r)
			if !strings.Contains(got.Text, folder+"/.user.ini") {
				t.Errorf("got %v, want the file's name", got)
			}
		} else {
			clean(t, r, "dns", "tls", "redirect", "silence")
		}
	}
	s.noRuns(t)
}

func TestAFullPool(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-inside")
	s := newSite(t, stack.FreeAddress(t))
	s.configure(t, "[redis]", "max_connections = 1\nqueue_wait = \"1m\"\n[redis]")
	conf := s.gateway.ConfigText(t)
	scripts, held := regexp.MustCompile(`root = "(.*)"`).FindStringSubmatch(conf)[1], filepath.Join(s.dir, "held")
	for file, text := range map[string]string{held: "", filepath.Join(scripts, "hold.php"): "<?php if ($_SERVER['WS_EVENT'] === 'message') while (file_exists('" + held + "')) { clearstatcache(); usleep(10000); }"} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first, second := stack.Dial(t, "ws://"+s.gateway.Listen+"/ws/hold", stack.DialOptions{}), stack.Dial(t, "ws://"+s.gateway.Listen+"/ws/hold", stack.DialOptions{})
	first.Send("x")
	second.Send("x")
	stack.Wait(t, "one to run and one to wait", func() bool {
		return s.gateway.Metric(t, "wsfpm_fpm_waiting", `fpm="default"`, `event="message"`) == 1
	})
	mistake{check: "workers", status: "warning", cure: "pm.max_children"}.only(t, s.direct(t, conf))
	if err := os.Remove(held); err != nil {
		t.Fatal(err)
	}
	stack.Wait(t, "both to end", func() bool { return s.gateway.Metric(t, "wsfpm_fpm_in_use", `fpm="default"`) == 0 })
	clean(t, s.direct(t, conf, "--silence", "100ms"), "dns", "tls", "redirect", "silence")
}

// with returns the configuration with another PHP-FPM.
func (s *site) with(t *testing.T, ini map[string]string) string {
	t.Helper()
	first := s.fpm
	s.fpm = stack.FPM(t, stack.FPMOptions{Ini: ini})
	t.Cleanup(func() { s.fpm = first })
	return strings.ReplaceAll(s.gateway.ConfigText(t), first.Socket, s.fpm.Socket)
}

func TestRedisSettings(t *testing.T) {
	t.Parallel()
	contract.Row(t, "5.doctor-inside")
	s := newSite(t, stack.FreeAddress(t))
	for _, m := range []struct {
		name, old, new, cure string
		args                 []string
	}{
		{name: "a small buffer", args: []string{"--client-output-buffer-limit", "pubsub 32mb 8mb 60"}, cure: "client-output-buffer-limit pubsub"},
		{name: "no keepalive", args: []string{"--tcp-keepalive", "0"}, cure: "tcp-keepalive"},
		{name: "nothing kept", args: []string{"--appendonly", "no"}, cure: "appendonly"},
	} {
		t.Run(m.name, func(t *testing.T) {
			redis := stack.Redis(t, stack.RedisOptions{Args: append(append([]string(nil), rightRedis...), m.args...)})
			conf := strings.ReplaceAll(s.gateway.ConfigText(t), s.redis.Addr, redis.Addr)
			mistake{check: "redis server", status: "warning", cure: m.cure}.only(t, s.direct(t, conf))
		})
	}
	t.Run("no right to look", func(t *testing.T) {
		redis := stack.Redis(t, stack.RedisOptions{Args: rightRedis})
		redis.Do(t, "ACL", "SETUSER", "default", "-config")
		got := s.direct(t, strings.ReplaceAll(s.gateway.ConfigText(t), s.redis.Addr, redis.Addr)).of(t, "redis server")
		if got.Status != "not run" {
			t.Errorf("got %v, want that it could not run", got)
		}
	})
}

// A visitor who finds the probe gets nothing.
func TestTheProbeIsNoPage(t *testing.T) {
	contract.Row(t, "5.doctor-probe")
	stack.Integration(t)
	fpm := stack.FPM(t, stack.FPMOptions{})
	nginx := stack.Nginx(t, "server { listen LISTEN; location / { fastcgi_pass unix:"+fpm.Socket+"; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME "+
		filepath.Join(stack.Root(t), "deploy/php-fpm/probe.php")+"; } }")
	got := stack.HTTP(t, "GET", nginx.URL()+"/probe.php?WSFPM_PROBE=1", http.Header{"Wsfpm-Probe": {"1"}, "Cookie": {"WSFPM_PROBE=1"}})
	if got.Status != 404 || got.Body != "" {
		t.Errorf("got %d %q, want 404 and nothing", got.Status, got.Body)
	}
}
