package config

import (
	"os"
	"testing"
)

func FuzzLoad(f *testing.F) {
	full, err := os.ReadFile("testdata/full.toml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(full))
	f.Add(route)
	f.Add("[fpm.\"a.b\"]\naddress = \"unix:/x\"\n[fpm.\"[\"]\n[[fpm]]\n")
	f.Add("route = [{}, 1, {path = \"\"}]\n[redis]\nrelay = [{}]\nprefix = []\nurl = \"redis://%\"")
	f.Fuzz(func(t *testing.T, doc string) {
		c, err := load(Source{}, []byte(doc))
		if (c == nil) == (err == nil) {
			t.Fatalf("got %v and %v, want one of them", c, err)
		}
		if err != nil {
			_ = err.Error()
			return
		}
		c.Warnings()
		if err := c.Check(); err != nil {
			t.Fatalf("checked once: valid; checked twice: %v", err)
		}
	})
}
