package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/alecthomas/kong"

	"wsfpm/fcgi"
	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/durable"
	"wsfpm/gateway/once"
	"wsfpm/gateway/poolfile"
	"wsfpm/gateway/redis"
	"wsfpm/gateway/redisurl"
	"wsfpm/gateway/registry"
	"wsfpm/session"
)

// checkCmd is wsfpm check.
type checkCmd struct {
	gatewaySettings
	FPMPool []string `name:"fpm-pool" sep:"none" placeholder:"FILE,..." help:"Compare with PHP-FPM's own configuration: a file such as /etc/php/8.2/fpm/php-fpm.conf or a folder such as /etc/php/8.2/fpm/pool.d; several with commas."`
	Dial    bool     `help:"Also connect to PHP-FPM and subscribe on Redis."`
}

// Run prints every problem, or a summary of what would run; warnings in both cases.
func (c *checkCmd) Run() error {
	cfg, err := config.Load(c.source())
	if err != nil {
		return err
	}
	problems, warnings := []string(nil), cfg.Warnings()
	if len(c.FPMPool) > 0 {
		problems, warnings = comparePools(cfg, c.FPMPool, warnings)
	}
	warnings = append(warnings, missingFiles(cfg)...)
	if w := countFiles().tooFew(cfg); w != "" {
		warnings = append(warnings, w)
	}
	warnings = append(warnings, wholeProject(cfg.Web)...)
	if c.Dial {
		p, w := dialPools(cfg)
		problems, warnings = slices.Concat(problems, p, dialRedis(cfg.Redis), tryOnce(cfg), tryRegistry(cfg)), slices.Concat(warnings, w, lookAtLog(cfg))
	}
	if len(problems) == 0 {
		fmt.Println("ok")
		if err := summary(os.Stdout, cfg); err != nil {
			return err
		}
	}
	for _, w := range warnings {
		fmt.Println("warning: " + w)
	}
	if len(problems) > 0 {
		return errors.New(strings.Join(problems, "\nwsfpm: "))
	}
	return nil
}

// comparePools compares cfg with PHP-FPM's files. Each of lists is one --fpm-pool
// flag: names separated by commas.
func comparePools(cfg *config.Config, lists, warnings []string) (problems, _ []string) {
	var names []string
	for _, list := range lists {
		names = append(names, kong.SplitEscaped(list, ',')...)
	}
	if slices.Contains(lists, "") || slices.Contains(names, "") {
		return []string{"--fpm-pool: an empty name: give a file or folder of PHP-FPM, such as /etc/php/8.2/fpm/pool.d"}, warnings
	}
	read := poolfile.Read(names, os.LookupEnv)
	p, w := poolfile.Compare(cfg, read.Pools)
	return append(read.Problems, p...), slices.Concat(warnings, read.Warnings, w)
}

// missingFiles warns of scripts and folders that do not exist. They are no errors:
// PHP-FPM may run on another machine or in a chroot.
func missingFiles(cfg *config.Config) []string {
	var warnings []string
	look := func(key, path string, wantFolder bool) {
		if path == "" {
			return
		}
		f, err := os.Open(path)
		if err != nil {
			warnings = append(warnings, fmt.Sprintf("%s: %v", key, err))
			return
		}
		defer f.Close()
		if info, err := f.Stat(); err == nil && info.IsDir() != wantFolder {
			warnings = append(warnings, fmt.Sprintf("%s: %s is not a %s", key, path, map[bool]string{true: "folder", false: "file"}[wantFolder]))
		}
	}
	for i, route := range cfg.Routes {
		look(fmt.Sprintf("route[%d].script", i+1), route.Script, false)
		look(fmt.Sprintf("route[%d].root", i+1), route.Root, true)
	}
	look("--web", cfg.Web, true)
	return warnings
}

// wholeProject warns if --web names a project instead of its public folder.
func wholeProject(web string) []string {
	public := filepath.Join(web, "public")
	for _, index := range []string{"index.php", "index.html"} {
		if _, err := os.Stat(filepath.Join(public, index)); web != "" && err == nil {
			return []string{fmt.Sprintf("--web: %s looks like a whole project: every PHP file in it could be run: write --web %s", web, public)}
		}
	}
	return nil
}

// dialPools connects to each pool once and has a worker answer, which runs no script.
func dialPools(cfg *config.Config) (problems, warnings []string) {
	for _, name := range slices.Sorted(maps.Keys(cfg.FPM)) {
		pool := cfg.FPM[name]
		answered, err := fcgi.Ping(context.Background(), fcgi.Config{
			Network: pool.Network, Address: pool.Addr, DialTimeout: time.Duration(pool.DialTimeout), MaxConnections: 1,
		})
		var op *net.OpError
		switch {
		case errors.As(err, &op) && op.Op == "dial":
			problems = append(problems, fmt.Sprintf("fpm.%s.address: cannot connect to PHP-FPM: %v", name, err))
		case err != nil:
			problems = append(problems, fmt.Sprintf("fpm.%s.address: no PHP-FPM answers there: %v: "+
				"look whether PHP-FPM runs, at this address or beyond the proxy at it, and has this machine in listen.allowed_clients", name, err))
		case !answered:
			warnings = append(warnings, fmt.Sprintf("fpm.%s.address: no answer within a second: all workers of PHP-FPM are busy, or this is another service", name))
		}
	}
	return problems, warnings
}

// redisTimeout bounds the wait for Redis to confirm the subscriptions.
const redisTimeout = 3 * time.Second

// dialRedis subscribes once to the channels of every node, which needs the password
// and most of the ACL. Meanwhile Redis counts one more process.
func dialRedis(cfg config.Redis) []string {
	if cfg.URL == "" || cfg.URL == redisurl.Embedded {
		return nil
	}
	b, err := bus.New(busConfig(cfg, nil))
	if err == nil {
		b.Listen(func(*session.Command) func(context.Context) error { return nil })
		err = awaitRedis(b)
		_ = b.Close() // the result is known
	}
	if err == nil {
		return nil
	}
	return []string{fmt.Sprintf("redis.url: cannot subscribe on Redis: %v", err)}
}

// askRedis asks a Redis of its own, if there is one and the answer matters. That it cannot be
// reached is a problem of dialRedis.
func askRedis(cfg *config.Config, matters bool, ask func(context.Context, *redis.Client) []string) []string {
	if url := cfg.Redis.URL; !matters || url == "" || url == redisurl.Embedded {
		return nil
	}
	client, err := redis.NewStore(cfg.Redis.URL)
	if err != nil {
		return nil
	}
	defer func() { _ = client.Close() }() // the result is known
	ctx, cancel := context.WithTimeout(context.Background(), redisTimeout)
	defer cancel()
	return ask(ctx, client)
}

// tryOnce reports whether Redis keeps the ids of messages for routes with once.
func tryOnce(cfg *config.Config) []string {
	i := slices.IndexFunc(cfg.Routes, func(route *config.Route) bool { return route.Once > 0 })
	return askRedis(cfg, i >= 0, func(ctx context.Context, client *redis.Client) []string {
		err := redis.NewOnce(client).Check(ctx, once.Key(cfg.Redis.Prefix[0], "", rand.Text())) // of no user
		if err == nil || !redis.Refused(err) {
			return nil // else a problem of dialRedis
		}
		return []string{fmt.Sprintf("route[%d].once: Redis refuses what it needs: %v: it must be Redis 7 or newer, and its user needs the rights in docs/deploy.md", i+1, err)}
	})
}

// tryRegistry reports whether Redis can hold the registry.
func tryRegistry(cfg *config.Config) []string {
	return askRedis(cfg, cfg.NeedsRegistry(), func(ctx context.Context, client *redis.Client) (problems []string) {
		err := registry.Try(ctx, client, cfg.Redis.Prefix[0], cfg.Node+"-check-"+strings.ToLower(rand.Text()))
		if err != nil && redis.Refused(err) {
			problems = append(problems, fmt.Sprintf("redis.url: Redis refuses what the registry needs: %v: its user needs the rights in docs/deploy.md", err))
		}
		policy, err := registry.Policy(ctx, client)
		if err == nil && policy != "" && policy != registry.NoEviction {
			problems = append(problems, fmt.Sprintf("redis.url: maxmemory-policy is %s, so Redis may evict what the registry counts, and presence would stay wrong: %s", policy, registry.PolicyHint))
		}
		return problems
	})
}

// lookAtLog returns warnings about the log of durable messages in Redis.
func lookAtLog(cfg *config.Config) []string {
	return askRedis(cfg, cfg.Durable.Keep != 0, func(ctx context.Context, client *redis.Client) (warnings []string) {
		key := cfg.Durable.Stream
		reader, err := client.OpenReader(ctx, key)
		if err != nil {
			return nil // a problem of dialRedis
		}
		defer reader.Close()
		if rights, err := reader.Missing(ctx); err == nil && len(rights) > 0 {
			warnings = append(warnings, fmt.Sprintf("durable.keep: durable messages are off: the Redis user lacks %s: grant that, or set durable.keep = \"0s\"", strings.Join(rights, " ")))
		}
		found, err := durable.Warnings(ctx, client, key)
		if err != nil {
			found = []string{fmt.Sprintf("durable.stream: Redis was not searched for other logs: %v", err)}
		}
		return append(warnings, found...)
	})
}

// awaitRedis waits until the first attempt has succeeded or failed.
func awaitRedis(b *bus.Bus) error {
	late := time.After(redisTimeout)
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for {
		s := b.Stats()
		failed := s.State == "down" || s.State == "connecting" && s.Epochs > 0
		err := b.Ready()
		if err == nil {
			return nil
		}
		if reason := errors.Unwrap(err); failed && reason != nil {
			return reason
		}
		select {
		case <-look.C:
		case <-late:
			return fmt.Errorf("not confirmed within %v: %w", redisTimeout, err)
		}
	}
}

// summary prints the effective configuration.
func summary(to io.Writer, cfg *config.Config) error {
	w := tabwriter.NewWriter(to, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	line("node", "%s", cfg.Node)
	line("listen", "%s", strings.Join(cfg.Listen, ", "))
	line("admin", "%s", cmp.Or(cfg.Admin, "off"))
	line("control", "%s", cmp.Or(cfg.Control, "off"))
	line("redis", "%s", redisSummary(cfg.Redis))
	line("log", "%s", logSummary(cfg))
	for _, name := range slices.Sorted(maps.Keys(cfg.FPM)) {
		p := cfg.FPM[name]
		line("pool "+name, "%s, max. %d connections, %d kept idle for %v, queue wait %v", p.Address, p.MaxConnections, p.MaxIdle, p.IdleTimeout, p.QueueWait)
	}
	line("presence", "%s", presenceSummary(cfg.Presence))
	for _, r := range cfg.Routes {
		path := r.Path
		if len(r.Host) > 0 {
			path = strings.Join(r.Host, ",") + path
		}
		line("route "+path, "%s", routeSummary(cfg, r))
	}
	if cfg.Web != "" {
		line("web", "%s, all requests except WebSocket handshakes, for localhost, addresses%s", cfg.Web, strings.Join(append([]string{""}, cfg.WebHosts...), ", "))
	}
	return w.Flush()
}

// routeSummary describes one route. What needs Redis or the log is named where it is on.
func routeSummary(cfg *config.Config, r *config.Route) string {
	parts := []string{
		cmp.Or(r.Script, r.Root+"/"+config.ScriptVar+".php"),
		"pool " + strings.Join(r.Pools(), " then "),
		"origins " + cmp.Or(strings.Join(r.Origins, " "), "of the same host"),
		fmt.Sprintf("messages to %v", r.MessageLimit),
		fmt.Sprintf("timeout %v", r.Timeout),
	}
	if r.Resume {
		parts = append(parts, fmt.Sprintf("resume %v", r.ResumeAge))
	}
	if r.Once > 0 {
		parts = append(parts, fmt.Sprintf("once %v, answers to %v", r.Once, r.OnceAnswer))
	}
	if r.Registry || cfg.Presence.On() {
		parts = append(parts, "registry")
	}
	return strings.Join(parts, ", ")
}

// presenceSummary describes whose presence is kept.
func presenceSummary(p config.Presence) string {
	kept := p.Channels
	if len(kept) > 0 {
		kept = []string{"channels " + strings.Join(kept, " ")}
	}
	if p.Users {
		kept = append(kept, "users")
	}
	return cmp.Or(strings.Join(kept, ", "), "none")
}

// logSummary describes the log of durable messages.
func logSummary(cfg *config.Config) string {
	d := &cfg.Durable
	switch {
	case d.Keep == 0:
		return "none: durable.keep is 0"
	case cfg.Redis.URL == "":
		return fmt.Sprintf("in this process, %v or %v", d.Keep, d.Memory)
	}
	return fmt.Sprintf("%s in Redis, %v or %v", d.Stream, d.Keep, d.Memory)
}

// redisSummary names Redis without its password.
func redisSummary(cfg config.Redis) string {
	switch cfg.URL {
	case "":
		return "none: a single process"
	case redisurl.Embedded:
		return "embedded on " + cfg.Listen + ", prefix " + strings.Join(cfg.Prefix, " ")
	}
	u, err := redisurl.Parse(cfg.URL)
	if err != nil {
		return err.Error() // cannot happen: Load refuses such a URL
	}
	return u.String() + ", prefix " + strings.Join(cfg.Prefix, " ")
}
