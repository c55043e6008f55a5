package doctor

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
)

// Look is a check of the inside that is made elsewhere: wsfpm check has it too.
type Look struct {
	Check string
	// Run returns sentences that say what is wrong and what to change. A check that cannot
	// run returns why.
	Run func(ctx context.Context) (problems, warnings []string, cannot string)
}

// look makes a check of a Look.
func look(l Look) check {
	return check{l.Check, func(ctx context.Context, _ *visit) (found []finding) {
		problems, warnings, cannot := l.Run(ctx)
		if cannot != "" {
			return []finding{notRun("%s", cannot)}
		}
		for _, p := range problems {
			found = append(found, fault("", "%s", p))
		}
		for _, w := range warnings {
			found = append(found, warning("", "%s", w))
		}
		if len(found) == 0 {
			found = append(found, ok("no problem"))
		}
		return found
	}, nil}
}

// somaxconn is the file with the kernel's bound of a listen backlog, and leastBacklog its
// default since Linux 5.4.
const (
	somaxconn    = "/proc/sys/net/core/somaxconn"
	leastBacklog = 4096
)

var systemCures = map[string]cure{
	"files":   {anyProxy: "systemctl edit wsfpm\n[Service]\nLimitNOFILE=1048576"},
	"backlog": {anyProxy: "cp deploy/sysctl/wsfpm.conf /etc/sysctl.d/ && sysctl --system"},
}

// system looks at the limits of the gateway's process and machine.
func system(_ context.Context, v *visit) (found []finding) {
	if v.mirror == nil {
		return []finding{notRun("the gateway names its descriptors in a self-test only")}
	}
	if m := v.mirror; m.Connections > m.Sockets && m.Sockets > 0 {
		found = append(found, warning("files", "the gateway's descriptors are enough for %d clients, and limits.connections is %d", m.Sockets, m.Connections))
	}
	text, err := os.ReadFile(somaxconn)
	backlog, parsed := strconv.Atoi(strings.TrimSpace(string(text)))
	if err == nil && parsed == nil && backlog < leastBacklog {
		found = append(found, warning("backlog", "net.core.somaxconn is %d: of many clients that come back at once, some are refused", backlog))
	}
	if len(found) == 0 {
		found = append(found, ok("descriptors for %d clients", v.mirror.Sockets))
	}
	return found
}

// The bounds of Redis.
const (
	slowRedis  = 20 * time.Millisecond // the fastest of five answers
	mostSkew   = 2 * time.Second
	pushBuffer = 64 << 20 // hard limit of a subscriber's output buffer
)

var redisCures = map[string]cure{
	"latency":   {anyProxy: "redis-cli --latency    # then look at slowlog, swap, and the network"},
	"buffer":    {anyProxy: "# redis.conf\nclient-output-buffer-limit pubsub 256mb 64mb 60"},
	"keepalive": {anyProxy: "# redis.conf\ntcp-keepalive 300"},
	"persist":   {anyProxy: "# redis.conf\nappendonly yes"},
	"clock":     {anyProxy: "timedatectl set-ntp true    # on both machines"},
}

// redisServer looks at the settings of Redis; its rights are a Look.
func redisServer(ctx context.Context, v *visit) []finding {
	if v.Config == nil {
		return []finding{notRun("%s", needsConfig)}
	}
	if url := v.Config.Redis.URL; url == "" || url == redisurl.Embedded {
		return []finding{notRun("there is no Redis of its own")}
	}
	client, err := redis.NewStore(v.Config.Redis.URL)
	if err != nil {
		return []finding{notRun("%v", err)}
	}
	defer func() { _ = client.Close() }() // the result is known
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	fastest := patience
	for range 5 {
		began := time.Now()
		if _, err := client.Do(ctx, "ping"); err != nil {
			return []finding{notRun("%v", err)}
		}
		fastest = min(fastest, time.Since(began))
	}
	var found []finding
	if fastest > slowRedis {
		found = append(found, warning("latency", "Redis answers after %v at best: each push waits for it", fastest.Round(time.Millisecond)))
	}
	found = append(found, clock(ctx, client)...)
	found = append(found, redisSettings(ctx, v, client)...)
	if len(found) == 0 {
		found = append(found, ok("answers after %v", fastest.Round(10*time.Microsecond)))
	}
	return found
}

// clock compares the clock of Redis with this machine's. Without the right to ask there is
// no result.
func clock(ctx context.Context, client *redis.Client) []finding {
	reply, err := client.Do(ctx, "time")
	parts, isList := reply.([]any)
	if err != nil || !isList || len(parts) == 0 {
		return nil
	}
	seconds, err := strconv.ParseInt(fmt.Sprint(parts[0]), 10, 64)
	if skew := time.Since(time.Unix(seconds, 0)).Round(time.Second); err == nil && skew.Abs() > mostSkew {
		return []finding{warning("clock", "the clock of Redis differs by %v", skew)}
	}
	return nil
}

// redisSettings looks at the configuration of Redis.
func redisSettings(ctx context.Context, v *visit, client *redis.Client) (found []finding) {
	settings := make(map[string]string)
	for _, name := range []string{"client-output-buffer-limit", "tcp-keepalive", "appendonly", "save"} {
		reply, err := client.Do(ctx, "config", "get", name)
		if redis.Refused(err) {
			return []finding{notRun("the gateway's user may not read the settings of Redis: look with redis-cli config get '*'")}
		}
		if err != nil {
			return []finding{notRun("%v", err)}
		}
		settings[name] = setting(reply, name)
	}
	_, after, _ := strings.Cut(settings["client-output-buffer-limit"], "pubsub ")
	if fields := strings.Fields(after); len(fields) > 0 {
		if hard, err := strconv.ParseInt(fields[0], 10, 64); err == nil && hard > 0 && hard < pushBuffer {
			found = append(found, warning("buffer", "client-output-buffer-limit of pubsub is %d MB: Redis cuts a gateway that stalls for a moment", hard>>20))
		}
	}
	if settings["tcp-keepalive"] == "0" {
		found = append(found, warning("keepalive", "tcp-keepalive is 0: Redis keeps the subscriptions of machines that are gone"))
	}
	return append(found, persistence(v, settings)...)
}

// persistence compares what Redis keeps with what is promised.
func persistence(v *visit, settings map[string]string) []finding {
	if settings["appendonly"] == "yes" {
		return nil
	}
	for i, route := range v.Config.Routes {
		if route.Once > 0 {
			return []finding{warning("persist", "appendonly is off: after a restart of Redis, messages of route[%d] may run a second time (once)", i+1)}
		}
	}
	if settings["save"] == "" && v.Config.Durable.Keep > 0 {
		return []finding{warning("persist", "appendonly and save are off: a restart of Redis loses the log of durable messages")}
	}
	return nil
}

// setting returns the value in an answer to CONFIG GET.
func setting(reply any, name string) string {
	switch reply := reply.(type) {
	case map[any]any:
		return fmt.Sprint(reply[name])
	case []any:
		if len(reply) == 2 {
			return fmt.Sprint(reply[1])
		}
	}
	return ""
}
