package redis

import "github.com/alicebob/miniredis/v2"

// Embedded is a Redis-compatible server inside the process, for development. It is safe for
// concurrent use.
type Embedded struct {
	server *miniredis.Miniredis
}

// StartEmbedded opens a server on a TCP address such as "127.0.0.1:6379".
func StartEmbedded(listen string) (*Embedded, error) {
	server := miniredis.NewMiniRedis()
	server.ClockTTL(true) // else no key ever expires
	if err := server.StartAddr(listen); err != nil {
		return nil, err
	}
	return &Embedded{server}, nil
}

// Addr is the address that the server listens on.
func (e *Embedded) Addr() string { return e.server.Addr() }

// Close ends the server and all connections to it.
func (e *Embedded) Close() { e.server.Close() }
