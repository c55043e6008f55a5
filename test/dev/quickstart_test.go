package dev

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"wsfpm/test/stack"
)

// The steps of docs/quickstart.md, with the code that stands there.
func TestTheQuickstartWorks(t *testing.T) {
	stack.Integration(t)
	page := read(t, filepath.Join(stack.Root(t), "docs", "quickstart.md"))
	top := stack.TempDir(t)
	if !strings.Contains(page, "\nwsfpm dev --init hello\n") {
		t.Fatal("the page does not begin with --init")
	}
	s := stack.Dev(t, top, nil, "--init", "hello")
	echo := stack.Dial(t, "ws://"+s.Address+"/ws", stack.DialOptions{})
	echo.Send("hi")
	echo.Expect(`{"text":"hi"}`)

	blocks := regexp.MustCompile("(?s)```php\n(<\\?php // (\\S+)\n.*?)```").FindAllStringSubmatch(page, -1)
	if len(blocks) != 2 {
		t.Fatalf("the page has %d files, want 2", len(blocks))
	}
	for _, b := range blocks {
		write(t, filepath.Join(top, "hello", b[2]), b[1])
	}
	if r := stack.Refused(t, "ws://"+s.Address+"/ws", stack.DialOptions{}); r.Status != 401 {
		t.Errorf("without a login: got %d, want 401", r.Status)
	}
	shows(t, s, "handshake refused")
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	resp, err := client.PostForm("http://"+s.Address+"/login.php", url.Values{"name": {"Ann"}})
	if err != nil || resp.StatusCode != 200 || resp.Request.URL.Path != "/" {
		t.Fatalf("log in: %v, %v", resp, err)
	}
	resp.Body.Close()
	var cookies []string
	for _, c := range jar.Cookies(resp.Request.URL) {
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	ann := stack.Dial(t, "ws://"+s.Address+"/ws", stack.DialOptions{Cookie: strings.Join(cookies, "; ")})
	ann.Send("hello")
	ann.Expect(`{"text":"Ann: hello"}`)

	redis := regexp.MustCompile(`redis://\S+`).FindString(s.Output())
	push := exec.Command(stack.Tool(t, "php-cli", "php"), "hello/push.php", "user:Ann", "Your order has been shipped")
	push.Dir, push.Env = top, append(os.Environ(), "WSFPM_REDIS_URL="+redis)
	if out, err := push.CombinedOutput(); err != nil || string(out) != "1 node(s)\n" {
		t.Errorf("push: got %q, %v", out, err)
	}
	ann.Expect(`{"text":"Your order has been shipped"}`)
}
