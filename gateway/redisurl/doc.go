// Package redisurl reads the URL of a Redis. The check of a configuration and
// the connection use this one parser, so that they agree on what is accepted.
// Begin with [Parse]. It does no I/O, and no error of it holds a part of the
// URL: any part may be a piece of a password that lacks its escapes.
//
// The way in: url.go (the URL), parameter.go (what may stand after the ?),
// redact.go (URLs in other texts).
package redisurl
