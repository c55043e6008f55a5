package bus

import (
	"context"
	"strings"
	"testing"

	"wsfpm/session"
)

func TestACLNeedsFiveCommandsAndOurChannels(t *testing.T) {
	s := startRedis(t)
	s.do("acl", "setuser", "ws", "on", ">secret", "resetchannels", "&ws:*", "&pub.*", "-@all",
		"+ping", "+subscribe", "+unsubscribe", "+psubscribe", "+publish")
	b := newTestBus(t, Config{
		URL:    strings.Replace(s.url, "unix://", "unix://ws:secret@", 1) + "?db=3",
		Relays: []Relay{{Pattern: "pub.*", To: "channel:{name}"}},
	})
	mustJoin(t, b, session.User("7"))
	if err := b.Publish(context.Background(), text(session.User("7"), "x")); err != nil {
		t.Error(err)
	}
	next(t, b)
	s.client.Publish(context.Background(), "pub.a", "relayed")
	if c := next(t, b); c.To[0] != session.Channel("a") || string(c.Message.Data()) != "relayed" {
		t.Errorf("got %+v", c)
	}
	b.Leave([]session.Address{session.User("7")})
	eventually(t, "left", func() bool { return s.subscribers("ws:user:7") == 0 })
	waitReady(t, b)
	if got := b.Stats().Epochs; got != 1 {
		t.Errorf("got %d epochs, want 1", got)
	}
}

func TestRefusedChannelIsReported(t *testing.T) {
	s := startRedis(t)
	s.do("acl", "setuser", "ws", "on", ">secret", "resetchannels", "&other:*", "+@all")
	b := newTestBus(t, Config{URL: strings.Replace(s.url, "unix://", "unix://ws:secret@", 1)})
	eventually(t, "the reason", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "NOPERM")
	})
}

func TestWrongPasswordIsReportedWithoutThePassword(t *testing.T) {
	s := startRedis(t, "--requirepass", "right")
	b := newTestBus(t, Config{URL: strings.Replace(s.url, "unix://", "unix://:wrong@", 1)})
	eventually(t, "the reason", func() bool {
		err := b.Ready()
		return err != nil && strings.Contains(err.Error(), "WRONGPASS")
	})
	if err := b.Ready(); strings.Contains(err.Error(), "wrong@") || strings.Contains(err.Error(), ":wrong") {
		t.Errorf("the password is in %v", err)
	}
}

func TestCluster(t *testing.T) {
	one, port, _ := startClusterNode(t)
	two, otherPort, otherBus := startClusterNode(t)
	one.do("cluster", "addslotsrange", 0, 8191)
	two.do("cluster", "addslotsrange", 8192, 16383)
	one.do("cluster", "meet", "127.0.0.1", otherPort, otherBus)
	for _, s := range []*redisServer{one, two} {
		s.do("acl", "setuser", "ws", "on", ">secret", "resetchannels", "&ws:*", "-@all",
			"+ping", "+subscribe", "+unsubscribe", "+publish", "+cluster|slots")
		eventually(t, "cluster is up", func() bool {
			info := s.do("cluster", "info").(string)
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:2")
		})
	}
	b := newTestBus(t, Config{URL: "redis://ws:secret@127.0.0.1:" + port + ",127.0.0.1:1/?cluster=true", Confirm: patience})
	mustJoin(t, b, session.User("7"))
	home := one
	if one.subscribers("ws:user:7") == 0 {
		home = two
	}
	for _, s := range []*redisServer{one, two} { // every node passes it on
		s.client.Publish(context.Background(), "ws:user:7", s.url)
		if got := string(next(t, b).Message.Data()); got != s.url {
			t.Errorf("got %q, want %q", got, s.url)
		}
	}
	b.Leave([]session.Address{session.User("7")})
	testReachable(t, home, b)
}

func TestSentinel(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	s := startRedisAt(t, "redis://127.0.0.1:"+port, "--port", port, "--bind", "127.0.0.1", "--dir", dir)
	sentinel := startSentinel(t, port)
	b := newTestBus(t, Config{URL: "redis://127.0.0.1:1,127.0.0.1:" + sentinel + "/0?master_name=main", Confirm: patience})
	testReachable(t, s, b)
}

// testReachable checks both doors, one loss and the way back.
func testReachable(t *testing.T, s *redisServer, b *testBus) {
	t.Helper()
	mustJoin(t, b, session.User("7"), session.Channel("a"))
	for range 2 {
		if err := b.Publish(context.Background(), text(session.User("7"), "x")); err != nil {
			t.Fatal(err)
		}
		next(t, b)
		if err := b.Publish(context.Background(), session.Command{
			To: []session.Address{session.User("7"), session.Channel("a")}, Close: &session.Close{Code: 1000},
		}); err != nil {
			t.Fatal(err)
		}
		if c := next(t, b); c.Close == nil {
			t.Errorf("got %+v", c)
		}
		if n := count(t, s.client, "ws:channel:a"); n != 1 {
			t.Errorf("counted %d, want 1", n)
		}
		next(t, b)
		epochs := b.Stats().Epochs
		s.do("client", "kill", "type", "pubsub")
		eventually(t, "next epoch", func() bool { return b.Stats().Epochs > epochs })
		waitReady(t, b)
	}
}
