package main

import (
	"reflect"
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"

	"wsfpm/gateway/config"
)

func TestRedisURLs(t *testing.T) {
	for address, want := range map[string]redis.UniversalOptions{
		"redis://h":                                     {Addrs: []string{"h:6379"}},
		"redis://u:p%40w@h:1/2":                         {Addrs: []string{"h:1"}, Username: "u", Password: "p@w"},
		"unix://:pw@/run/redis.sock":                    {Addrs: []string{"/run/redis.sock"}, Password: "pw"},
		"redis://:pw@a:1,b:2/?cluster=true":             {Addrs: []string{"a:1", "b:2"}, Password: "pw", IsClusterMode: true},
		"redis://:s@a:1,b:2/?master_name=m&password=pw": {Addrs: []string{"a:1", "b:2"}, MasterName: "m", SentinelPassword: "s", Password: "pw"},
	} {
		got, err := parseRedisURL(address)
		if err != nil {
			t.Errorf("%s: %v", address, err)
			continue
		}
		want.DialTimeout = got.DialTimeout
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%s: got %+v, want %+v", address, *got, want)
		}
	}
	secure, err := parseRedisURL("rediss://h")
	if err != nil || secure.TLSConfig == nil {
		t.Errorf("got %+v, %v, want TLS", secure, err)
	}
	for _, address := range []string{"redis://secret@h:x/0", "redis://:secret@h/db", "redis://secret@%zz"} {
		if _, err := parseRedisURL(address); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error that shows no password", address, err)
		}
	}
}

func TestPublishCountsAndTakesTheFirstPrefix(t *testing.T) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	heard := server.NewSubscriber()
	defer heard.Close()
	heard.Subscribe("app:user:42")
	cfg := config.Redis{URL: "redis://" + server.Addr(), Prefix: []string{"app:", "old:"}}
	first := make(chan miniredis.PubsubMessage, 1)
	go func() { first <- <-heard.Messages() }() // miniredis hands messages over one by one
	n, err := publish(t.Context(), cfg, "user:42", []byte("hello"))
	if err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if got := <-first; got.Channel != "app:user:42" || got.Message != "hello" {
		t.Errorf("got %+v", got)
	}
	if n, err = publish(t.Context(), cfg, "user:43", nil); err != nil || n != 0 {
		t.Errorf("got %d, %v, want 0", n, err)
	}
}
