package redisurl

import (
	"errors"
	"net/url"
	"slices"
)

// TLS describes the TLS of a rediss:// URL.
type TLS struct {
	// Hosts are the names and addresses of the URL, without ports. A server that a Sentinel
	// or a Cluster names by another address may have a certificate for one of them.
	Hosts []string
	// CA is a PEM file with the authorities to trust in place of the system's, "" for those.
	CA string
	// Cert and Key are PEM files with the client's certificate and its key, or "".
	Cert, Key string
	// SkipVerify takes any certificate.
	SkipVerify bool
}

// secure are the parameters of rediss:// URLs, which go-redis does not get. The names of the
// files are those of redis-cli's options.
var secure = map[string]value{"cacert": file, "cert": file, "key": file, "skip_verify": boolean}

// TLS returns nil for a URL without TLS.
func (u *URL) TLS() *TLS {
	if u.scheme != "rediss" {
		return nil
	}
	t := &TLS{CA: u.query.Get("cacert"), Cert: u.query.Get("cert"), Key: u.query.Get("key")}
	t.SkipVerify = slices.Contains([]string{"true", "1"}, u.query.Get("skip_verify"))
	for _, host := range slices.Concat(u.hosts, u.query["addr"]) {
		name := (&url.URL{Host: host}).Hostname()
		if !slices.Contains(t.Hosts, name) {
			t.Hosts = append(t.Hosts, name)
		}
	}
	return t
}

// checkTLS checks what the parameters of TLS need.
func (u *URL) checkTLS() error {
	for name := range secure {
		if u.query.Has(name) && u.scheme != "rediss" {
			return errors.New("parameter " + name + " is for TLS: write rediss://")
		}
		if len(u.query[name]) > 1 {
			return errors.New("parameter " + name + " is there twice")
		}
	}
	if (u.query.Get("cert") == "") != (u.query.Get("key") == "") {
		return errors.New("parameters cert and key need each other: write both, or none for no certificate of the client")
	}
	return nil
}
