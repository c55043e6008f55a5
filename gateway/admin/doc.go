// Package admin is the HTTP handler of the admin listener: health checks, metrics, the
// list of connections, events as they happen, and pushes.
//
//	handler := admin.New(admin.Options{Gateway: gw, Token: token})
//
// It is served on a separate listener, which clients cannot reach. Reading order:
// admin.go, guard.go (access), events.go, page.go, session.go, metrics.go, sockets.go; control.go and peer_linux.go, the control
// socket.
package admin
