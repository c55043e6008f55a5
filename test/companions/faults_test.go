package companions

import (
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"wsfpm/test/stack"
)

// listen accepts connections until the test ends, and gives each to a function.
func listen(t *testing.T, network, address string, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			all.Go(func() { serve(c); c.Close() })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		all.Wait()
	})
	return l.Addr().String()
}

// forward is a unix socket that leads to a URL's address.
func forward(t *testing.T, url string) string {
	t.Helper()
	return listen(t, "unix", filepath.Join(stack.TempDir(t), "admin.sock"), func(c net.Conn) {
		to, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			return
		}
		defer to.Close()
		go func() { _, _ = io.Copy(to, c) }()
		_, _ = io.Copy(c, to)
	})
}

// fake is a server that reads something, then writes an answer, piece by piece, and ends or waits.
func fake(t *testing.T, stays bool, pieces ...string) string {
	return listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
		_, _ = c.Read(make([]byte, 1<<16))
		for _, piece := range pieces {
			_, _ = io.WriteString(c, piece)
		}
		if stays {
			_, _ = io.Copy(io.Discard, c)
		}
	})
}

// limit is a client's timeout in seconds, short where the test waits for its end.
func limit(words string) string {
	if words == "within" {
		return "0.3"
	}
	return "60"
}

func TestAConnectionOfItsOwnFailsInTime(t *testing.T) {
	stack.Integration(t)
	for name, server := range map[string]struct {
		stays  bool
		pieces []string
		words  string
		unsure bool
	}{
		"is silent":             {true, nil, "within", true},
		"ends":                  {false, nil, "broke", true},
		"ends within a reply":   {false, []string{"$5\r\nab"}, "broke", true},
		"is another server":     {true, []string{"HTTP/1.1 400 Bad Request\r\n\r\n"}, "no reply", true},
		"sends a long line":     {true, []string{"+" + strings.Repeat("x", 70_000)}, "line without an end", true},
		"announces 100 GB":      {true, []string{"$100000000000\r\n"}, "more than", true},
		"announces a long list": {true, []string{"*100000000000\r\n"}, "no reply", true},
		"nests":                 {true, []string{strings.Repeat("*1\r\n", 100)}, "no reply", true},
		"refuses":               {true, []string{"-OOM command not allowed\r\n"}, "PUBLISH: OOM", false},
	} {
		t.Run(name, func(t *testing.T) {
			php := startClient(t, "own", "redis://"+fake(t, server.stays, server.pieces...), "", limit(server.words))
			if f := php.fails(`["push","all","x"]`, "Failed", server.words); f.Unsure != server.unsure {
				t.Errorf("unsure is %v: %s", f.Unsure, f.Message)
			}
		})
	}
	php := startClient(t, "own", "redis://"+fake(t, true, ":", "1", "7", "\r", "\n"))
	php.want(`["push","all","x"]`, "17")
	php = startClient(t, "own", "redis://"+stack.FreeAddress(t))
	if f := php.fails(`["push","all","x"]`, "Failed", "cannot be reached"); f.Unsure {
		t.Error("nothing was sent")
	}
	startClient(t, "own", "unix://"+stack.TempDir(t)+"/none.sock").fails(`["push","all","x"]`, "Failed", "cannot be reached")
}

// A worker that runs for long finds its connection closed, and opens another one.
func TestAConnectionOfItsOwnComesBack(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{Args: []string{"--requirepass", "p@ss/word"}})
	url := "redis://:p%40ss%2Fword@" + redis.Addr + "/3"
	php := startClient(t, "own", url)
	id := php.call(`["store","user:42","kept"]`)
	redis.Stop()
	php.fails(`["push","all","x"]`, "Failed", "cannot be reached")
	redis.Start(t)
	php.want(`["push","all","x"]`, "0")
	if again := php.call(`["store","user:42","kept"]`); !strings.Contains(again, "-") || again == id {
		t.Errorf("got %s, want another id than %s", again, id)
	}
	startClient(t, "own", "unix://:p%40ss%2Fword@"+redis.Socket()+"?db=3").want(`["push","all","x"]`, "0")
	f := startClient(t, "own", strings.Replace(url, "word", "wrong", 1)).fails(`["count","x"]`, "Failed", "AUTH")
	if strings.Contains(f.Message, "wrong") {
		t.Errorf("the message has the password: %s", f.Message)
	}
	startClient(t, "own", "redis://"+redis.Addr).fails(`["count","x"]`, "Failed", "NOAUTH")
	startClient(t, "own", url+"00").fails(`["count","x"]`, "Failed", "SELECT")
}

func TestHTTPFailsInTime(t *testing.T) {
	s := open(t, "site.php")
	f := startClient(t, "http", s.Admin, "wrong").fails(`["push","all","x"]`, "Failed", "POST /push")
	if f.Unsure || strings.Contains(f.Message, "wrong") {
		t.Errorf("got %+v, want that nothing was done, and no token", f)
	}
	for name, server := range map[string]struct {
		stays bool
		text  string
		words string
	}{
		"is silent":         {true, "", "within"},
		"ends":              {false, "", "has not answered"},
		"is another server": {false, "+OK\r\n", "has not answered"},
		"has no JSON":       {false, "HTTP/1.0 200 OK\r\n\r\nhello", "status 200"},
		"is broken":         {false, "HTTP/1.0 503 No\r\n\r\n{\"error\":\"Redis is away\"}", "Redis is away"},
		"never ends":        {true, "HTTP/1.0 200 OK\r\n\r\n" + strings.Repeat("x", 2<<20), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			php := startClient(t, "http", "http://"+fake(t, server.stays, server.text), "", limit(server.words))
			php.fails(`["push","all","x"]`, "Failed", server.words)
		})
	}
	startClient(t, "http", "http://"+stack.FreeAddress(t)).fails(`["push","all","x"]`, "Failed", "cannot be reached")
}

// What Client is given is checked before anything is opened.
func TestClientRefusesWrongURLs(t *testing.T) {
	stack.Integration(t)
	for _, url := range []string{"127.0.0.1:6379", "redis://", "rediss://", "http://a", "http://a:1/x", "https://a:1", "http+unix://a", ""} {
		php := startClient(t, "own", url)
		if line, err := php.Next(); err != nil || !strings.Contains(line, `Refused","message":"want `) {
			t.Errorf("%q: PHP printed %s, %v", url, line, err)
		}
	}
}
