package companions

import (
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"wsfpm/test/stack"
)

// refusals are errors with which Redis has not run a command. phpredis makes an exception of most.
var refusals = []string{"NOAUTH Authentication required.", "WRONGPASS invalid username-password pair", "NOPERM this user has no permissions", "READONLY You can't write",
	"OOM command not allowed", "MOVED 3999 127.0.0.1:1", "LOADING Redis is loading", "MASTERDOWN Link with MASTER is down", "BUSY Redis is busy", "MISCONF Errors writing",
	"CLUSTERDOWN The cluster is down", "WRONGTYPE Operation against a key", "ERR unknown command"}

// Whatever reaches Redis: a command that it refused may be repeated, one without an answer not.
func TestARefusalOfRedisIsSure(t *testing.T) {
	stack.Integration(t)
	for _, kind := range []string{"phpredis", "predis", "own"} {
		var next atomic.Int32
		address := listen(t, "tcp", "127.0.0.1:0", func(c net.Conn) {
			for {
				if _, err := c.Read(make([]byte, 1<<16)); err != nil {
					return
				}
				i := int(next.Add(1)) - 1
				if i >= len(refusals) {
					return // no answer
				}
				_, _ = io.WriteString(c, "-"+refusals[i]+"\r\n")
			}
		})
		if kind == "own" {
			address = "redis://" + address
		}
		php := startClient(t, kind, address)
		for _, text := range refusals {
			if f := php.fails(`["push","all","x"]`, "Failed", text); f.Unsure {
				t.Errorf("%s: unsure after %s", kind, f.Message)
			}
		}
		if f := php.fails(`["push","all","x"]`, "Failed", ""); !f.Unsure {
			t.Errorf("%s: sure after %s", kind, f.Message)
		}
	}
}

// A command that was not sent whole has not run.
func TestWhatWasNotSentIsSure(t *testing.T) {
	stack.Integration(t)
	socket := filepath.Join(stack.TempDir(t), "full.sock")
	end := make(chan struct{})
	listen(t, "unix", socket, func(net.Conn) { <-end }) // reads nothing
	t.Cleanup(func() { close(end) })
	silent := fake(t, true)
	for name, c := range map[string]struct{ kind, at, words string }{
		"a full socket":      {"own", "unix://" + socket, "taken the command within"},
		"HTTP, full socket":  {"http", "http+unix://" + socket, "taken the request within"},
		"no answer to AUTH":  {"own", "redis://:secret@" + silent, "AUTH at"},
		"Predis, no Redis":   {"predis", stack.FreeAddress(t), "Connection refused"},
		"Predis, wrong AUTH": {"predis:secret", fake(t, true, "-WRONGPASS no\r\n"), "WRONGPASS"},
	} {
		php := startClient(t, c.kind, c.at, "", "0.3")
		if f := php.fails(`["push","all","`+strings.Repeat("x", 1<<20)+`"]`, "Failed", c.words); f.Unsure {
			t.Errorf("%s: unsure after %s", name, f.Message)
		}
	}
}

// Error pages and error trackers show the arguments of the calls in a trace.
func TestNoTraceHasASecret(t *testing.T) {
	stack.Integration(t)
	none, silent := stack.FreeAddress(t), fake(t, true)
	for _, url := range []string{"http://" + none, "http://" + silent, "redis://:a-secret@" + none, "redis://:a-secret@" + silent} {
		run := exec.CommandContext(t.Context(), stack.Tool(t, "php-cli", "php"), "-n", "-d", "zend.exception_ignore_args=0", "testdata/trace.php", source(t), url)
		if out, err := run.Output(); err != nil || string(out) != "none" {
			t.Errorf("%s: got %q, %v", url, out, err)
		}
	}
}

// A worker lives longer than a connection. phpredis makes no new one after the first that it could not make.
func TestClientOutlivesRedis(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{})
	clients := map[string]*phpClient{}
	for kind, at := range map[string]string{"own": "redis://" + redis.Addr, "predis": redis.Addr, "phpredis, opened again": redis.Addr} {
		clients[kind] = startClient(t, kind, at)
		clients[kind].want(`["push","all","x"]`, "0")
	}
	redis.Kill()
	for _, php := range clients {
		php.fails(`["push","all","x"]`, "Failed", "")
		php.fails(`["push","all","x"]`, "Failed", "onnection refused")
	}
	redis.Start(t)
	for kind, php := range clients {
		if got := php.call(`["push","all","x"]`); got != "0" {
			t.Errorf("%s: got %s after Redis is back", kind, got)
		}
	}
}
