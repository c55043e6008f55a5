// Package fcgi runs requests on one FastCGI application server, above all a
// PHP-FPM pool, quickly and without ever claiming more than it can prove.
//
// Begin with [NewPool], [NewEnv] and [Pool.Do]; [Params] makes an Env's
// parameters from an HTTP request by way of gofast's middleware.
//
// Three facts about PHP-FPM shape everything here:
//
//   - One connection occupies one worker for as long as it is open, idle or not.
//     So Config.MaxConnections is a number of workers, and idle connections are
//     few and short-lived.
//   - A script runs on when its client gives up, and after
//     fastcgi_finish_request(). So a slot of the pool is a worker's time: it
//     returns when the worker is proven free, not when the caller has its answer.
//     The proof is a 32-byte FCGI_GET_VALUES record sent behind every request; a
//     worker answers it when it is back in its accept loop. Until then the slot
//     is settling. (One more ahead of a connection's first request tells whether
//     a worker has come for it at all.)
//   - A connection that breaks looks the same whether the script ran or not. So a
//     request is sent again only when it certainly did not start, and every
//     [Error] says whether the script may have run.
//
// The files in reading order, which is a request's way through the package:
//
//	request.go   what a caller asks for: Request and Pool.Do, the whole walk
//	env.go       constant parameters, encoded once
//	queue.go     waiting for a slot: lanes, owners, bounds
//	pool.go      slots and idle connections; config.go, limit.go, shortage.go, reload.go beside it
//	dial.go      connecting, retrying, finding out about the probe; circuit.go
//	conn.go      one connection; socket.go looks at its file descriptor
//	encode.go    a request as records; record.go is the format
//	decode.go    records as they come back
//	header.go    the CGI header block
//	response.go  reading the answer to its proven end
//	settle.go    waiting for a worker after its caller has left; sweep.go
//	errors.go    what failed, when, and whether the script may have run
//	stats.go     counters and events
//	gofast.go    parameters by gofast; web.go serves pages in development
//
// What the package will not do: log, retry a request that may have run, stream a
// request body, multiplex requests on a connection (PHP-FPM cannot), or speak any
// role but Responder.
package fcgi
