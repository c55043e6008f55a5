// Package stack starts the real servers that wsfpm stands between, for tests:
// PHP-FPM, Redis, nginx, Apache, HAProxy, Caddy, the wsfpm binary itself, and a WebSocket client.
//
// Every server listens on loopback or on a unix socket in a temporary folder,
// on a port that no other test gets, and is ended by its process id when the
// test ends. When the test has failed, the server's log is printed with it.
//
// Reading order: suite.go (who owns the servers), process.go, ports.go, fpm.go,
// redis.go, sentinel.go, authority.go, nginx.go, front.go, scripts.go, gateway.go,
// client.go, proxy.go.
//
// Nothing here runs unless the environment says WSFPM_INTEGRATION=1; with it, a
// missing program fails the test and names the Debian package that has it.
package stack
