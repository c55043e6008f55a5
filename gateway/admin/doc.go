// Package admin is the operators' listener: whether the process lives and is
// ready, what it counts, who is connected, and pushes over HTTP. Begin with
// [New], then guard.go. It is served on a listener of its own, which clients
// cannot reach.
package admin
