package redisurl

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"path"
	"slices"
	"strconv"
	"time"
)

// value is the type of a parameter's value.
type value uint8

const (
	text     value = iota + 1
	number         // a whole number, not negative
	size           // a number, or -1 for none
	duration       // in Go's syntax, or whole seconds
	boolean
	address // host:port
	file    // an absolute path
)

// most is the largest number in a parameter: some are sizes that are allocated at once.
const most = 1 << 20

// common are the go-redis parameters of all kinds.
var common = map[string]value{
	"client_name": text, "protocol": number, "max_retries": size,
	"min_retry_backoff": duration, "max_retry_backoff": duration,
	"dial_timeout": duration, "read_timeout": duration, "write_timeout": duration,
	"pool_fifo": boolean, "pool_size": number, "pool_timeout": duration,
	"min_idle_conns": number, "max_idle_conns": number, "max_active_conns": number, "max_concurrent_dials": number,
	"pipeline_pool_size": size, "pipeline_read_buffer_size": number, "pipeline_write_buffer_size": number,
	"conn_max_idle_time": duration, "conn_max_lifetime": duration, "conn_max_lifetime_jitter": duration,
}

// special are the parameters of a single kind.
var special = map[Kind]map[string]value{
	Single: {"db": number, "idle_timeout": duration, "max_conn_age": duration},
	Cluster: {
		"addr": address, "max_redirects": size, "read_only": boolean, "route_by_latency": boolean, "route_by_latency_tolerance": duration,
		"route_randomly": boolean, "dialer_retries": number, "dialer_retry_timeout": duration, "failing_timeout_seconds": number,
	},
	Sentinel: {
		"addr": address, "master_name": text, "username": text, "password": text, "db": number,
		"replica_only": boolean, "use_disconnected_replicas": boolean, "dialer_retries": number, "dialer_retry_timeout": duration,
		"context_timeout_enabled": boolean, "disableIdentity": boolean, "identitySuffix": text, "unstable_resp3": boolean,
	},
}

// older maps former names to present ones; a URL may have only one of the two.
var older = map[string]string{"idle_timeout": "conn_max_idle_time", "max_conn_age": "conn_max_lifetime"}

// form returns the type of a parameter's value, 0 if the parameter is unknown.
func (u *URL) form(name string) value {
	if form := common[name]; form != 0 {
		return form
	}
	if form := secure[name]; form != 0 {
		return form
	}
	return special[u.Kind][name]
}

func (u *URL) checkQuery() error {
	if err := u.checkTLS(); err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(u.query)) {
		form := u.form(name)
		if form == 0 {
			return fmt.Errorf("has an unknown parameter%s", u.shown(name))
		}
		for _, v := range u.query[name] {
			if err := form.check(v); err != nil {
				return fmt.Errorf("parameter %s: %w", name, err)
			}
		}
		if now, isOld := older[name]; isOld && u.query.Has(now) {
			return fmt.Errorf("parameter %s is the former name of %s, which is set too: leave it out", name, now)
		}
	}
	return nil
}

// shown returns an unknown parameter's name for an error text, if it looks like a name and
// cannot be part of a password.
func (u *URL) shown(name string) string {
	if u.query.Has("password") {
		return ""
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && c != '_' {
			return ""
		}
	}
	return ": " + name
}

// check returns an error that does not contain the value.
func (form value) check(v string) error {
	switch form {
	case number, size:
		n, err := strconv.Atoi(v)
		if v != "" && (err != nil || n > most || n < 0 && (form == number || n != -1)) {
			return fmt.Errorf("write a whole number from 0 to %d", most)
		}
	case duration:
		_, err := time.ParseDuration(v)
		if _, isNumber := strconv.Atoi(v); v != "" && err != nil && isNumber != nil {
			return errors.New(`write a duration, such as "5s"`)
		}
	case boolean:
		if !slices.Contains([]string{"true", "false", "1", "0", ""}, v) {
			return errors.New(`write "true" or "false"`)
		}
	case file:
		if !path.IsAbs(v) {
			return errors.New("write the absolute path of a file")
		}
	case address:
		if _, _, err := net.SplitHostPort(v); err != nil {
			return errors.New("write host:port")
		}
		return checkHost(v, true)
	}
	return nil
}
