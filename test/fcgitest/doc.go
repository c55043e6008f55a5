// Package fcgitest is a FastCGI application server for tests, similar to
// net/http/httptest.
//
//	server := fcgitest.NewServer(fcgitest.Echo, fcgitest.Options{Workers: 2})
//	defer server.Close()
//	pool, err := fcgi.NewPool(fcgi.Config{Address: server.Address, MaxConnections: 2})
//
// It behaves like PHP-FPM: a worker serves one connection while it is open, reads a
// request completely before it runs it, and answers FCGI_GET_VALUES when it is back in
// its loop. To misbehave a [Handler] uses [Writer.Record], [Writer.Raw] and
// [Writer.Hangup]. The package shares no code with package fcgi, so each verifies the
// other.
//
// Reading order: server.go, request.go, writer.go.
package fcgitest
