package browser

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// wordpress is Debian's WordPress with client/wordpress, the block of docs/frameworks.md, a
// gateway and a web server.
func wordpress(t *testing.T) (dir string, web *stack.NginxServer, g *stack.GatewayServer, ids []string) {
	t.Helper()
	redis := stack.Redis(t, stack.RedisOptions{})
	dir = filepath.Join(stack.TempDir(t), "site")
	plugin := filepath.Join(dir, "wp-content/plugins/wsfpm.php")
	copies(t, "/usr/share/wordpress", dir)
	copies(t, "testdata/wordpress/themes/mini", filepath.Join(dir, "wp-content/themes/mini"))
	copies(t, filepath.Join(stack.Root(t), "client/wordpress/wsfpm.php"), plugin)
	copies(t, "testdata/wordpress/install.php", filepath.Join(dir, "install.php"))
	config, err := os.ReadFile("testdata/wordpress/wp-config.php")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("{{database}}", stack.MariaDB(t), "{{redis}}", redis.Addr).Replace(string(config))
	writes(t, filepath.Join(dir, "wp-config.php"), text)
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs/frameworks.md"))
	if err != nil {
		t.Fatal(err)
	}
	block := regexp.MustCompile("(?s)<!-- run by test/browser.TestSoakWordPress -->\n```php\n(.*?)```").FindSubmatch(page)
	writes(t, filepath.Join(dir, "wp-content/mu-plugins/live.php"), string(block[1]))
	writes(t, filepath.Join(dir, "wp-content/mu-plugins/cron.php"),
		"<?php add_action('init', fn () => isset($_SERVER['WS_EVENT']) && has_action('init', 'wp_cron') && error_log('a handshake would run cron'));")

	fpm := stack.FPM(t, stack.FPMOptions{Children: 6})
	g = stack.Gateway(t, stack.GatewayOptions{FPM: fpm, Redis: redis.URL(), Routes: fmt.Sprintf(
		"[[route]]\npath = \"/ws/site\"\nscript = %q\naccept = \"header\"\nparams = { WSFPM_REDIS = %q }\n[presence]\nchannels = [\"page-*\"]\n", plugin, redis.Addr)})
	web = stack.Nginx(t, fmt.Sprintf(`
map $http_upgrade $wsfpm_upgrade { default ""; websocket websocket; }
server { listen LISTEN; root %s; index index.php;
	location / { try_files $uri $uri/ /index.php?$args; }
	location ~ \.php$ { fastcgi_pass unix:%s; include /etc/nginx/fastcgi_params; fastcgi_param HTTP_HOST $http_host;
		fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name; fastcgi_read_timeout 300s; }
	location /ws { proxy_pass http://%s; proxy_http_version 1.1;
		proxy_set_header Upgrade $wsfpm_upgrade; proxy_set_header Connection "upgrade"; proxy_set_header Host $http_host;
		proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; proxy_read_timeout 75s; } }`, dir, fpm.Socket, g.Listen))
	out, err := exec.Command(stack.Tool(t, "php-cli", "php"), filepath.Join(dir, "install.php"), web.Addr).CombinedOutput()
	ids = strings.Fields(string(out))
	if err != nil || len(ids) != 2 {
		t.Fatalf("install WordPress: %v\n%s", err, out)
	}
	return dir, web, g, ids
}

func copies(t *testing.T, from, to string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("cp", "-R", from, to).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

func writes(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The plugin of docs/frameworks.md in WordPress, with guests and a logged-in author.
func TestSoakWordPress(t *testing.T) {
	program := node(t)
	stack.Integration(t)
	dir, web, g, ids := wordpress(t)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "wordpress.mjs", web.URL(), ids[0]).CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("chromium: %v\n%s", err, out)
	}
	if r := stack.HTTP(t, "GET", web.URL()+"/wp-content/plugins/wsfpm.php", http.Header{}); r.Status != 404 || r.Body != "" {
		t.Errorf("as a web page: got %d %q, want 404", r.Status, r.Body)
	}
	for what, query := range map[string]string{"a draft": "?page=" + ids[1], "no post": "?page=99", "no number": "?page=x", "nothing": ""} {
		if r := stack.Refused(t, "ws://"+web.Addr+"/ws/site"+query, stack.DialOptions{}); r.Status != 404 {
			t.Errorf("%s: got %d %q, want 404", what, r.Status, r.Body)
		}
	}
	c := stack.Dial(t, g.URL+"/ws/site?page="+ids[0], stack.DialOptions{Host: web.Addr})
	c.Send("flood")
	c.Send("count")
	if text := string(c.Next().Data); !strings.HasPrefix(text, `{"readers":1,`) {
		t.Errorf("got %s, want one reader, and nothing for other messages", text)
	}
	for _, line := range g.LogLines("warn") {
		if line.Text("msg") == "script wrote to stderr" {
			t.Errorf("the script complained: %v", line)
		}
	}
	deactivates := `$_SERVER["HTTP_HOST"] = $argv[2]; require "$argv[1]/wp-load.php"; require ABSPATH . "wp-admin/includes/plugin.php"; deactivate_plugins("wsfpm.php");`
	if out, err := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", deactivates, dir, web.Addr).CombinedOutput(); err != nil || len(out) != 0 {
		t.Fatalf("deactivate the plugin: %v\n%s", err, out)
	}
	if r := stack.Refused(t, "ws://"+web.Addr+"/ws/site?page="+ids[0], stack.DialOptions{}); r.Status != 404 {
		t.Errorf("after the plugin's deactivation: got %d %q, want 404", r.Status, r.Body)
	}
}

// The end of a login is the end of its socket, whose page comes back as who it is then.
func TestSoakWordPressEndsLogins(t *testing.T) {
	t.Parallel()
	stack.Integration(t)
	dir, web, g, ids := wordpress(t)
	writes(t, filepath.Join(dir, "wp-content/mu-plugins/quiet.php"), `<?php add_filter('wsfpm_connect', fn ($welcome) => ['join' => ['uncounted'], 'user' => (string) $welcome['user']]);`)
	answer, err := stack.Transport(stack.DialOptions{}).RoundTrip(post(t, web.URL()+"/wp-login.php", url.Values{"log": {"ann"}, "pwd": {"secret"}}))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var login []string
	for _, c := range answer.Cookies() {
		login = append(login, c.Name+"="+c.Value)
	}
	cookie := strings.Join(login, "; ")
	out, _ := stack.Command(t, "call", filepath.Join(dir, "wp-content/plugins/wsfpm.php"), "connect", "--json", "--config", g.Config, "--path", "/ws/site",
		"--query", "page="+ids[0], "--cookie", cookie, "--header", "Host: "+web.Addr)
	end := regexp.MustCompile(`"expires":"(\d+)"`).FindStringSubmatch(out)
	if end == nil {
		t.Fatalf("no end of the login: %s", out[max(0, len(out)-800):])
	}
	if at, err := strconv.ParseInt(end[1], 10, 64); err != nil || time.Until(time.Unix(at, 0)).Round(time.Hour) != 48*time.Hour {
		t.Errorf("the socket ends at %s, %v, want two days from now", end[1], err)
	}

	ann := stack.Dial(t, g.URL+"/ws/site?page="+ids[0], stack.DialOptions{Host: web.Addr, Cookie: cookie})
	guest := stack.Dial(t, g.URL+"/ws/site?page="+ids[0], stack.DialOptions{Host: web.Addr})
	load := `$_SERVER["HTTP_HOST"] = $argv[2]; require "$argv[1]/wp-load.php"; `
	run := func(code string) {
		t.Helper()
		if out, err := exec.Command(stack.Tool(t, "php-cli", "php"), "-r", load+code, dir, web.Addr).CombinedOutput(); err != nil || len(out) != 0 {
			t.Fatalf("%s: %v\n%s", code, err, out)
		}
	}
	run(`do_action("wp_logout"); wsfpm_push("user:1", "for Ann"); wp_set_current_user(1); wp_logout();`)
	ann.Expect("for Ann")
	ann.ExpectClose(4401)
	run(`wsfpm_push("all", "for all");`)
	guest.Expect("for all")
}

func post(t *testing.T, to string, form url.Values) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "POST", to, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}
