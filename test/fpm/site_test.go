package fpm

import (
	"fmt"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// stock is a pool like the one that Debian installs.
var stock = stack.FPMOptions{Mode: "dynamic", Children: 5, Pool: map[string]string{
	"pm.start_servers": "2", "pm.min_spare_servers": "1", "pm.max_spare_servers": "3"}}

// site serves every *.php of a folder by the pool, as a site beside wsfpm.
func site(t *testing.T, fpm *stack.FPMServer, dir string) *stack.NginxServer {
	t.Helper()
	return stack.Nginx(t, fmt.Sprintf(`server { listen LISTEN; location / {
		fastcgi_pass unix:%s;
		fastcgi_param SCRIPT_FILENAME %s$uri;
		fastcgi_param REQUEST_METHOD $request_method; } }`, fpm.Socket, dir))
}

// pages wants twenty pages of the site, each at once.
func pages(t *testing.T, nginx *stack.NginxServer, when string) {
	t.Helper()
	for range 20 {
		began := time.Now()
		if got := stack.HTTP(t, "GET", nginx.URL()+"/page.php", nil); got.Status != 200 || got.Body != "page" {
			t.Fatalf("%s: got %d %q, want the page", when, got.Status, got.Body)
		}
		if took := time.Since(began); took > stack.Bound(time.Second) {
			t.Fatalf("%s: a page took %v", when, took)
		}
	}
}

func TestTheSiteAnswersWhileEveryConnectionIsBusy(t *testing.T) {
	fpm := stack.FPM(t, stock)
	w := start(t, setup{fpm: fpm}, "5.max-connections", "5.max-idle")
	stack.AddScript(t, w.dir, "page.php", `echo 'page';`)
	nginx := site(t, fpm, w.dir)
	clients := w.crowd(9)
	pages(t, nginx, "with nothing to do")

	clients.ask("gate slow")
	stack.Wait(t, "three slow scripts", func() bool { return len(w.ledger.begun("", "message")) == 3 })
	// PHP-FPM looks once a second whether it has a spare worker.
	stack.Wait(t, "a spare worker", func() bool { return len(fpm.Workers()) > 3 })
	pages(t, nginx, "while slow scripts run")
	equal(t, "scripts of wsfpm", len(w.ledger.begun("", "message")), 3)

	w.open("slow")
	clients.allAnswered(t, "slow scripts")
	pages(t, nginx, "right after")
	clients.leave(t)
	equal(t, "scripts of wsfpm at once", w.ledger.peak(), 3)
}
