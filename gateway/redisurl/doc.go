// Package redisurl parses the URL of a Redis. The check of a configuration and the
// connection use this one parser, so that they accept the same URLs. Begin with [Parse].
// It does no I/O, and its errors contain no part of the URL: any part may belong to a
// password with missing escapes.
//
// Reading order: url.go (the URL), parameter.go (its query parameters), tls.go (those of TLS), redact.go (URLs in
// other texts).
package redisurl
