package bus

import (
	"context"
	"strings"
	"testing"

	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

func FuzzDeliver(f *testing.F) {
	f.Add("ws:command", `{"to":["user:42","channel:lobby"],"except":["conn:a"],"data":{"a":1}}`)
	f.Add("ws:command", `[{"to":"all","base64":"AAEC"},{"to":"user:1","close":{"code":4001}}]`)
	f.Add("ws:command", `[]`)
	f.Add("ws:command", `{"to":"all","join":["a"],"leave":["*"],"later":true}`)
	f.Add("ws:user:7", "hello")
	f.Add("ws:all", "\xff")
	f.Add("ws:log:1", "x")
	f.Fuzz(func(t *testing.T, channel, payload string) {
		b, err := New(Config{PushLimit: 1 << 10})
		if err != nil {
			t.Fatal(err)
		}
		var heard []session.Command
		b.hand = func(c *session.Command) func(context.Context) error {
			heard = append(heard, *c)
			return nil
		}
		if err := b.deliver(context.Background(), redis.Event{Kind: redis.EventMessage, Name: channel, Payload: payload}); err != nil {
			t.Fatal(err)
		}
		for _, c := range heard {
			if len(c.To) == 0 || c.User != nil || c.State != nil {
				t.Errorf("%q on %q gives %+v", payload, channel, c)
			}
			body, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			again, _, err := session.Decode(body, session.FromBus)
			if err != nil || len(again) != 1 {
				t.Fatalf("%s cannot be read again: %v", body, err)
			}
		}
	})
}

func TestNewReportsWhatIsWrong(t *testing.T) {
	tests := []struct {
		name  string
		cfg   Config
		wrong string
	}{
		{"no scheme", Config{URL: "localhost:6379"}, "redis://"},
		{"scheme", Config{URL: "http://localhost"}, "scheme"},
		{"parameter", Config{URL: "redis://localhost?colour=red"}, "colour"},
		{"hosts", Config{URL: "redis://a:1,b:2"}, "several hosts"},
		{"cluster", Config{URL: "redis://a:1?cluster=yes"}, "cluster="},
		{"password", Config{URL: "redis://u:pass%zz@a:1"}, "escape"},
		{"sentinel database", Config{URL: "redis://a:1/x?master_name=m"}, "database"},
		{"cluster host", Config{URL: "redis://a:1,b/?cluster=true"}, "addr"},
		{"listen", Config{URL: "embedded", Listen: "256.0.0.1:0"}, "embedded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := New(tt.cfg)
			if err == nil {
				_ = b.Close()
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tt.wrong) || strings.Contains(err.Error(), "u:pass") {
				t.Errorf("got %v, want %q and no password", err, tt.wrong)
			}
		})
	}
}

func TestURLsOfEveryKind(t *testing.T) {
	tests := []struct {
		url, want string
		kind      redisurl.Kind
	}{
		{"redis://u:p@h:1/2", "redis://u:p@h:1/2", redisurl.Single},
		{"unix:///run/a,b.sock?db=1", "unix:///run/a,b.sock?db=1", redisurl.Single},
		{"rediss://u:p%40@h1:1,h2:2?cluster=true", "rediss://u:p%40@h1:1?addr=h2%3A2", redisurl.Cluster},
		{"redis://s1:1,s2:2,s3:3/0?master_name=m", "redis://s1:1/0?addr=s2%3A2&addr=s3%3A3&master_name=m", redisurl.Sentinel},
		{"redis://[::1]:1,[::2]:2/?cluster=true", "redis://[::1]:1/?addr=%5B%3A%3A2%5D%3A2", redisurl.Cluster},
	}
	for _, tt := range tests {
		if u, err := redisurl.Parse(tt.url); err != nil || u.Full() != tt.want || u.Kind != tt.kind {
			t.Errorf("%s: got %v, %v, want %s", tt.url, u, err, tt.want)
		}
		if c, err := redis.New(tt.url, "ws:all"); err != nil {
			t.Errorf("%s: %v", tt.url, err)
		} else {
			_ = c.Close()
		}
	}
}
