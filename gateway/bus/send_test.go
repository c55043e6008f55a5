package bus

import (
	"strings"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

func TestSendCountsAndPublishesUnderTheFirstPrefix(t *testing.T) {
	server := miniredis.NewMiniRedis()
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	heard := server.NewSubscriber()
	defer heard.Close()
	heard.Subscribe("app:user:42")
	cfg := Config{URL: "redis://" + server.Addr(), Prefixes: []string{"app:", "old:"}}
	first := make(chan miniredis.PubsubMessage, 1)
	go func() { first <- <-heard.Messages() }() // miniredis hands messages over one by one
	n, err := Send(t.Context(), cfg, "user:42", []byte("hello"))
	if err != nil || n != 1 {
		t.Errorf("got %d, %v, want 1", n, err)
	}
	if got := <-first; got.Channel != "app:user:42" || got.Message != "hello" {
		t.Errorf("got %+v", got)
	}
	if n, err = Send(t.Context(), cfg, "user:43", nil); err != nil || n != 0 {
		t.Errorf("got %d, %v, want 0", n, err)
	}
}

func TestSendShowsNoPassword(t *testing.T) {
	for _, address := range []string{"redis://secret@h:x/0", "redis://:secret@h/db", "redis://secret@%zz"} {
		if _, err := Send(t.Context(), Config{URL: address}, "all", nil); err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: got %v, want an error that shows no password", address, err)
		}
	}
}
