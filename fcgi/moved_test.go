package fcgi

import (
	"context"
	"net"
	"syscall"
	"testing"

	"wsfpm/test/fcgitest"
)

// A request that was still dialing when the address changed may go to the old
// server, but its connection is not kept for others.
func TestConnectionToAnOldAddressIsNotKept(t *testing.T) {
	before := serve(t, fcgitest.Reply(200, "old"), fcgitest.Options{})
	after := serve(t, fcgitest.Reply(200, "new"), fcgitest.Options{})
	p := poolFor(t, before, Config{})
	moved := false
	p.netDial = func(ctx context.Context, cfg *Config) (net.Conn, error) {
		if !moved {
			moved = true
			next := *p.cfg
			next.Network, next.Address = after.Network, after.Address
			if err := p.Configure(usual(next)); err != nil {
				t.Error(err)
			}
			return nil, syscall.ECONNREFUSED
		}
		return netDial(ctx, cfg)
	}
	_, first, err := call(p, &Request{Env: testEnv(t)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if _, body, err := call(p, &Request{Env: testEnv(t)}); err != nil || body != "new" {
			t.Errorf("request %d after the change (the one under way went to %q): got %q, %v", i, first, body, err)
		}
	}
}
