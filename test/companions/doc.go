// Package companions tests PHP's side of wsfpm, client/php: that it and the gateway give the
// same verdict on each answer and command, and that it works with the real PHP-FPM, Redis and
// gateway.
package companions
