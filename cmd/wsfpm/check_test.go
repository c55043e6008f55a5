package main

import (
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	redisserver "github.com/alicebob/miniredis/v2/server"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
	"wsfpm/test/stack"
)

// redisConfig is the default with this URL.
func redisConfig(url string) config.Redis {
	c := config.Default().Redis
	c.URL = url
	return c
}

func TestDialReportsWhyRedisIsUnusable(t *testing.T) {
	const secret = "pass-word"
	redis := miniredis.RunT(t)
	redis.RequireUserAuth("app", secret)
	relayed := redisConfig("redis://app:" + secret + "@" + redis.Addr())
	relayed.Relays = []config.Relay{{Pattern: "pub.*", To: "channel:{name}"}}
	for _, test := range []struct {
		name    string
		cfg     config.Redis
		refused string // a channel or pattern that the ACL has not
		want    string // "" for no problem
	}{
		{"none", redisConfig(""), "", ""},
		{"embedded", redisConfig(redisurl.Embedded), "", ""},
		{"a good one", relayed, "", ""},
		{"no server", redisConfig("redis://app:" + secret + "@" + stack.FreeAddress(t)), "", "connection refused"},
		{"no socket", redisConfig("unix://app:" + secret + "@/none/redis.sock"), "", "no such file"},
		{"a wrong password", redisConfig("redis://app:not-" + secret + "@" + redis.Addr()), "", "WRONGPASS"},
		{"no password", redisConfig("redis://" + redis.Addr()), "", "NOAUTH"},
		{"an ACL without a channel", relayed, "ws:all", "NOPERM"},
		{"an ACL without the command channel", relayed, "ws:command", "NOPERM"},
		{"an ACL without a relay's pattern", relayed, "pub.*", "NOPERM"},
	} {
		redis.Server().SetPreHook(func(c *redisserver.Peer, _ string, args ...string) bool {
			if !slices.Contains(args, test.refused) {
				return false
			}
			c.WriteError("NOPERM No permissions to access a channel")
			return true
		})
		got := dialRedis(test.cfg)
		if test.want == "" && len(got) == 0 {
			continue
		}
		if test.want == "" || len(got) != 1 || !strings.HasPrefix(got[0], "redis.url: ") || !strings.Contains(got[0], test.want) {
			t.Errorf("%s: got %q, want a problem with %q", test.name, got, test.want)
		}
		if strings.Contains(strings.Join(got, ""), secret) {
			t.Errorf("%s: %q has the password", test.name, got)
		}
	}
}

func TestDialReportsWhetherMessagesCanRunOnce(t *testing.T) {
	redis := miniredis.RunT(t)
	cfg := config.Default()
	cfg.Redis = redisConfig("redis://" + redis.Addr())
	cfg.Routes = []*config.Route{config.NewRoute("/a", "/srv/a.php"), config.NewRoute("/b", "/srv/b.php")}
	refused := ""
	redis.Server().SetPreHook(func(c *redisserver.Peer, command string, _ ...string) bool {
		if !strings.EqualFold(command, refused) {
			return false
		}
		c.WriteError("NOPERM this user has no permissions to run the '" + refused + "' command")
		return true
	})
	for _, refused = range []string{"set", "pttl", "evalsha"} {
		cfg.Routes[1].Once = 0
		if got := tryOnce(cfg); len(got) > 0 {
			t.Errorf("without once: got %q", got)
		}
		cfg.Routes[1].Once = config.Duration(time.Minute)
		got := tryOnce(cfg)
		if len(got) != 1 || !strings.HasPrefix(got[0], "route[2].once: ") || !strings.Contains(got[0], "'"+refused+"'") {
			t.Errorf("without %s: got %q", refused, got)
		}
	}
	refused = ""
	if got := tryOnce(cfg); len(got) > 0 {
		t.Errorf("with all rights: got %q", got)
	}
	redis.Close()
	if got := tryOnce(cfg); len(got) > 0 {
		t.Errorf("without Redis, which is a problem of its own: got %q", got)
	}
}

func TestDialReportsWhatIsNotPHPFPM(t *testing.T) {
	const gone, other, silent = "gone", "other", "silent"
	l := map[string]func(net.Conn){
		gone:   func(net.Conn) {}, // a TCP proxy whose server is gone
		other:  func(c net.Conn) { _, _ = c.Write([]byte("SSH-2.0-OpenSSH\r\n")) },
		silent: func(c net.Conn) { _, _ = io.Copy(io.Discard, c) }, // no free worker, or Redis
	}
	for name, serve := range l {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				c, err := listener.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				serve(c)
			}()
			cfg := config.Default()
			cfg.FPM = map[string]*config.FPM{"default": {Network: "tcp", Addr: listener.Addr().String()}}
			problems, warnings := dialPools(cfg)
			want := map[string]string{gone: "listen.allowed_clients", other: "protocol error", silent: "no answer within a second"}[name]
			if got := strings.Join(slices.Concat(problems, warnings), "\n"); !strings.Contains(got, "fpm.default.address: ") || !strings.Contains(got, want) {
				t.Errorf("got %q, want %q", got, want)
			}
			if (len(warnings) == 1) != (name == silent) {
				t.Errorf("problems %q, warnings %q", problems, warnings)
			}
		})
	}
}
