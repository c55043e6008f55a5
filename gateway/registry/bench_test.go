package registry

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"wsfpm/session"
	"wsfpm/test/stack"
)

// BenchmarkCostInRedis reports the CPU time of Redis for one call of each script, beside
// that of a PUBLISH that one client hears.
func BenchmarkCostInRedis(b *testing.B) {
	if !stack.Enabled() {
		b.Skip("needs redis-server: set WSFPM_INTEGRATION=1")
	}
	server := stack.Redis(b, stack.RedisOptions{})
	c, k := newClient(b, server.URL()), keys("ws:")
	listener := server.Client(b).Subscribe(context.Background(), "heard")
	defer listener.Close()
	record := aRecord()
	record.Counted = []session.Address{session.Channel("lobby")}
	spent := func() (total float64) { // seconds of CPU
		for line := range strings.Lines(server.Do(b, "info", "cpu")) {
			name, value, _ := strings.Cut(line, ":")
			if name == "used_cpu_sys" || name == "used_cpu_user" {
				var v float64
				_, _ = fmt.Sscanf(value, "%f", &v)
				total += v
			}
		}
		return total
	}
	for _, each := range []struct {
		name string
		run  func(i int)
	}{
		{"publish", func(int) { do(b, c, "publish", "heard", strings.Repeat("x", 100)) }},
		{"beat", func(i int) { run(context.Background(), c, []Call{k.beat("n", "s", uint64(i))}) }},
		{"register", func(i int) {
			id := fmt.Sprint("c", i)
			record.Version, record.User = 1, fmt.Sprint("u", i)
			run(context.Background(), c, []Call{k.put(&write{creates: true, head: record.head(id), tail: record.tail()}, "n", id)})
		}},
		{"unregister", func(i int) { run(context.Background(), c, []Call{k.unregister("n", fmt.Sprint("c", i))}) }},
	} {
		const calls = 3000
		each.run(0) // Redis learns the script
		before := spent()
		for i := range calls {
			each.run(i)
		}
		b.ReportMetric((spent()-before)/calls*1e6, each.name+"-µs")
	}
}
