package main

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// tool finds a program under one of the names, which may be patterns.
func tool(names ...string) (string, error) {
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
		if found, _ := filepath.Glob(name); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed: run scripts/bench", names[0])
}

func isRoot() bool { return os.Geteuid() == 0 }

// write puts a configuration into the lab's folder and returns its path.
func (l *lab) write(name, text string) (string, error) {
	path := filepath.Join(l.dir, name)
	return path, os.WriteFile(path, []byte(text), 0o644)
}

// fill puts values in the place of {names} in a configuration.
func fill(text string, namesAndValues ...string) string {
	for i := 0; i < len(namesAndValues); i += 2 {
		namesAndValues[i] = "{" + namesAndValues[i] + "}"
	}
	return strings.NewReplacer(namesAndValues...).Replace(text)
}

const fpmConfig = `[global]
error_log = {dir}/fpm-error.log
daemonize = no
[www]
{user}
listen = {dir}/fpm.sock
listen.backlog = 511
pm = static
pm.max_children = {workers}
pm.status_path = /status
pm.status_listen = {dir}/status.sock
catch_workers_output = no
php_admin_flag[log_errors] = on
php_admin_flag[display_errors] = off
php_admin_flag[opcache.enable] = on
php_admin_value[output_buffering] = 65536
`

// startFPM runs the pool: static workers on a unix socket, opcache on.
func (l *lab) startFPM() error {
	binary, err := tool("php-fpm", "/usr/sbin/php-fpm[0-9]*", "/usr/local/sbin/php-fpm*")
	if err != nil {
		return err
	}
	l.socket, l.status = filepath.Join(l.dir, "fpm.sock"), filepath.Join(l.dir, "status.sock")
	user, args := "", []string{"--nodaemonize"}
	if isRoot() {
		user, args = "user = root\ngroup = root", append(args, "--allow-to-run-as-root")
	}
	file, err := l.write("fpm.conf", fill(fpmConfig, "dir", l.dir, "user", user, "workers", fmt.Sprint(workers)))
	if err != nil {
		return err
	}
	if l.php, err = l.start("php-fpm", exec.Command(binary, append(args, "--fpm-config", file)...)); err != nil {
		return err
	}
	return l.php.await("unix", l.status)
}

// redisServer is a running Redis.
type redisServer struct{ address string }

// startRedis runs a Redis that keeps nothing.
func (l *lab) startRedis() error {
	binary, err := tool("redis-server")
	if err != nil {
		return err
	}
	address, err := freeAddress()
	if err != nil {
		return err
	}
	p, err := l.start("redis", exec.Command(binary, "--bind", "127.0.0.1", "--port", portOf(address), "--dir", l.dir,
		"--save", "", "--appendonly", "no", "--client-output-buffer-limit", "pubsub 256mb 256mb 60"))
	if err != nil {
		return err
	}
	l.redis = &redisServer{address}
	return p.await("tcp", address)
}

// server is something that answers clients, with what its CPU is counted by.
type server struct {
	*process
	address string
	admin   string // wsfpm's socket for operators
	unix    string // wsfpm's socket for clients behind nginx
}

// pids are the processes of the server, none of a nil one.
func (s *server) pids() []int {
	if s == nil {
		return nil
	}
	return tree(s.pid())
}

// gatewayOptions says how a wsfpm differs from the usual one of a run.
type gatewayOptions struct {
	name    string
	workers int           // max_connections, 0: all
	ping    time.Duration // ping_interval, 0: the default
	alone   bool          // no Redis
	prefix  string        // of the names in Redis, "": the default
}

const gatewayConfig = `node = "{name}"
listen = ["{listen}", "unix:{unix}"]
admin = "unix:{admin}"
drain = "1s"
[fpm.default]
address = "unix:{socket}"
max_connections = {workers}
max_idle = {workers}
idle_timeout = "300ms"
pool_share = 1.0
[redis]
url = "{redis}"
prefix = "{prefix}"
[limits]
connections_per_address = 0
accept_rate = 0
messages_per_second = 1000000
burst = 1000000
{ping}
[log]
level = "warn"
format = "json"
[[route]]
path = "/{script}"
root = "{php}"
[[route]]
path = "/ws/{script}"
root = "{php}"
`

// startGateway runs wsfpm. It gives PHP workers back after 300 ms, so that the
// next peer's turn comes soon.
func (l *lab) startGateway(o gatewayOptions) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	if o.workers == 0 {
		o.workers = workers
	}
	redis, ping := "redis://"+l.redis.address+"/0", ""
	if o.alone {
		redis = ""
	}
	if o.ping > 0 {
		ping = fmt.Sprintf("ping_interval = %q", o.ping)
	}
	admin, unix := filepath.Join(l.dir, o.name+".sock"), filepath.Join(l.dir, o.name+".ws")
	file, err := l.write(o.name+".toml", fill(gatewayConfig, "name", o.name, "listen", address, "unix", unix, "admin", admin,
		"socket", l.socket, "workers", fmt.Sprint(o.workers), "redis", redis, "prefix", cmp.Or(o.prefix, "ws:"), "ping", ping, "php", filepath.Join(l.dir, "php")))
	if err != nil {
		return nil, err
	}
	p, err := l.start(o.name, exec.Command(l.binary, "serve", "--config", file))
	if err != nil {
		return nil, err
	}
	return &server{p, address, admin, unix}, p.await("tcp", address)
}

const nginxConfig = `daemon off;
{user}
{modules}
worker_processes {processes};
pid {dir}/{name}.pid;
error_log {dir}/{name}-error.log warn;
events { worker_connections {slots}; }
http {
    access_log off;
    client_body_temp_path {dir}/{name}-body;
    proxy_temp_path {dir}/{name}-proxy;
    fastcgi_temp_path {dir}/{name}-fastcgi;
    uwsgi_temp_path {dir}/{name}-uwsgi;
    scgi_temp_path {dir}/{name}-scgi;
    keepalive_requests 100000000;
    upstream php {
        server unix:{socket};
        {keepalive}
    }
    server {
        listen {listen} backlog=4096;
        root {dir}/php;
        location / {
            fastcgi_pass php;
            fastcgi_keep_conn {keep};
            fastcgi_param SCRIPT_FILENAME $document_root$fastcgi_script_name;
            include {dir}/fastcgi_params;
        }
        {lua}
    }
}
`

// nginxParams is the file that nginx delivers for fastcgi_param.
const nginxParams = `fastcgi_param QUERY_STRING $query_string;
fastcgi_param REQUEST_METHOD $request_method;
fastcgi_param CONTENT_TYPE $content_type;
fastcgi_param CONTENT_LENGTH $content_length;
fastcgi_param SCRIPT_NAME $fastcgi_script_name;
fastcgi_param REQUEST_URI $request_uri;
fastcgi_param DOCUMENT_URI $document_uri;
fastcgi_param DOCUMENT_ROOT $document_root;
fastcgi_param SERVER_PROTOCOL $server_protocol;
fastcgi_param REQUEST_SCHEME $scheme;
fastcgi_param GATEWAY_INTERFACE CGI/1.1;
fastcgi_param SERVER_SOFTWARE nginx/$nginx_version;
fastcgi_param REMOTE_ADDR $remote_addr;
fastcgi_param REMOTE_PORT $remote_port;
fastcgi_param SERVER_ADDR $server_addr;
fastcgi_param SERVER_PORT $server_port;
fastcgi_param SERVER_NAME $server_name;
fastcgi_param REDIRECT_STATUS 200;
`

// nginxOptions says how an nginx differs from the usual one of a run.
type nginxOptions struct {
	name      string
	keep      bool // FastCGI connections are kept, for 100 ms: a kept one holds a PHP worker
	lua       bool // it is a WebSocket server too, at /lua
	processes int  // 0: one for each CPU
}

// startNginx runs an nginx in front of PHP-FPM.
func (l *lab) startNginx(o nginxOptions) (*server, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	keepalive, on, modules, lua, processes := "", "off", "", "", "auto"
	if o.keep {
		keepalive, on = fmt.Sprintf("keepalive %d; keepalive_timeout 100ms;", workers), "on"
	}
	if o.lua {
		modules, lua = luaModules, fill(luaLocations, "dir", l.dir, "keep", on)
	}
	if o.processes > 0 {
		processes = fmt.Sprint(o.processes)
	}
	return l.runNginx(o.name, address, fill(nginxConfig, "dir", l.dir, "name", o.name, "socket", l.socket, "keepalive", keepalive, "keep", on,
		"listen", address, "modules", modules, "lua", lua, "processes", processes, "slots", fmt.Sprint(4096+2*l.o.idle)))
}

// runNginx runs an nginx with a configuration, whose {user} is still open.
func (l *lab) runNginx(name, address, config string) (*server, error) {
	binary, err := tool("nginx", "/usr/sbin/nginx")
	if err != nil {
		return nil, err
	}
	user := ""
	if isRoot() {
		user = "user root;"
	}
	if _, err := l.write("fastcgi_params", nginxParams); err != nil {
		return nil, err
	}
	file, err := l.write(name+".conf", fill(config, "user", user))
	if err != nil {
		return nil, err
	}
	p, err := l.start(name, exec.Command(binary, "-p", l.dir, "-c", file, "-e", "stderr"))
	if err != nil {
		return nil, err
	}
	return &server{process: p, address: address}, p.await("tcp", address)
}
