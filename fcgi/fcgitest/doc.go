// Package fcgitest is a scripted FastCGI application server for tests, in the
// manner of net/http/httptest. It keeps PHP-FPM's habits: a worker serves one
// connection at a time for as long as it is open, reads a request whole before it
// runs, and answers FCGI_GET_VALUES when it is back in its loop.
//
// Begin with [NewServer] and a [Handler]; [Echo] and [Reply] are handlers. A
// handler that wants to misbehave uses [Writer.Record], [Writer.Raw] and
// [Writer.Hangup]. The package shares no code with package fcgi, so each checks
// the other.
package fcgitest
