package bus

import "github.com/alicebob/miniredis/v2"

// embedded is a Redis-compatible server inside the process, for development.
type embedded struct {
	server *miniredis.Miniredis
}

// startEmbedded opens a server on a TCP address such as "127.0.0.1:6379".
func startEmbedded(listen string) (*embedded, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr(listen); err != nil {
		return nil, err
	}
	return &embedded{server}, nil
}

func (e *embedded) addr() string { return e.server.Addr() }

func (e *embedded) close() { e.server.Close() }
