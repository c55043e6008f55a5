// Package dev tests `wsfpm dev` with a real PHP-FPM: from an empty folder to a WebSocket,
// and to an end that leaves nothing.
package dev
