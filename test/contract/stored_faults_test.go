package contract

import (
	"strings"
	"syscall"
	"testing"

	"wsfpm/test/stack"
)

func TestAFlushedLogIsAGap(t *testing.T) {
	s := startStoring(t, "resume = true\ngap_message = \"read again\"", "", "3.log-gap")
	plain, wrapped := s.open(), s.dial("", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	wrapped.Next() // hello
	wrapped.Next() // the position
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", "x")
	plain.Expect("x")
	wrapped.Next()
	s.redis.Do(t, "flushall")
	plain.Expect("read again")
	wrapped.Expect(`{"gap":true}`)
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", "y")
	plain.Expect("y")
	if n := s.Metric(t, "wsfpm_log_gaps_total", "reason", "trimmed"); n != 1 {
		t.Errorf("%v gaps are counted", n)
	}
}

// The ids of a new stream are smaller, and Redis's tag is the same.
func TestALogWithIDsOfTheFutureMayBeDeleted(t *testing.T) {
	s := startStoring(t, "resume = true\ngap_message = \"read again\"", "", "3.log-gap", "3.log-ahead")
	plain, wrapped := s.open(), s.dial("", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	wrapped.Next() // hello
	wrapped.Next() // the position
	s.redis.Do(t, "xadd", "ws:log", "99999999999999-0", "to", "channel:room", "data", "x")
	plain.Expect("x")
	wrapped.Next()
	s.redis.Do(t, "del", "ws:log")
	plain.Expect("read again")
	wrapped.Expect(`{"gap":true}`)
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", "y")
	plain.Expect("y")
}

func TestReadyWaitsUntilTheLogIsLoaded(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{})
	redis.Do(t, "set", "ws:log", "no stream")
	w := start(t, setup{script: teller, options: stack.GatewayOptions{Redis: redis.URL(), NotReady: true}}, "3.log-ready")
	w.AwaitLog(t, "warn", "reading the log", "WRONGTYPE")
	stack.Wait(t, "all else is ready", func() bool {
		status, body := w.AdminDo(t, "GET", "/ready", "", nil)
		return status == 503 && strings.Contains(body, "the log is not loaded")
	})
	redis.Do(t, "del", "ws:log")
	stack.Wait(t, "ready", w.Ready)
}

func TestWithoutRightsTheLogIsShut(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{})
	redis.Do(t, "acl", "setuser", "ws", "on", ">secret", "~ws:log", "resetchannels", "&ws:*", "-@all", "+ping", "+publish", "+subscribe", "+unsubscribe", "+xread", "+xadd")
	w := start(t, setup{script: teller, route: "resume = true\non_error = \"message\"\nerror_message = \"failed\"", options: stack.GatewayOptions{
		Redis: strings.Replace(redis.URL(), "redis://", "redis://ws:secret@", 1),
	}}, "3.log-rights")
	w.AwaitLog(t, "warn", "durable messages are off", "+xrange +xtrim +multi +exec")
	c := w.open()
	c.Send("WS-Publish: channel:room\n\nfast")
	c.Expect("fast")
	c.Send("WS-Publish: channel:room; durable\n\nx")
	c.Expect("failed")
	w.Logged(t, 1, "warn", "durable messages are off")
}

func TestWithoutRedisTheLogIsInTheProcess(t *testing.T) {
	for _, url := range []string{"", "embedded"} {
		w := start(t, setup{script: teller, route: "resume = true", options: stack.GatewayOptions{
			Redis: url, RedisTOML: "listen = \"127.0.0.1:0\"\n",
		}}, "3.log-none")
		wrapped := stack.DialOptions{Protocols: []string{"wsfpm.v1"}}
		c := w.dial("", wrapped)
		c.Next() // hello
		at := decode[struct{ ID string }](t, c.Next().Data).ID
		c.Send(`{"data":"WS-Publish: channel:room\n\nstored"}`)
		c.Next()
		c.Close(1000, "")
		c = w.dial("?ws_last="+at, wrapped)
		if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"ok"`) {
			t.Errorf("%q: got %s", url, hello)
		}
		if got := string(c.Next().Data); !strings.Contains(got, `"data":"stored"`) {
			t.Errorf("%q: got %s", url, got)
		}
		c.Close(1000, "")
		w.Restart(t)
		c = w.dial("?ws_last="+at, wrapped)
		if hello := string(c.Next().Data); !strings.Contains(hello, `"resume":"gap"`) {
			t.Errorf("%q: got %s after a restart", url, hello)
		}
	}
}

func TestLogsThatNoNodeReadsAreNamed(t *testing.T) {
	stack.Integration(t)
	redis := stack.Redis(t, stack.RedisOptions{Args: []string{"--maxmemory-policy", "allkeys-lru"}})
	redis.Do(t, "xadd", "laravel_database_ws:log", "*", "to", "all", "data", "x")
	w := start(t, setup{script: teller, options: stack.GatewayOptions{Redis: "redis://" + redis.Addr + "/1"}}, "3.log-database")
	redis.Do(t, "xadd", "ws:log", "*", "to", "all", "data", "in database 0")
	w.AwaitLog(t, "warn", "laravel_database_ws:log")
	text, code := stack.Command(t, "check", "--config", w.Config, "--dial")
	for _, want := range []string{`"laravel_database_ws:log" in database 0`, `"ws:log" in database 0`, "allkeys-lru"} {
		if code != 0 || !strings.Contains(text, want) {
			t.Errorf("check --dial: %d, %s, want %s", code, text, want)
		}
	}
}

func TestARestartOfRedisIsAGap(t *testing.T) {
	s := startStoring(t, "resume = true\ngap_message = \"read again\"", "", "3.log-gap")
	plain, wrapped := s.open(), s.dial("", stack.DialOptions{Protocols: []string{"wsfpm.v1"}})
	wrapped.Next() // hello
	wrapped.Next() // the position
	s.redis.Kill()
	stack.Wait(t, "Redis is missed", func() bool { return !s.Ready() })
	s.redis.Start(t)
	plain.Expect("read again")
	wrapped.Expect(`{"gap":true}`)
	stack.Wait(t, "ready", s.Ready)
	s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", "y")
	plain.Expect("y")
	if n := s.Metric(t, "wsfpm_log_gaps_total", "reason", "history"); n != 1 {
		t.Errorf("%v gaps are counted", n)
	}
}

// A node that was stopped reads on from its place, unless the log was trimmed past that.
func TestANodeThatWasPausedReadsOnOrReportsAGap(t *testing.T) {
	s := startStoring(t, "resume = true\ngap_message = \"read again\"", "push_limit = \"50KiB\"\n[durable]\nmemory = \"512KiB\"\n", "3.log-gap")
	other := s.second(t, "other")
	c := s.open()
	add := func(data string) { s.redis.Do(t, "xadd", "ws:log", "*", "to", "channel:room", "data", data) }
	pause := func(meanwhile func()) {
		if err := syscall.Kill(s.PID(), syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		meanwhile()
		if err := syscall.Kill(s.PID(), syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
	}
	pause(func() { add("a"); add("b") })
	c.Expect("a")
	c.Expect("b")
	large := strings.Repeat("x", 40<<10)
	pause(func() {
		for range 20 {
			s.redis.Do(t, "xadd", "ws:log", "*", "to", "user:none", "data", large)
		}
		stack.Wait(t, "the other node trims", func() bool {
			s.redis.Do(t, "xadd", "ws:log", "*", "to", "user:none", "data", "x")
			return s.redis.Do(t, "xrange", "ws:log", "-", "+", "count", 1) != "[]" && other.Metric(t, "wsfpm_log_entries") < 20 &&
				len(s.redis.Do(t, "xlen", "ws:log")) < 3
		})
	})
	c.Expect("read again")
	add("c")
	c.Expect("c")
}
