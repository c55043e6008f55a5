package config

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway/redisurl"
)

// minimal is a configuration with one pool and one route.
func minimal() *Config {
	c := Default()
	c.Node = "web1"
	c.FPM["default"] = NewFPM("default", "unix:/run/fpm.sock")
	c.Routes = []*Route{NewRoute("/ws", "/srv/app/ws.php")}
	return c
}

// broken holds, for each rule, a change that breaks it and what is then said.
var broken = map[string]struct {
	change func(c *Config)
	want   string
}{
	"node":             {func(c *Config) { c.Node = "" }, "node: has 0 bytes"},
	"node bytes":       {func(c *Config) { c.Node = "a:b" }, "node: \"a:b\" has ':' in it"},
	"listen empty":     {func(c *Config) { c.Listen = nil }, "listen: is empty"},
	"listen path":      {func(c *Config) { c.Listen = []string{"/run/x"} }, `write "unix:/run/x"`},
	"listen relative":  {func(c *Config) { c.Listen = []string{"unix:x"} }, "is not absolute"},
	"listen port":      {func(c *Config) { c.Listen = []string{"127.0.0.1:http"} }, `port "http"`},
	"listen no port":   {func(c *Config) { c.Listen = []string{"localhost"} }, "is not an address"},
	"listen twice":     {func(c *Config) { c.Listen = []string{":80", ":80"} }, "listen[2]: \":80\" is there twice"},
	"listen long":      {func(c *Config) { c.Listen = []string{"unix:/" + strings.Repeat("x", 99)} }, "has 100 bytes"},
	"group":            {func(c *Config) { c.ListenGroup = "a b" }, "listen_group"},
	"admin is listen":  {func(c *Config) { c.Admin = c.Listen[0] }, "is a listen address too"},
	"admin open":       {func(c *Config) { c.Admin = ":8081" }, "reachable from other machines: set admin_token"},
	"admin open v6":    {func(c *Config) { c.Admin = "[2001:db8::1]:8081" }, "set admin_token"},
	"control is TCP":   {func(c *Config) { c.Control = "127.0.0.1:8082" }, "is no unix socket"},
	"control is admin": {func(c *Config) { c.Admin, c.Control = "unix:/run/a", "unix:/run/a" }, "address of another listener"},
	"control relative": {func(c *Config) { c.Control = "unix:x" }, "is not absolute"},
	"token bytes":      {func(c *Config) { c.AdminToken = "0123456789 abcdef" }, "admin_token: has a byte"},
	"trusted":          {func(c *Config) { c.TrustedProxies = []string{"nginx"} }, "trusted_proxies[1]"},
	"pool address":     {func(c *Config) { c.FPM["default"].Address = "" }, "fpm.default.address: is missing"},
	"pool path":        {func(c *Config) { c.FPM["default"].Address = "/run/x" }, `write "unix:/run/x"`},
	"pool no scheme":   {func(c *Config) { c.FPM["default"].Address = "127.0.0.1:9000" }, `write "tcp:127.0.0.1:9000"`},
	"pool no host":     {func(c *Config) { c.FPM["default"].Address = "tcp::9000" }, "is not an address"},
	"pool port":        {func(c *Config) { c.FPM["default"].Address = "tcp:a:0" }, "port 0"},
	"pool name":        {func(c *Config) { c.FPM["a.b"] = NewFPM("", "unix:/b") }, "is not a pool's name"},
	"pool twice":       {func(c *Config) { c.FPM["z"] = NewFPM("", "unix:/run/./fpm.sock") }, "is the address of the pool default too"},
	"pool is control":  {func(c *Config) { c.Control = "unix:/run/fpm.sock" }, "is the address of control too"},
	"pool is admin":    {func(c *Config) { c.Admin = "unix:/proc/self/root/run/fpm.sock" }, "is the address of admin too"},
	"pool is listen":   {func(c *Config) { c.Listen = []string{"unix:/run/./fpm.sock"} }, "is the address of listen too"},
	"pool by a link":   {func(c *Config) { c.FPM["z"] = NewFPM("", "unix:/proc/self/root/run/fpm.sock") }, "is the address of the pool default too"},
	"no workers":       {func(c *Config) { c.FPM["default"].MaxConnections = 0 }, "max_connections: 0"},
	"idle":             {func(c *Config) { c.FPM["default"].MaxIdle = 4 }, "max_idle: 4: write 0 to max_connections, which is 3"},
	"streams":          {func(c *Config) { c.FPM["default"].MaxStreams = 4 }, "max_streams: 4"},
	"share":            {func(c *Config) { c.FPM["default"].PoolShare = 0 }, "pool_share"},
	"dial":             {func(c *Config) { c.FPM["default"].DialTimeout = 0 }, "dial_timeout"},
	"redis scheme":     {func(c *Config) { c.Redis.URL = "http://h" }, "redis.url: has another scheme"},
	"redis host":       {func(c *Config) { c.Redis.URL = "redis://user:pw@/0" }, "redis.url: \"\" is no host"},
	"redis path":       {func(c *Config) { c.Redis.URL = "unix://redis.sock" }, "redis.url: has no absolute path"},
	"redis hosts":      {func(c *Config) { c.Redis.URL = "redis://a:1,b:2" }, "has several hosts"},
	"redis listen":     {func(c *Config) { c.Redis.URL = redisurl.Embedded; c.Redis.Listen = "6379" }, "redis.listen"},
	"no prefix":        {func(c *Config) { c.Redis.Prefix = nil }, "redis.prefix: is empty"},
	"empty prefix":     {func(c *Config) { c.Redis.Prefix = []string{""} }, "redis.prefix"},
	"prefix twice":     {func(c *Config) { c.Redis.Prefix = []string{"a:", "a:"} }, "there twice"},
	"prefix begins":    {func(c *Config) { c.Redis.Prefix = []string{"a:", "a:b:"} }, `"a:b:" begins with "a:"`},
	"confirm":          {func(c *Config) { c.Redis.Confirm = 0 }, "redis.confirm"},
	"durable stream":   {func(c *Config) { c.Durable.Stream = "ws log" }, "durable.stream"},
	"durable memory":   {func(c *Config) { c.Durable.Memory = 4<<20 - 1 }, "durable.memory: 4194303: write at least 4MiB"},
	"durable tag":      {func(c *Config) { c.Durable.Tag = "" }, "durable.tag"},
	"durable replay":   {func(c *Config) { c.Durable.Replay = 0 }, "durable.replay"},
	"relay frame":      {func(c *Config) { c.Redis.URL, c.Limits.RelayFrame = "redis://h", 1<<20-1<<10+1 }, "limits.relay_frame: 1047553: write at most 1023KiB, or raise redis.push_limit"},
	"push limit":       {func(c *Config) { c.Redis.PushLimit = 0 }, "redis.push_limit"},
	"relay none":       {func(c *Config) { c.Redis.Relays = []Relay{{To: "all"}} }, "redis.relay[1].pattern: is missing"},
	"relay to":         {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "lobby"}} }, "redis.relay[1].to"},
	"relay glob":       {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a.*.*", To: "all"}} }, `write exactly one "*"`},
	"relay sign":       {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a.?.*", To: "all"}} }, `write exactly one "*"`},
	"relay set":        {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a.[b].*", To: "all"}} }, `write exactly one "*"`},
	"relay escape":     {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: `a.\*`, To: "all"}} }, `write exactly one "*"`},
	"relay twice":      {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "all"}, {Pattern: "a*", To: "all"}} }, `redis.relay[2].pattern: "a*" is there twice`},
	"relay self":       {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "self"}} }, "redis.relay[1].to"},
	"relay braces":     {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "channel:{nam}"}} }, "redis.relay[1].to"},
	"relay first":      {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "*.pub", To: "all"}} }, "matches our own prefix"},
	"relay plain":      {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a", To: "all"}} }, `write exactly one "*"`},
	"relay format":     {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "all", Format: "json"}} }, `redis.relay[1].format: "json" is unknown: write "laravel"`},
	"relay own":        {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "ws:*", To: "all"}} }, "matches our own prefix"},
	"relay everything": {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "*", To: "all"}} }, "matches our own prefix"},
	"relay begin":      {func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "w*x", To: "all"}} }, "matches our own prefix"},
	"no route":         {func(c *Config) { c.Routes = nil }, "route: there is none"},
	"path":             {func(c *Config) { c.Routes[0].Path = "" }, "route[1].path: is missing"},
	"path slash":       {func(c *Config) { c.Routes[0].Path = "ws" }, `write "/ws"`},
	"path var":         {func(c *Config) { c.Routes[0].Path = "/{room}" }, "only a last part {script} can vary"},
	"path var inside":  {func(c *Config) { c.Routes[0].Path = "/{script}/a" }, "only a last part"},
	"path query":       {func(c *Config) { c.Routes[0].Path = "/ws?x" }, "without ?"},
	"path dots":        {func(c *Config) { c.Routes[0].Path = "/a/../b" }, "without empty parts"},
	"script":           {func(c *Config) { c.Routes[0].Script = "" }, "route[1].script: is missing"},
	"script relative":  {func(c *Config) { c.Routes[0].Script = "ws.php" }, "is not absolute"},
	"script dots":      {func(c *Config) { c.Routes[0].Script = "/srv/../ws.php" }, `write "/ws.php"`},
	"root missing":     {func(c *Config) { c.Routes[0].Path = "/{script}"; c.Routes[0].Script = "" }, "route[1].root: is missing"},
	"root and script":  {func(c *Config) { c.Routes[0].Path = "/{script}"; c.Routes[0].Root = "/srv" }, "cannot be combined with {script}"},
	"root alone":       {func(c *Config) { c.Routes[0].Root = "/srv" }, "is for paths that end in /{script}"},
	"document root":    {func(c *Config) { c.Routes[0].DocumentRoot = "/srv/application" }, "does not hold"},
	"pool unknown":     {func(c *Config) { c.Routes[0].FPM = "x" }, `there is no pool "x": write [fpm.x] with its address, or one of default`},
	"spare unknown":    {func(c *Config) { c.Routes[0].Spares = []string{"x"} }, `there is no pool "x": write [fpm.x] with its address, or one of default`},
	"spare twice":      {func(c *Config) { c.Routes[0].Spares = []string{"default"} }, `route[1].fpm: "default" is there twice`},
	"events none":      {func(c *Config) { c.Routes[0].Events = nil }, "events: is empty"},
	"events unknown":   {func(c *Config) { c.Routes[0].Events = []string{"connect", "open"} }, `"open" is unknown`},
	"no connect":       {func(c *Config) { c.Routes[0].Events = []string{"message"} }, "public = true"},
	"on error":         {func(c *Config) { c.Routes[0].OnError = "drop" }, "write one of keep, message, close"},
	"error message":    {func(c *Config) { c.Routes[0].OnError = "message" }, "error_message: is missing"},
	"accept":           {func(c *Config) { c.Routes[0].Accept = "200" }, "accept"},
	"statuses":         {func(c *Config) { c.Routes[0].AnswerStatuses = []string{"2xx"} }, "answer_statuses"},
	"multipart":        {func(c *Config) { c.Routes[0].ContentType = "multipart/form-data; boundary=x" }, "multipart/form-data leaves"},
	"media type":       {func(c *Config) { c.Routes[0].ContentType = "json" }, "is not a media type"},
	"host":             {func(c *Config) { c.Routes[0].Host = []string{"https://a"} }, "write a host name"},
	"host's letters":   {func(c *Config) { c.Routes[0].Host = []string{"a\u200e.example"} }, `write its ASCII form, "xn--..."`},
	"host of no name":  {func(c *Config) { c.Routes[0].Host = []string{"."} }, "write a host name"},
	"host port":        {func(c *Config) { c.Routes[0].Host = []string{"a:80"} }, "write a host name"},
	"origin":           {func(c *Config) { c.Routes[0].Origins = []string{"example.com"} }, "origins"},
	"origin path":      {func(c *Config) { c.Routes[0].Origins = []string{"https://example.com/app"} }, "origins"},
	"origin wildcard":  {func(c *Config) { c.Routes[0].Origins = []string{"https://*.example.com"} }, "origins"},
	"protocol":         {func(c *Config) { c.Routes[0].Protocols = []string{"a b"} }, "is not a subprotocol"},
	"our protocol":     {func(c *Config) { c.Routes[0].Protocols = []string{"wsfpm.v1"} }, "are ours"},
	"header":           {func(c *Config) { c.Routes[0].PassHeaders = []string{"X: y"} }, "is not a header's name"},
	"params too long":  {func(c *Config) { c.Routes[0].Params = map[string]string{"A": strings.Repeat("x", 60<<10)} }, "params.A: has 61440 bytes"},
	"PHP_VALUE":        {func(c *Config) { c.Routes[0].Params = map[string]string{"PHP_VALUE": "a"} }, "params.PHP_VALUE: would stay"},
	"PHP_ADMIN_VALUE":  {func(c *Config) { c.Routes[0].Params = map[string]string{"php_admin_value": "a"} }, "would stay"},
	"WS_":              {func(c *Config) { c.Routes[0].Params = map[string]string{"WS_EVENT": "a"} }, "are ours"},
	"CONTENT_LENGTH":   {func(c *Config) { c.Routes[0].Params = map[string]string{"CONTENT_LENGTH": "1"} }, "is computed"},
	"param value":      {func(c *Config) { c.Routes[0].Params = map[string]string{"A": "a\nb"} }, "line break"},
	"param name":       {func(c *Config) { c.Routes[0].Params = map[string]string{"": "a"} }, "is not a parameter's name"},
	"server name":      {func(c *Config) { c.Routes[0].ServerName = "a b" }, "server_name"},
	"server port":      {func(c *Config) { c.Routes[0].ServerPort = 70000 }, "server_port"},
	"message limit":    {func(c *Config) { c.Routes[0].MessageLimit = 0 }, "message_limit: 0"},
	"answer limit":     {func(c *Config) { c.Routes[0].AnswerLimit = 0 }, "answer_limit"},
	"timeout":          {func(c *Config) { c.Routes[0].Timeout = 0 }, "timeout"},
	"stream timeout":   {func(c *Config) { c.Routes[0].StreamTimeout = 0 }, "stream_timeout"},
	"resume age":       {func(c *Config) { c.Routes[0].ResumeAge = 0 }, "resume_age: 0"},
	"gap message":      {func(c *Config) { c.Routes[0].GapMessage = "reload" }, "gap_message: is sent on routes with resume"},
	"once no Redis":    {func(c *Config) { c.Routes[0].Once = Duration(time.Minute) }, "once: keeps the ids of messages in Redis"},
	"once short": {func(c *Config) {
		c.Redis.URL, c.Routes[0].Once = redisurl.Embedded, Duration(59*time.Second)
	}, "once: 59s is less than twice timeout, 30s"},
	"once negative": {func(c *Config) { c.Routes[0].Once = -1 }, "once: -1ns"},
	"cache small":   {func(c *Config) { c.Routes[0].Cache = minCache - 1 }, "cache: 262143: write at least 256KiB"},
	"cache key":     {func(c *Config) { c.Routes[0].CacheKey = []string{"user", "cookie"} }, "cache_key"},
	"cache no age":  {func(c *Config) { c.Routes[0].Cache, c.Routes[0].CacheMaxAge = 1<<20, 0 }, "cache_max_age: 0: nothing would be kept"},
	"once answer":   {func(c *Config) { c.Routes[0].OnceAnswer = -1 }, "once_answer"},
	"same path":     {func(c *Config) { second(c).Path = "/ws" }, `route[2].path: "/ws" is the path of route[1] too`},
	"same path and host": {func(c *Config) {
		c.Routes[0].Host = []string{"Example.com"}
		r := second(c)
		r.Path, r.Host = "/ws", []string{"b.example", "example.com"}
	}, "is the path of route[1] too"},
	"negative":       {func(c *Config) { c.Limits.Connections = -1 }, "limits.connections: -1: write at least 0"},
	"burst":          {func(c *Config) { c.Limits.Burst = 0 }, "limits.burst: 0: write at least 1"},
	"few headers":    {func(c *Config) { c.Limits.HandshakeHeaderCount = 3 }, "limits.handshake_header_count: 3: write at least 20, or 0"},
	"accept burst":   {func(c *Config) { c.Limits.AcceptBurst = 0 }, "limits.accept_burst: 0: write at least 1"},
	"backlog":        {func(c *Config) { c.Limits.Backlog = 0 }, "limits.backlog"},
	"small headers":  {func(c *Config) { c.Limits.HandshakeHeaders = 100 }, "limits.handshake_headers"},
	"log level":      {func(c *Config) { c.Log.Level = "verbose" }, "log.level"},
	"log format":     {func(c *Config) { c.Log.Format = "xml" }, "log.format"},
	"listen systemd": {func(c *Config) { c.Listen = []string{"systemd", "systemd"} }, "there twice"},
}

// second adds a route.
func second(c *Config) *Route {
	c.Routes = append(c.Routes, NewRoute("/two", "/srv/app/two.php"))
	return c.Routes[1]
}

func TestRulesAreEnforced(t *testing.T) {
	for name, test := range broken {
		t.Run(name, func(t *testing.T) {
			c := minimal()
			test.change(c)
			err := c.Check()
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			var all *Error
			if errors.As(err, &all) && len(all.Problems) != 1 {
				t.Errorf("got %d problems, want 1: %v", len(all.Problems), err)
			}
		})
	}
}

func TestAllowedValues(t *testing.T) {
	c := minimal()
	c.Listen = []string{":8080", "[::1]:0", "unix:/run/wsfpm/ws.sock", "systemd"}
	c.Admin, c.AdminToken = "0.0.0.0:8081", "0123456789abcdef"
	c.Redis.URL = "redis://user:p%40ss@a:6379,b:6379/0?cluster=true"
	c.Redis.Relays = []Relay{{Pattern: "pub.*", To: "channel:{name}"}, {Pattern: "news*", To: "all"}, {Pattern: "x:ws:*", To: "user:{name}"}}
	r := c.Routes[0]
	r.Path = "/"
	r.Origins = []string{"HTTPS://Example.com:443/", "http://a:8080", "*", "null"}
	r.Host = []string{"Example.COM."}
	r.AnswerStatuses = []string{"4xx", "503"}
	script := NewRoute("/ws/{script}", "")
	script.Root = "/srv/app/ws"
	other := NewRoute("/", "/srv/other.php")
	c.Routes = append(c.Routes, script, other, NewRoute(AnyPath, "/srv/any.php"))
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"https://example.com", "http://a:8080", "*", "null"}; !reflect.DeepEqual(r.Origins, want) {
		t.Errorf("got origins %v, want %v", r.Origins, want)
	}
	if r.Host[0] != "example.com" || r.DocumentRoot != "/srv/app" || script.DocumentRoot != "/srv/app/ws" {
		t.Errorf("got host %v, document roots %q and %q", r.Host, r.DocumentRoot, script.DocumentRoot)
	}
	for _, url := range []string{"redis://h", "rediss://:pw@h:1/2", "unix:///run/redis.sock?db=1", "unix://u:p@/run/r.sock", "redis://s1:1,s2:2/?master_name=m", "embedded", "redis://[::1]:6379"} {
		c.Redis.URL = url
		if err := c.Check(); err != nil {
			t.Errorf("%s: got %v", url, err)
		}
	}
}

func TestTheOnlyPoolIsTheDefault(t *testing.T) {
	c := minimal()
	c.FPM = map[string]*FPM{"ws": NewFPM("", "tcp:FPM.example:9000")}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	pool := c.FPM["ws"]
	if c.Routes[0].FPM != "ws" || pool.Name != "ws" || pool.Network != "tcp" || pool.Addr != "fpm.example:9000" || pool.MaxStreams != 1 {
		t.Errorf("got %q, %+v", c.Routes[0].FPM, pool)
	}
}

func TestTrustedPeers(t *testing.T) {
	c := minimal()
	c.TrustedProxies = []string{"unix", "10.1.2.3/8", "192.0.2.7", "::ffff:198.51.100.0/120", "2001:db8::/32"}
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	trusted := c.Trusted()
	if !trusted.Unix {
		t.Error("unix is not trusted")
	}
	for addr, want := range map[string]bool{
		"10.255.0.1": true, "::ffff:10.0.0.1": true, "11.0.0.1": false, "192.0.2.7": true, "192.0.2.8": false,
		"198.51.100.9": true, "2001:db8::1": true, "2001:db9::1": false,
	} {
		if got := trusted.Contains(netip.MustParseAddr(addr)); got != want {
			t.Errorf("%s: got %v, want %v", addr, got, want)
		}
	}
}

func TestWarnings(t *testing.T) {
	for want, change := range map[string]func(c *Config){
		"put nginx in front":         func(c *Config) { c.Listen = []string{":8080"} },
		"listen_group has no effect": func(c *Config) { c.ListenGroup = "www-data" },
		"admin_token has no effect":  func(c *Config) { c.AdminToken = "0123456789abcdef" },
		"/metrics are open to all":   func(c *Config) { c.Admin = ":8081"; c.AdminToken = "0123456789abcdef" },
		"trusts every peer":          func(c *Config) { c.TrustedProxies = []string{"0.0.0.0/0"} },
		"may be every worker": func(c *Config) {
			p := c.FPM["default"]
			p.MaxConnections, p.Address = 5, "unix:/run/php/php8.2-fpm.sock"
		},
		"max_idle has no effect": func(c *Config) { c.FPM["default"].IdleTimeout = 0 },
		"neither encrypted nor":  func(c *Config) { c.FPM["default"].Address = "tcp:10.0.0.1:9000" },
		"fpm.third: no route uses": func(c *Config) {
			c.FPM["other"], c.FPM["third"] = NewFPM("", "unix:/other"), NewFPM("", "unix:/third")
			c.Routes[0].Spares = []string{"other"}
		},
		"fpm.other: no route uses":  func(c *Config) { c.FPM["other"] = NewFPM("", "unix:/other") },
		"above PHP's post_max_size": func(c *Config) { c.Routes[0].MessageLimit = 16 << 20 },
		"can be guessed":            func(c *Config) { c.Admin, c.AdminToken = "127.0.0.1:8081", "short" },
		"limits.outbound_memory":    func(c *Config) { c.Limits.OutboundMemory = 1 << 20 },
		"cannot be received":        func(c *Config) { c.Limits.InboundMemory = 1 << 10 },
		"do not end in .php":        func(c *Config) { c.Routes[0].Script = "/srv/ws.phtml" },
		"the longest silence":       func(c *Config) { c.Routes[0].StreamTimeout = 1 },
		"is given up":               func(c *Config) { c.Limits.PongTimeout = Duration(time.Minute) },
		"never in production":       func(c *Config) { c.Routes[0].Dev = true },
		"counts as a success":       func(c *Config) { c.Routes[0].DetectPHPErrors = false },
		"any web page can connect":  func(c *Config) { c.Routes[0].Origins = []string{"*"} },
		"every sandboxed page":      func(c *Config) { c.Routes[0].Origins = []string{"null"} },
		"public has no effect":      func(c *Config) { c.Routes[0].Public = true },
		"accept has no effect": func(c *Config) {
			c.Routes[0].Accept, c.Routes[0].Events, c.Routes[0].Public = AcceptHeader, []string{EventMessage}, true
		},
		"cache has no effect":        func(c *Config) { c.Routes[0].Cache, c.Routes[0].Events = 1<<20, []string{EventConnect} },
		`cache_key has no "user"`:    func(c *Config) { c.Routes[0].Cache, c.Routes[0].CacheKey = 1<<20, []string{CacheState} },
		"httpoxy":                    func(c *Config) { c.Routes[0].PassHeaders = []string{"proxy"} },
		"zlib may compress":          func(c *Config) { c.Routes[0].PassHeaders = []string{"Accept-Encoding"} },
		"not below nginx's":          func(c *Config) { c.Limits.PingInterval = Duration(time.Minute) },
		"answer no ping stay":        func(c *Config) { c.Limits.PongTimeout = 0 },
		"lost clients stay":          func(c *Config) { c.Limits.PingInterval = 0 },
		"TimeoutStopSec=135":         func(c *Config) { c.Drain = Duration(2 * time.Minute) },
		"hold a connection for ever": func(c *Config) { c.Limits.HandshakeTimeout = 0 },
		"nothing is relayed":         func(c *Config) { c.Redis.Relays = []Relay{{Pattern: "a*", To: "all"}} },
		"resume has no effect":       func(c *Config) { c.Routes[0].Resume, c.Durable.Keep = true, 0 },
		"is more than durable.keep":  func(c *Config) { c.Routes[0].Resume, c.Durable.Keep = true, Duration(time.Minute) },
		"forgets the ids of messages": func(c *Config) {
			c.Redis.URL, c.Routes[0].Once = redisurl.Embedded, Duration(time.Minute)
		},
		"the embedded server has no password":   func(c *Config) { c.Redis.URL, c.Redis.Listen = redisurl.Embedded, ":6379" },
		"redis.listen: \":6379\" is reachable ": func(c *Config) { c.Redis.URL, c.Redis.Listen = redisurl.Embedded, ":6379" },
	} {
		c := minimal()
		change(c)
		if err := c.Check(); err != nil {
			t.Errorf("%s: %v", want, err)
			continue
		}
		if got := c.Warnings(); len(got) != 1 || !strings.Contains(got[0], want) {
			t.Errorf("got %q, want one with %q", got, want)
		}
	}
	c := minimal()
	if err := c.Check(); err != nil {
		t.Fatal(err)
	}
	if got := c.Warnings(); len(got) != 0 {
		t.Errorf("got %q for a plain configuration, want none", got)
	}
}

func TestASmallPushLimitLowersTheDefaultOfRelayedFrames(t *testing.T) {
	for limit, want := range map[Size]Size{4 << 10: 3 << 10, 10: 1, 5 << 10: 4 << 10, 1 << 20: 4 << 10} {
		c := minimal()
		c.Redis.URL, c.Redis.PushLimit, c.Durable.Memory = "redis://h", limit, 4<<20
		if err := c.Check(); err != nil || c.Limits.RelayFrame != want {
			t.Errorf("push_limit %v: relay_frame is %v, %v, want %v", limit, c.Limits.RelayFrame, err, want)
		}
	}
	c := minimal()
	c.Limits.RelayFrame = 2 << 20
	if err := c.Check(); err != nil {
		t.Errorf("without Redis: %v", err)
	}
}
