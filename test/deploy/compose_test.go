package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// The files of compose.yaml, with this machine's nginx and PHP-FPM in the place of containers.
func TestComposedServicesFitTogether(t *testing.T) {
	stack.Integration(t)
	examples := filepath.Join(stack.Root(t), "examples/php")
	fpm := stack.FPM(t, stack.FPMOptions{TCP: true})
	listen, admin := stack.FreeAddress(t), stack.FreeAddress(t)
	file := strings.Replace(read(t, "deploy/compose/wsfpm.toml"), `"/srv/app/ws"`, `"`+examples+`"`, 1)
	stack.Gateway(t, stack.GatewayOptions{File: file, Listen: listen, AdminAddress: admin,
		Args: []string{"--listen", listen, "--admin", admin, "--fpm", fpm.Address, "--set", "drain=1s"}})

	conf := read(t, "deploy/compose/nginx.conf")
	for old, new := range map[string]string{
		"listen 80;": "listen LISTEN;", "/srv/app/public": examples, "wsfpm:8080": listen,
		"php:9000": strings.TrimPrefix(fpm.Address, "tcp:"), "include fastcgi_params": "include /etc/nginx/fastcgi_params",
	} {
		if !strings.Contains(conf, old) {
			t.Fatalf("deploy/compose/nginx.conf has no %q", old)
		}
		conf = strings.Replace(conf, old, new, 1)
	}
	nginx := stack.Nginx(t, conf)
	if page := stack.HTTP(t, "GET", nginx.URL()+"/test.html", nil); page.Status != 200 || !strings.Contains(page.Body, "WebSocket test") {
		t.Errorf("the page: got %d %q", page.Status, page.Body)
	}
	if page := stack.HTTP(t, "GET", nginx.URL()+"/echo.php", nil); page.Status != 404 || page.Body != "" {
		t.Errorf("a script as a page: got %d %q, want PHP's empty 404", page.Status, page.Body)
	}
	c := stack.Dial(t, strings.Replace(nginx.URL(), "http", "ws", 1)+"/ws/echo", stack.DialOptions{Origin: nginx.URL()})
	c.Send("hello")
	c.Expect("hello")
	c.Close(1000, "")
}

// The pool of compose.yaml is two files in the image's folder, read in the order of their names there.
func TestComposedPoolIsTheShippedOneOverTCP(t *testing.T) {
	stack.Integration(t)
	dir := stack.TempDir(t)
	mounted := regexp.MustCompile(`\./(\S+):/usr/local/etc/php-fpm\.d/(\S+):ro`).FindAllStringSubmatch(read(t, "deploy/compose.yaml"), -1)
	if len(mounted) != 2 {
		t.Fatalf("compose.yaml mounts %q", mounted)
	}
	for _, m := range mounted {
		write(t, filepath.Join(dir, "php-fpm.d", m[2]), read(t, filepath.Join("deploy", m[1])))
	}
	main := filepath.Join(dir, "php-fpm.conf")
	write(t, main, "[global]\nerror_log = /dev/stderr\ninclude = "+dir+"/php-fpm.d/*.conf\n")
	out, err := run(t, exec.Command(stack.Tool(t, "php-fpm", "/usr/sbin/php-fpm*"), "-n", "-tt", "-y", main))
	if err != nil || !strings.Contains(out, "\tlisten = 9001\n") || strings.Contains(out, "\tlisten = /") {
		t.Errorf("PHP-FPM reads, %v:\n%s", err, out)
	}
	check := exec.Command(stack.Binary(t), "check", "--config", "deploy/compose/wsfpm.toml", "--fpm-pool", filepath.Join(dir, "php-fpm.d"))
	check.Env = append(os.Environ(), "WSFPM_REDIS_URL=redis://redis:6379")
	if out, err := run(t, check); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
