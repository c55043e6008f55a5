package config

import (
	"testing"
	"time"
)

func TestDefaultsOfAProgramGiveWayToAllElse(t *testing.T) {
	file := write(t, "drain = \"7s\"\n[[route]]\npath = \"/ws\"\nscript = \"app/ws.php\"\n[[route]]\npath = \"/abs\"\nscript = \"/srv/ws.php\"\n")
	c, err := Load(Source{
		File: file, Environ: []string{"WSFPM_NODE=env"}, Flags: map[string]string{"redis.prefix": "flag:"}, Base: "/base",
		Defaults: map[string]string{"drain": "1s", "node": "default", "redis.prefix": "default:", "disconnect_retry": "2s", "fpm.default.max_idle": "2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	if c.Drain != Duration(7*time.Second) || c.Node != "env" || c.Redis.Prefix[0] != "flag:" || c.DisconnectRetry != Duration(2*time.Second) || c.FPM["default"].MaxIdle != 2 {
		t.Errorf("got %v, %s, %v, %v, %+v", c.Drain, c.Node, c.Redis.Prefix, c.DisconnectRetry, c.FPM["default"])
	}
	if a, b := c.Routes[0].Script, c.Routes[1].Script; a != "/base/app/ws.php" || b != "/srv/ws.php" {
		t.Errorf("got the scripts %s and %s", a, b)
	}
	if _, err := Load(Source{File: file}); err == nil {
		t.Error("a relative script was taken without Base")
	}
}
