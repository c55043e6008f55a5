package redistest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// balanced is nginx before the nodes, where clients come back to.
func balanced(t *testing.T, nodes [2]node) (url string) {
	t.Helper()
	front := stack.Nginx(t, fmt.Sprintf(`
		upstream nodes { server %s; server %s; }
		server {
			listen LISTEN;
			location / {
				proxy_pass http://nodes;  proxy_http_version 1.1;
				proxy_set_header Upgrade $http_upgrade;  proxy_set_header Connection "upgrade";  proxy_set_header Host $http_host;
			}
		}`, nodes[0].Listen, nodes[1].Listen))
	return strings.Replace(front.URL(), "http:", "ws:", 1)
}

func TestTheDeathOfANodeIsItsClientsOnly(t *testing.T) {
	row(t, "3.subscriptions", "3.fast-count", "5.node")
	server := stack.Redis(t, stack.RedisOptions{})
	p := startPair(t, server, server.URL(), "")
	p.nodes[0].Kill()
	p.a.ExpectBroken()
	for address, want := range map[string]int64{"conn:" + p.a.id: 0, "user:a": 0, "channel:hall": 1, "all": 1, "command": 1} {
		stack.WaitWithin(t, 2*time.Second, address+" of the dead node to vanish", func() bool {
			return server.Subscribers(t, "ws:"+address) == want
		})
	}
	p.b.do("the other goes on")
	equal(t, "the other's /ready", p.nodes[1].Ready(), true)

	old := p.a.id
	p.a = dial(t, balanced(t, p.nodes), "WS-Join: hall", "WS-User: a")
	p.b.say("to both", "WS-Publish: channel:hall, user:a")
	p.expect("to both")

	p.nodes[0].Start(t)
	p.a = p.nodes[0].dial(t, "WS-Join: hall", "WS-User: a")
	if p.a.id[:len("one-xxxxxx")] == old[:len("one-xxxxxx")] {
		t.Errorf("the id %s begins as that of the dead node's connection, %s", p.a.id, old)
	}
	equal(t, "nodes at the hall", server.Publish(t, "ws:channel:hall", "to both again"), 2)
	p.expect("to both again")
}
