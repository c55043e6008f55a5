package redisurl

import (
	"reflect"
	"strings"
	"testing"
)

func TestShownURLs(t *testing.T) {
	for _, test := range []struct{ raw, shown string }{
		{"redis://h", "redis://h"},
		{"rediss://app:secret@h:6380/2", "rediss://…@h:6380/2"},
		{"redis://:se@cret@h", "redis://…@h"},
		{"redis://u:p%2F%3F%23@[::1]:6379/0?client_name=secret", "redis://…@[::1]:6379/0?…"},
		{"redis://[::1]", "redis://[::1]"},
		{"redis://[::1]:1,[2001:db8::1]:2?master_name=m", "redis://[::1]:1,[2001:db8::1]:2?…"},
		{"redis://u:secret@a:1,b:2/?cluster=true", "redis://…@a:1,b:2/?…"},
		{"redis://s1:1,s2:2?master_name=m&password=secret", "redis://s1:1,s2:2?…"},
		{"unix:///run/a@b.sock", "unix:///run/a@b.sock"},
		{"unix://u:secret@/run/r.sock?db=1", "unix://…@/run/r.sock?…"},
	} {
		u, err := Parse(test.raw)
		if err != nil {
			t.Errorf("%s: %v", test.raw, err)
			continue
		}
		if u.String() != test.shown {
			t.Errorf("%s: got %s, want %s", test.raw, u, test.shown)
		}
		if u.Kind == Cluster {
			continue // in go-redis' form nothing says so
		}
		if again, err := Parse(u.Full()); err != nil || again.Full() != u.Full() {
			t.Errorf("%s: %s is read again as %v, %v", test.raw, u.Full(), again, err)
		}
	}
}

func TestRefusedURLsSayWhy(t *testing.T) {
	for _, test := range []struct{ raw, why string }{
		{"secret", "another scheme"},
		{"http://secret@h", "another scheme"},
		{"redis://:secret/x@h:6379", "must be escaped"},
		{"redis://app:secret?x@h:6379", "must be escaped"},
		{"redis://:secret#x@h:6379", "must be escaped"},
		{"redis://app:12/secret@h:6379", "must be escaped"},
		{"redis://app:12/secret@h:6379/?cluster=true", "must be escaped"},
		{"redis://:sec ret@h", "must be escaped"},
		{"redis://:sec%ret@h", "must be escaped"},
		{"unix://:secret/x@/run/r.sock", "must be escaped"},
		{"unix://:secret/x", "no absolute path"},
		{"unix:///run/r.sock#secret", "must be escaped"},
		{"unix://redis.sock", "no absolute path"},
		{"redis://:secret", "the host is none"},
		{"redis://u:p@", `"" is no host`},
		{"redis://h:70000", "a number from 1 to 65535"},
		{"redis://::1", "an IPv6 address needs brackets"},
		{"redis://2001:db8::1:6379", "an IPv6 address needs brackets"},
		{"redis://0:1,::1?master_name=m", "host 2 of 2: an IPv6 address needs brackets"},
		{"redis://h:1?cluster=true&addr=::1", "parameter addr: write host:port"},
		{"redis://0:1,]:1?cluster=true", "host 2 of 2: the host is none"},
		{"redis://h]", "the host is none"},
		{"redis://a:1,b:2", "several hosts"},
		{"redis://a:1,b?cluster=true", "host 2 of 2: the address lacks its port"},
		{"redis://h/secret", "the database is no number"},
		{"redis://h/-1", "the database is no number"},
		{"redis://h?cluster=secret", "cluster="},
		{"redis://h?master_name=", "master_name="},
		{"redis://h?colour=secret", "unknown parameter: colour"},
		{"redis://h?Secret1", "unknown parameter"},
		{"redis://h?master_name=m&password=a&secret", "unknown parameter"},
		{"redis://h?skip_verify=1", "parameter skip_verify is for TLS: write rediss://"},
		{"unix:///run/r.sock?cacert=/secret", "parameter cacert is for TLS: write rediss://"},
		{"rediss://h?cacert=secret.pem", "parameter cacert: write the absolute path"},
		{"rediss://h?cacert=", "parameter cacert: write the absolute path"},
		{"rediss://h?cacert=/secret&cacert=/b", "parameter cacert is there twice"},
		{"rediss://h?cert=/secret", "cert and key need each other"},
		{"rediss://a:1,b:2?master_name=m&key=/secret", "cert and key need each other"},
		{"redis://h?pool_size=-1", "parameter pool_size: write a whole number"},
		{"redis://h?read_timeout=secret", "parameter read_timeout: write a duration"},
		{"redis://h?pool_fifo=secret", "parameter pool_fifo: write"},
		{"redis://h?idle_timeout=1&conn_max_idle_time=1", "former name"},
		{"redis://h?master_name=m&addr=secret", "parameter addr: write host:port"},
		{"redis://h?master_name=m&route_by_latency=true", "unknown parameter: route_by_latency"},
		{"redis://h?client_name=%zzsecret", "must be escaped"},
	} {
		u, err := Parse(test.raw)
		switch {
		case err == nil:
			t.Errorf("%s: is read as %s", test.raw, u)
		case !strings.Contains(err.Error(), test.why):
			t.Errorf("%s: got %q, want %q", test.raw, err, test.why)
		case strings.Contains(strings.ToLower(err.Error()), "secret"):
			t.Errorf("%s: %q shows a part of it", test.raw, err)
		}
	}
}

func TestTLS(t *testing.T) {
	for raw, want := range map[string]*TLS{
		"redis://h":                      nil,
		"unix:///run/r.sock":             nil,
		"rediss://h":                     {Hosts: []string{"h"}},
		"rediss://[::1]:1?skip_verify=1": {Hosts: []string{"::1"}, SkipVerify: true},
		"rediss://a:1,[::1]:2,a:3?cluster=true&cacert=/ca.pem":  {Hosts: []string{"a", "::1"}, CA: "/ca.pem"},
		"rediss://a:1?cluster=true&addr=b:2&skip_verify=true":   {Hosts: []string{"a", "b"}, SkipVerify: true},
		"rediss://a:1?master_name=m&cert=/c%20c&key=/k":         {Hosts: []string{"a"}, Cert: "/c c", Key: "/k"},
		"rediss://a:1?master_name=m&skip_verify=&cacert=/ca":    {Hosts: []string{"a"}, CA: "/ca"},
		"rediss://a:1?master_name=m&skip_verify=false&addr=b:1": {Hosts: []string{"a", "b"}},
	} {
		u, err := Parse(raw)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := u.TLS(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", raw, got, want)
		}
		for name := range secure {
			if strings.Contains(u.Full(), name+"=") {
				t.Errorf("%s: go-redis gets %s", raw, u.Full())
			}
		}
	}
}

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"":            "",
		"no URL, a@b": "no URL, a@b",
		`want x, got "redis://u:a/b@c@h:1"` + "\nredis://h\n": `want x, got "redis://…@h:1"` + "\nredis://h\n",
	} {
		if got := Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// FuzzParse puts any text into the place of the password, as it is. Whatever
// becomes of the URL, no part of the password is shown.
func FuzzParse(f *testing.F) {
	const mark = "hush" // around the text, so that it is known again
	for _, password := range []string{"", "/x", "?x", "#x", "@", "%", "%zz", " ", ":", ",", "[", "/0?x=", "\n", "1/2", "?cluster=true", "\x00", "//", "@/", "&", "&x="} {
		for shape := range uint8(8) {
			f.Add(password, shape)
		}
	}
	shapes := []string{"redis://:*@h:6379", "rediss://app:*@h:6379/0", "redis://*@h", "redis://app:*@a:1,b:2/?cluster=true",
		"redis://:*@a:1,b:2?master_name=m", "redis://a:1?master_name=m&password=*", "unix://u:*@/run/r.sock?db=1", "redis://app:1*@h"}
	f.Fuzz(func(t *testing.T, password string, shape uint8) {
		raw := strings.Replace(shapes[int(shape)%len(shapes)], "*", password+mark, 1)
		u, err := Parse(raw)
		if err != nil && strings.Contains(err.Error(), mark) || err == nil && strings.Contains(u.String(), mark) {
			t.Fatalf("%q: shows the password: %v, %v", raw, u, err)
		}
		raw = strings.Replace(shapes[int(shape)%len(shapes)], "*", mark+password, 1)
		u, err = Parse(raw)
		if err != nil && strings.Contains(err.Error(), mark) || err == nil && strings.Contains(u.String(), mark) {
			t.Fatalf("%q: shows the password: %v, %v", raw, u, err)
		}
		if err == nil && u.Kind != Cluster {
			if _, err := Parse(u.Full()); err != nil {
				t.Fatalf("%q is not read again: %v", u.Full(), err)
			}
		}
	})
}
