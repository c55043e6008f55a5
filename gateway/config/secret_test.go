package config

import (
	"fmt"
	"strings"
	"testing"
)

// told is all that a configuration makes this program say.
func told(from Source, doc string) string {
	c, err := load(from, []byte(doc))
	if err != nil {
		return err.Error()
	}
	return strings.Join(c.Warnings(), "\n")
}

func TestNoPlaceOfAConfigurationShowsAPassword(t *testing.T) {
	const secret = "hush"
	for _, password := range []string{"hush", "hush/x", "a/hush", "?hush", "hush#", "h@hush", "hush hush", "hush%zz", "hush\"", strings.Repeat("hush", 30)} {
		url := "redis://app:" + password + "@127.0.0.1:6379"
		for i, form := range []string{
			"redis = %q", "[redis]\nurl = [%q]", "[redis]\nurl = %s", "[redis]\nurl = %q x", "[redis]\nurl = \"%s", "[redis]\nprefix = %q",
			"[redis]\nurl = %q\nurl = %[1]q", "%q = 1", "[%q]", "[redis]\n%s", "listen = [%q]", "[[redis.relay]]\npattern = %q\nto = %[1]q",
			"trusted_proxies = [%q]", "[[route]]\npath = %q\nscript = %[1]q\nhost = [%[1]q]\norigins = [%[1]q]\nparams = { %[1]q = %[1]q }",
			"[redis]\nurl = '%s'\r", "[redis]\nurl = '''\n%s\n", "[fpm.%q]",
		} {
			if got := told(Source{}, fmt.Sprintf(form, url)); got == "" || strings.Contains(got, secret) {
				t.Errorf("form %d, %s: got %s", i, url, got)
			}
		}
		for _, key := range Default().scalarKeys() {
			for _, from := range []Source{{Flags: map[string]string{key: url}}, {Environ: []string{EnvName(key) + "=" + url}}} {
				if got := told(from, route); strings.Contains(got, secret) {
					t.Errorf("%s = %s: got %s", key, url, got)
				}
			}
		}
	}
}

func TestATokenOfDigitsIsNotShown(t *testing.T) {
	if got := told(Source{}, "admin_token = 20261128\n"+route); !strings.Contains(got, "admin_token: want a string") || strings.Contains(got, "20261128") {
		t.Errorf("got %s", got)
	}
}
