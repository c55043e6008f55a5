// Package redis is the client of Redis for the other packages, and the embedded server. It
// is the only one that imports go-redis and miniredis.
//
//	c, err := redis.New("redis://127.0.0.1:6379", "ws:all")
//	line, err := c.Open(ctx)                       // one connection that receives
//	heard, err := c.Publish(ctx, "ws:all", payload)
//
//	s, err := redis.NewStore("redis://127.0.0.1:6379/2")
//	ids, err := s.Append(ctx, "ws:log", []string{"to", "all", "data", "hello"})
//	reader, err := s.OpenReader(ctx, "ws:log")     // one connection that reads the stream
//	reply, err := s.Run(ctx, script, keys, args...)
//
// A [Client] is one Redis, the master of a Sentinel group, or a Cluster. Nothing here
// repeats a command or logs: the callers decide on both.
//
// Reading order: client.go, dial.go (connections, TLS), line.go (publish/subscribe),
// stream.go and wire.go (a stream read on a connection of its own), script.go, once.go,
// embedded.go.
package redis
