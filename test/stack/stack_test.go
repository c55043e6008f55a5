package stack

import (
	"context"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

func TestMain(m *testing.M) {
	os.Exit(Main(m, "stack", func(*Suite) {}))
}

// page serves every URL by one script of the folder over FastCGI.
func page(t *testing.T, fpm *FPMServer, dir string) *NginxServer {
	t.Helper()
	_, address, _ := strings.Cut(fpm.Address, ":")
	if fpm.Socket != "" {
		address = "unix:" + address
	}
	return Nginx(t, `server { listen LISTEN; location / {
		fastcgi_pass `+address+`;
		fastcgi_param SCRIPT_FILENAME `+dir+`$uri;
		fastcgi_param REQUEST_METHOD $request_method;
		fastcgi_param CONTENT_LENGTH $content_length;
		fastcgi_param QUERY_STRING $query_string; } }`)
}

func TestFPMAnswersInEveryMode(t *testing.T) {
	for name, opt := range map[string]FPMOptions{
		"static":   {},
		"ondemand": {Mode: "ondemand", TCP: true},
		"no ini":   {NoINI: true, Ini: map[string]string{"memory_limit": "64M"}, StatusListen: true},
	} {
		t.Run(name, func(t *testing.T) {
			fpm := FPM(t, opt)
			dir := Scripts(t, map[string]string{"limit.php": `echo ini_get('memory_limit'), PHP_SAPI;`})
			nginx := page(t, fpm, dir)
			got := HTTP(t, "GET", nginx.URL()+"/limit.php", nil)
			if got.Status != 200 || !strings.HasSuffix(got.Body, "fpm-fcgi") {
				t.Fatalf("got %+v, want 200 from fpm-fcgi", got)
			}
			if opt.Ini != nil && !strings.HasPrefix(got.Body, "64M") {
				t.Errorf("got memory_limit %q, want 64M", got.Body)
			}
			fpm.Restart(t)
			if got := HTTP(t, "GET", nginx.URL()+"/limit.php", nil); got.Status != 200 {
				t.Errorf("after a restart got %d, want 200", got.Status)
			}
		})
	}
}

func TestFPMReplacesItsWorkers(t *testing.T) {
	fpm := FPM(t, FPMOptions{Children: 2})
	Wait(t, "two workers", func() bool { return len(fpm.Workers()) == 2 })
	first := fpm.Workers()[0]
	fpm.KillWorker(t, first)
	Wait(t, "another worker", func() bool {
		now := fpm.Workers()
		return len(now) == 2 && now[0] != first && now[1] != first
	})
	fpm.Reload(t)
	Wait(t, "workers after a reload", func() bool { return len(fpm.Workers()) == 2 })
}

func TestDumpAndTraceTellTheSame(t *testing.T) {
	fpm := FPM(t, FPMOptions{})
	nginx := page(t, fpm, Scripts(t, nil))
	got := HTTP(t, "GET", nginx.URL()+"/dump.php?a=1", http.Header{"X-Any": {"x"}})
	if e := ParseEvent(t, []byte(got.Body)); e.Var("REQUEST_METHOD") != "GET" || e.Get["a"] != "1" {
		t.Errorf("got %+v, want GET with a=1", e)
	}
}

func TestRedisComesBackOnTheSamePort(t *testing.T) {
	s := Redis(t, RedisOptions{})
	s.Publish(t, "c", "x")
	s.Kill()
	s.Start(t)
	if n := s.Publish(t, "c", "x"); n != 0 {
		t.Errorf("got %d subscribers, want 0", n)
	}
}

func TestLinkDelaysAndCuts(t *testing.T) {
	s := Redis(t, RedisOptions{})
	link := Proxy(t, s.Addr)
	c := redis.NewClient(&redis.Options{Addr: link.Addr, MaxRetries: -1})
	defer c.Close()
	ctx, cancel := context.WithTimeout(t.Context(), Patience)
	defer cancel()
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	link.Delay(30 * time.Millisecond)
	start := time.Now()
	if err := c.Ping(ctx).Err(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took < 60*time.Millisecond {
		t.Errorf("got an answer after %v, want 60ms or more", took)
	}
	link.Cut()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Error("got an answer through a cut link")
	}
	link.Mend()
	Wait(t, "the mended link", func() bool { return c.Ping(ctx).Err() == nil })
}
