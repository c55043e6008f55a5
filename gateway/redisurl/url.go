package redisurl

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// want describes the accepted forms.
const want = `write "redis://host:6379/0", "rediss://…" for TLS, "unix:///path/of/redis.sock", "` + Embedded + `", or "" for none`

// Embedded is written in place of a URL for a Redis-compatible server inside the process,
// for development. [Parse] does not accept it.
const Embedded = "embedded"

// errEscape is the error for everything that a password with missing escapes may cause.
var errEscape = errors.New("has a character that must be escaped, probably in the password: " +
	"/ is %2F, ? is %3F, # is %23, @ is %40, % is %25, a space is %20")

// Kind is the kind of Redis deployment.
type Kind uint8

// The kinds of Redis.
const (
	Single   Kind = iota // one Redis
	Cluster              // ?cluster=true
	Sentinel             // the master of a group, ?master_name=…
)

// URL is a parsed and checked URL of a Redis. It is immutable.
type URL struct {
	Kind Kind

	scheme string
	user   *url.Userinfo // nil without any
	hosts  []string      // {""} for a unix socket
	path   string        // the database, or the path of the socket
	query  url.Values    // without cluster=true
}

// Parse parses and checks a URL.
func Parse(raw string) (*URL, error) {
	scheme, rest, found := strings.Cut(raw, "://")
	if !found || !slices.Contains([]string{"redis", "rediss", "unix"}, scheme) {
		return nil, errors.New("has another scheme: " + want)
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	authority, tail := rest[:end], rest[end:]
	// An @ is part of a file's name only where no password can be.
	if strings.Contains(tail, "#") || strings.Contains(tail, "@") && (scheme != "unix" || authority != "") {
		return nil, errEscape
	}
	at := strings.LastIndexByte(authority, '@') + 1
	path, query, _ := strings.Cut(tail, "?")
	u := &URL{scheme: scheme, hosts: strings.Split(authority[at:], ",")}
	if at > 0 {
		parsed, err := url.Parse("redis://" + authority[:at] + "h")
		if err != nil {
			return nil, errEscape
		}
		u.user = parsed.User
	}
	return u, u.fill(path, query)
}

// fill parses the part after the hosts, and checks the URL.
func (u *URL) fill(path, query string) (err error) {
	if u.query, err = url.ParseQuery(query); err != nil {
		return errors.New("has a parameter with a character that must be escaped, such as % as %25")
	}
	if u.path, err = url.PathUnescape(path); err != nil {
		return errEscape
	}
	if u.scheme == "unix" {
		if u.hosts[0] != "" || len(u.hosts) > 1 || !strings.HasPrefix(u.path, "/") {
			return errors.New("has no absolute path: " + want)
		}
		return u.checkQuery()
	}
	if err := u.checkKind(); err != nil {
		return err
	}
	for i, host := range u.hosts {
		err := checkHost(host, i > 0)
		if err != nil && len(u.hosts) > 1 {
			return fmt.Errorf("host %d of %d: %w", i+1, len(u.hosts), err)
		}
		if err != nil {
			return err
		}
	}
	if db := strings.Trim(u.path, "/"); db != "" && !isNumber(db) {
		return errors.New("the database is no number: " + want)
	}
	return u.checkQuery()
}

// checkKind sets u.Kind.
func (u *URL) checkKind() error {
	cluster, isCluster := u.query["cluster"]
	master, isSentinel := u.query["master_name"]
	switch {
	case isCluster && !slices.Equal(cluster, []string{"true"}):
		return errors.New(`cluster=: want "true", or leave it out`)
	case isCluster:
		u.Kind = Cluster
		delete(u.query, "cluster")
	case isSentinel && master[0] == "":
		return errors.New("master_name= is empty: write the name that the Sentinels have for the group")
	case isSentinel:
		u.Kind = Sentinel
	case len(u.hosts) > 1:
		return errors.New("has several hosts: add ?cluster=true, or ?master_name=… for Sentinels")
	}
	return nil
}

// checkHost checks one host, whose port is required in a list.
func checkHost(host string, port bool) error {
	if host == "" {
		return errors.New(`"" is no host: ` + want)
	}
	u, err := url.Parse("redis://" + host)
	if err == nil && strings.Contains(u.Hostname(), ":") && host[0] != '[' {
		return errors.New("an IPv6 address needs brackets: write [::1] or [::1]:6379")
	}
	if err != nil || u.Hostname() == "" || u.Host != host || !splits(host, u.Port()) {
		return errors.New("the host is none, or has a character that must be escaped: write a name or an address, and a port")
	}
	if n, err := strconv.ParseUint(u.Port(), 10, 16); u.Port() != "" && (err != nil || n == 0) {
		return errors.New("the port is invalid: write a number from 1 to 65535")
	}
	if port && u.Port() == "" {
		return errors.New("the address lacks its port: write host:port for each of several hosts")
	}
	return nil
}

// splits reports whether go-redis can tell host and port: package url bears brackets that
// package net does not.
func splits(host, port string) bool {
	if port == "" {
		host = strings.TrimSuffix(host, ":") + ":6379"
	}
	_, _, err := net.SplitHostPort(host)
	return err == nil
}

func isNumber(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && strconv.FormatUint(n, 10) == s
}

// String returns the URL without user, password and parameters, for logs.
func (u *URL) String() string {
	show := u.scheme + "://"
	if u.user != nil {
		show += "…@"
	}
	show += strings.Join(u.hosts, ",") + u.path
	if len(u.query) > 0 || u.Kind == Cluster {
		show += "?…"
	}
	return show
}

// Full returns the URL with its secrets, in the form of go-redis: one host, the others as
// addr parameters, and without what [URL.TLS] returns.
func (u *URL) Full() string {
	query := maps.Clone(u.query)
	for name := range secure {
		delete(query, name)
	}
	for _, host := range u.hosts[1:] {
		query.Add("addr", host)
	}
	full := url.URL{Scheme: u.scheme, User: u.user, Host: u.hosts[0], Path: u.path, RawQuery: query.Encode()}
	return full.String()
}
