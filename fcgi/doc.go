// Package fcgi is a FastCGI client with a connection pool for one application
// server, typically a PHP-FPM pool.
//
//	pool, err := fcgi.NewPool(fcgi.Config{Address: "/run/php/fpm.sock", MaxConnections: 4})
//	env, err := fcgi.NewEnv(map[string]string{"SCRIPT_FILENAME": "/srv/app/ws.php"})
//	resp, err := pool.Do(ctx, &fcgi.Request{Env: env, Body: body})
//	answer, err := resp.ReadAll()
//
// [Params] derives an Env's parameters from an HTTP request with gofast's middleware.
//
// Three properties of PHP-FPM determine the design:
//
//   - A connection occupies one worker while it is open, even when idle. So
//     Config.MaxConnections counts workers, and idle connections are few and
//     short-lived.
//   - A script keeps running after its client has disconnected, and after
//     fastcgi_finish_request(). So a slot of the pool stands for a worker's time: it
//     is released when the worker is known to be free, not when the caller has the
//     answer. To find out, a 32-byte FCGI_GET_VALUES record (the probe) is sent after
//     every request; a worker answers it once it is back in its accept loop. Until
//     then the slot is settling. Another probe, before a connection's first request,
//     shows whether a worker has accepted the connection.
//   - A broken connection does not show whether the script ran. So a request is
//     repeated only if it certainly did not start, and every [Error] reports whether
//     the script may have run.
//
// The files in reading order, which is that of a request:
//
//	request.go   Request and Pool.Do, the whole sequence
//	env.go       constant parameters, encoded once
//	queue.go     the queue for slots: lanes, owners, bounds
//	pool.go      slots and idle connections; config.go, limit.go, shortage.go, reload.go
//	dial.go      connecting, retrying, testing the probe
//	circuit.go   finding out when a server that is down is back
//	conn.go      one connection; socket.go, its file descriptor
//	encode.go    encoding a request; record.go, the format
//	decode.go    decoding records
//	header.go    the CGI header block
//	response.go  reading an answer to its end
//	settle.go    waiting for a worker whose caller has left; sweep.go
//	errors.go    errors, phases, and whether the script may have run
//	stats.go     counters and events
//	gofast.go    parameters by gofast; web.go serves pages in development
//
// The package does not log, retry a request that may have run, stream a request
// body, multiplex requests on a connection (PHP-FPM cannot), or implement any role
// but Responder.
package fcgi
