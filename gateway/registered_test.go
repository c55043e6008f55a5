package gateway

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redis"
	"wsfpm/gateway/registry"
)

// startRegistered starts a gateway with presence in an embedded Redis, which the test may
// change.
func startRegistered(t *testing.T, s script, change func(*config.Config)) (*harness, *redis.Client) {
	t.Helper()
	store := embeddedStore(t)
	h := startMore(t, s, func(cfg *config.Config) {
		cfg.Presence = config.Presence{Users: true, Channels: []string{"room-*"}}
		if change != nil {
			change(cfg)
		}
	}, func(o *Options) { o.Registry = store })
	return h, store
}

// embeddedStore is an embedded Redis, which ends with the test.
func embeddedStore(t *testing.T) *redis.Client {
	t.Helper()
	e, err := redis.StartEmbedded("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Close)
	store, err := redis.NewStore("redis://" + e.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	return store
}

// inRedis is the answer to a command.
func inRedis(t *testing.T, s registry.Store, args ...any) string {
	t.Helper()
	v, err := s.Do(context.Background(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(v)
}

// member answers connect with a user and a room.
func member(params map[string]string, body string) (string, string) {
	if params["WS_EVENT"] == "connect" {
		return "WS-User: 42\r\nWS-Join: room-1\r\nWS-State: s\r\n", ""
	}
	return "", body
}

func TestAConnectionIsCountedFromItsConnectAnswerToItsDisconnectEvent(t *testing.T) {
	h, store := startRegistered(t, member, nil)
	p := h.dial("/ws", nil)
	if got := inRedis(t, store, "hget", "ws:presence:channel:room-1", "user:42"); got != "1" {
		t.Errorf("the room counts %s of 42, want 1", got)
	}
	q := h.dial("/ws", nil)
	p.CloseNow()
	eventually(t, "the first disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	q.CloseNow()
	eventually(t, "the second", func() bool { return len(h.seen("disconnect")) == 2 })
	var left []string
	for _, e := range h.seen("disconnect") {
		left = append(left, e["WS_USER_LEFT"])
	}
	if !slices.Equal(left, []string{"", "1"}) {
		t.Errorf("WS_USER_LEFT is %q, want it on the last one", left)
	}
	if got := inRedis(t, store, "exists", "ws:presence:user:42"); got != "0" {
		t.Error("42 is still online")
	}
}

func TestADeadNodesRecordBecomesADisconnectEvent(t *testing.T) {
	h, store := startRegistered(t, member, nil)
	const id = "dead-1"
	record := "1\nuser:42\nchannel:room-1\n\n\n\n" + `{"route":"/ws","host":"example.com","script":"/evil.php","uri":"/ws?x=1","addr":"203.0.113.7","https":true,"user":"42","channels":["room-1"],"state":"s","at":"2026-01-02T03:04:05Z"}`
	inRedis(t, store, "hset", "ws:node:dead", id, record)
	r, err := registry.Decode(record)
	if err != nil {
		t.Fatal(err)
	}
	h.lost(&registry.Lost{Node: "dead", ID: id, Record: r})
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	e := h.seen("disconnect")[0]
	for name, want := range map[string]string{
		"WS_NODE": "dead", "WS_CONNECTION": id, "WS_CLOSE_CODE": "1006", "WS_CLOSE_REASON": "node lost", "WS_USER": "42", "WS_CHANNELS": "room-1",
		"WS_STATE": "s", "REMOTE_ADDR": "203.0.113.7", "HTTPS": "on", "REQUEST_URI": "/ws?x=1", "QUERY_STRING": "x=1", "WS_REQUEST_ID": id + ":lost",
	} {
		if e[name] != want {
			t.Errorf("%s is %q, want %q", name, e[name], want)
		}
	}
	if e["SCRIPT_FILENAME"] == "/evil.php" {
		t.Error("the record chose the script")
	}
	if got := inRedis(t, store, "exists", "ws:node:dead"); got != "0" {
		t.Error("the record is still there")
	}
}

func TestTheDurationOfADeadNodesConnectionIsNotNegative(t *testing.T) {
	h, store := startRegistered(t, member, nil)
	r := registry.Record{Version: 1, Info: registry.Info{URI: "/ws", Host: "example.com", Address: "203.0.113.7", Connected: time.Now().Add(time.Hour)}} // by the dead node's clock
	text := "1\nconn:dead-1\n\n\n\n" + `{"uri":"/ws","host":"example.com","addr":"203.0.113.7","at":"2126-01-02T03:04:05Z"}`
	inRedis(t, store, "hset", "ws:node:dead", "dead-1", text)
	h.lost(&registry.Lost{Node: "dead", ID: "dead-1", Record: r})
	eventually(t, "the disconnect event", func() bool { return len(h.seen("disconnect")) == 1 })
	if got := h.seen("disconnect")[0]["WS_DURATION"]; got != "0" {
		t.Errorf("WS_DURATION is %q, want 0", got)
	}
}
