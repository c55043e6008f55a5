package load

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"wsfpm/test/stack"
)

// quantile returns the value below which a share q of the values lies; values
// are sorted by it. It is zero without any.
func quantile[V cmp.Ordered](values []V, q float64) (v V) {
	if len(values) == 0 {
		return v
	}
	slices.Sort(values)
	return values[max(0, int(math.Ceil(q*float64(len(values))))-1)]
}

// median is the middle value.
func median[V cmp.Ordered](values []V) V { return quantile(values, 0.5) }

// sec shows a duration in seconds.
func sec(d time.Duration) float64 { return d.Seconds() }

// mib shows bytes in MiB.
func mib(bytes float64) float64 { return bytes / (1 << 20) }

// memory is the resident memory of a gateway in bytes.
func memory(t *testing.T, g *stack.GatewayServer) float64 {
	t.Helper()
	return g.Metric(t, "process_resident_memory_bytes")
}

// empty waits until a gateway has no client, and no event of one, any more.
func empty(t *testing.T, g *stack.GatewayServer) {
	t.Helper()
	stack.WaitWithin(t, 3*stack.Patience, "the last disconnect event", func() bool {
		return g.Metric(t, "wsfpm_connections") == 0 && g.Metric(t, "wsfpm_disconnects_waiting") == 0 && g.Metric(t, "wsfpm_fpm_in_use") == 0
	})
}
