// Package admin is the HTTP handler of the admin listener: health checks, metrics, the
// list of connections, and pushes.
//
//	handler := admin.New(admin.Options{Gateway: gw, Token: token})
//
// It is served on a separate listener, which clients cannot reach. Reading order:
// admin.go, guard.go (access), metrics.go, sockets.go.
package admin
