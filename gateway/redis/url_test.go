package redis

import (
	"strings"
	"testing"

	"wsfpm/gateway/redisurl"
)

// FuzzURL holds go-redis to package redisurl: what that accepts becomes a
// client. Otherwise wsfpm check would pass what wsfpm serve refuses.
func FuzzURL(f *testing.F) {
	for _, kind := range []string{"redis://h/1", "rediss://u:p%2F@h:1", "unix://u:p@/run/r.sock", "redis://a:1,b:2/?cluster=true", "redis://a:1,b:2/0?master_name=m"} {
		f.Add(kind)
		for _, p := range strings.Fields(`client_name=x protocol=3 max_retries=-1 min_retry_backoff=1s max_retry_backoff=0 dial_timeout=5 read_timeout=5s
			write_timeout=-1 pool_fifo=1 pool_size=5 pool_size=-1 pool_size=99999999999 pool_timeout=1m min_idle_conns=-1 max_idle_conns=4 max_active_conns=0
			max_concurrent_dials=3 pipeline_pool_size=-1 pipeline_read_buffer_size=4096 pipeline_write_buffer_size= conn_max_idle_time=1h idle_timeout=1h
			conn_max_lifetime=1h max_conn_age=5 conn_max_lifetime_jitter=1s skip_verify=true db=2 db=x db= addr=h:1 addr=h:0 addr=h max_redirects=3 read_only=true
			route_by_latency=true route_by_latency_tolerance=1s route_randomly=1 dialer_retries=2 dialer_retry_timeout=1s failing_timeout_seconds=3 username=u
			password=p%40 replica_only=false use_disconnected_replicas=0 context_timeout_enabled=1 disableIdentity=true identitySuffix=x unstable_resp3=1`) {
			if strings.Contains(kind, "?") {
				f.Add(kind + "&" + p)
			} else {
				f.Add(kind + "?" + p)
			}
		}
	}
	for _, host := range []string{"::1", "[::1]", "[::1]:1", "[fe80::1%25eth0]:1", "2001:db8::1:6379", ":1", "h:", "[h]:1", "%31:1", "]:1", "h]:1", "[:1", "[]:1", "[[::1]]:1", "a]b:1", "[::1]x:1"} {
		f.Add("redis://" + host)
		f.Add("redis://0:1," + host + "?master_name=m")
		f.Add("redis://0:1," + host + "?cluster=true")
		f.Add("redis://h:1?cluster=true&addr=" + host)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if _, err := redisurl.Parse(raw); err != nil || strings.Contains(raw, "min_idle_conns") {
			return // the latter connects at once
		}
		c, err := New(raw, "ws:all")
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		_ = c.Close()
	})
}
