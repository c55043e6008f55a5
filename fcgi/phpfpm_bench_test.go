package fcgi

import (
	"context"
	"strings"
	"testing"
)

// These benchmarks are a small echo by PHP-FPM. They run with WSFPM_INTEGRATION=1
// only.

func fpmEcho(b *testing.B) (*Pool, *Request) {
	f := startFPM(b, 8, "")
	return f.pool(Config{MaxConnections: 8, MaxIdle: 8}),
		&Request{Env: f.env("echo.php", phpEcho), Body: []byte(strings.Repeat("x", 64))}
}

func BenchmarkFPMOneCaller(b *testing.B) {
	p, r := fpmEcho(b)
	b.ReportAllocs()
	for b.Loop() {
		roundTrip(b, context.Background(), p, r)
	}
}

func BenchmarkFPMManyCallers(b *testing.B) {
	p, r := fpmEcho(b)
	roundTrip(b, context.Background(), p, r)
	b.ReportAllocs()
	b.SetParallelism(8) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			roundTrip(b, context.Background(), p, r)
		}
	})
}
