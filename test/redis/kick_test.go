package redistest

import (
	"fmt"
	"net/url"
	"testing"

	"github.com/coder/websocket"

	"wsfpm/test/stack"
)

// TestOfTwoThatComeAtOnceOneIsLeft has two clients of one user connect at once,
// to one node or to two. Each connect answer closes the user's other clients.
func TestOfTwoThatComeAtOnceOneIsLeft(t *testing.T) {
	row(t, "4.younger")
	server := stack.Redis(t, stack.RedisOptions{})
	nodes := startTwo(t, server.URL(), "")
	for i := range 30 {
		user := fmt.Sprint("u", i)
		kick := url.Values{"h[]": {commandType, "WS-User: " + user}, "body": {
			`[{"to":"user:` + user + `","except":["self"],"close":{"code":4001,"reason":"signed in elsewhere"}},{"data":"welcome"}]`}}
		var clients [2]*stack.Client
		parallel(t, 2, func(w worker, n int) {
			c := stack.Dial(w, nodes[n*i%2].URL+"/ws?"+kick.Encode(), stack.DialOptions{})
			clients[n] = c
			c.Expect("welcome")
			// The reply, or the end, comes when the client's own command was published.
			_ = c.Conn.Write(t.Context(), websocket.MessageText, []byte("\n\nhere"))
			c.NextOrEnd()
		})
		server.Publish(t, "ws:user:"+user, "last") // heard after both commands
		left := 0
		for _, c := range clients {
			f, open := c.NextOrEnd()
			for open && string(f.Data) != "last" {
				f, open = c.NextOrEnd()
			}
			if open {
				left++
				c.Close(1000, "")
			}
		}
		equal(t, "clients left of "+user, left, 1)
	}
}
