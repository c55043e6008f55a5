package gateway

import "sync/atomic"

// maxIdleHandlers bounds the goroutines that wait for a connection with a
// message. PHP-FPM has rarely more workers than that for them to keep busy.
const maxIdleHandlers = 64

// handlers runs the messages of connections on goroutines that are used again:
// a call of PHP needs more stack than a new goroutine has, and growing it
// anew for every message costs more than the message's own work.
type handlers struct {
	ready chan *connection // without room: taken by an idle goroutine or by none
	idle  atomic.Int32
}

// run has the messages that wait for c handled, on another goroutine.
func (g *Gateway) run(c *connection) {
	select {
	case g.handlers.ready <- c:
	default:
		g.loops.Go(func() { g.handler(c) })
	}
}

// handler handles c's messages, then those of others, until there are idle
// goroutines enough or the gateway stops.
func (g *Gateway) handler(c *connection) {
	for {
		c.handle()
		if g.handlers.idle.Add(1) > maxIdleHandlers {
			g.handlers.idle.Add(-1)
			return
		}
		select {
		case c = <-g.handlers.ready:
			g.handlers.idle.Add(-1)
		case <-g.stop:
			return
		}
	}
}
