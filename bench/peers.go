package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// cacheDir is where scripts/bench puts the peers that Debian does not package.
func cacheDir() string {
	dir, _ := os.UserCacheDir() // "" without a home: nothing is found there
	return filepath.Join(dir, "wsfpm-bench")
}

// rival is a WebSocket server that a site may choose instead of wsfpm.
type rival struct {
	name, id, path string
	installed      bool
	fewer          int // a growth is measured by as many times fewer messages
	// start runs it, with a number of processes or as many as there are CPUs,
	// and what it asks for each message, if that is not PHP-FPM.
	start func(id string, processes int) (front, between *server, err error)
}

// rivals are those that are installed here. The others are named.
func (l *lab) rivals() []rival {
	return slices.DeleteFunc(l.allRivals(), func(v rival) bool {
		if !v.installed {
			fmt.Fprintf(os.Stderr, "%s is left out: it is not installed, see scripts/bench\n", v.name)
		}
		return !v.installed
	})
}

func (l *lab) allRivals() []rival {
	lua := func(keep bool) func(string, int) (*server, *server, error) {
		return func(id string, processes int) (*server, *server, error) {
			s, err := l.startNginx(nginxOptions{name: id, keep: keep, lua: true, processes: processes})
			return s, nil, err
		}
	}
	return []rival{
		{"nginx + Lua", "lua", "/lua", hasLua(), 50, lua(false)},
		{"nginx + Lua, kept connections", "lua-kept", "/lua", hasLua(), 0, lua(true)},
		{"Node with ws", "node", "/", hasNode(), 5, l.startNode},
		{"Pushpin", "pushpin", "/pushpin.php", hasPushpin(), 0, l.startPushpin},
	}
}

const luaModules = `load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;
`

// luaLocations are nginx's WebSocket server, what it asks of PHP, and the size
// of the process's Lua heap in KB.
const luaLocations = `location = /lua { content_by_lua_file {dir}/peers/echo.lua; }
        location = /lua-heap { content_by_lua_block { ngx.print(collectgarbage("count")) } }
        location = /php {
            internal;
            fastcgi_pass php;
            fastcgi_keep_conn {keep};
            fastcgi_param SCRIPT_FILENAME {dir}/php/echo.php;
            include {dir}/fastcgi_params;
        }
`

// hasLua reports whether nginx's Lua module and its WebSocket library are there.
func hasLua() bool {
	for _, file := range []string{"/usr/lib/nginx/modules/ngx_http_lua_module.so", "/usr/share/lua/5.1/nginx/websocket/server.lua"} {
		if _, err := os.Stat(file); err != nil {
			return false
		}
	}
	return true
}

// hasNode reports whether Node and ws are there.
func hasNode() bool {
	_, err := os.Stat(filepath.Join(cacheDir(), "node_modules", "ws"))
	_, found := exec.LookPath("node")
	return err == nil && found == nil
}

// startNode runs a WebSocket server of Node that asks an nginx for each message,
// over as many connections as PHP has workers.
func (l *lab) startNode(id string, processes int) (node, nginx *server, err error) {
	if nginx, err = l.startNginx(nginxOptions{name: id + "-nginx", keep: true}); err != nil {
		return nil, nil, err
	}
	modules := filepath.Join(l.dir, "peers", "node_modules")
	if err := os.Symlink(filepath.Join(cacheDir(), "node_modules"), modules); err != nil && !os.IsExist(err) {
		return nil, nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	if processes == 0 {
		processes = runtime.NumCPU()
	}
	cmd := exec.Command("node", filepath.Join(l.dir, "peers", "echo.mjs"), portOf(address), portOf(nginx.address), fmt.Sprint(workers), fmt.Sprint(processes))
	cmd.Env = append(os.Environ(), "NODE_ENV=production")
	p, err := l.start(id, cmd)
	if err != nil {
		return nil, nil, err
	}
	return &server{process: p, address: address}, nginx, p.await("tcp", address)
}

const pushpinConfig = `[global]
include={dir}/internal.conf
rundir={dir}/run
ipc_prefix=b-
port_offset=0
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port={port}
logdir={dir}/log
log_level=0
client_buffer_size=8192
client_maxconn=1000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile={dir}/routes
updates_check=off
[handler]
push_in_spec=ipc://{dir}/run/push
push_in_sub_specs=ipc://{dir}/run/sub
push_in_http_addr=127.0.0.1
push_in_http_port={http}
stats_spec=ipc://{dir}/run/stats
command_spec=ipc://{dir}/run/command
message_rate=1000000
message_hwm=1000000
`

func hasPushpin() bool {
	_, err := tool("pushpin")
	return err == nil
}

// startPushpin runs Pushpin in front of an nginx, which it asks for every event.
func (l *lab) startPushpin(id string, _ int) (front, nginx *server, err error) {
	if nginx, err = l.startNginx(nginxOptions{name: id + "-nginx"}); err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(l.dir, "pushpin")
	for _, sub := range []string{"run", "log"} {
		if err := os.MkdirAll(filepath.Join(dir, sub), 0o777); err != nil {
			return nil, nil, err
		}
	}
	address, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	control, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	if _, err := l.write("pushpin/routes", "* "+nginx.address+",over_http\n"); err != nil {
		return nil, nil, err
	}
	// Debian's Pushpin uses a zurl that runs as a service; here it starts its own.
	internal, err := os.ReadFile("/usr/lib/pushpin/internal.conf")
	if err != nil {
		return nil, nil, err
	}
	own := strings.ReplaceAll(string(internal), "/var/run/zurl/", "{rundir}/{ipc_prefix}")
	if _, err := l.write("pushpin/internal.conf", own); err != nil {
		return nil, nil, err
	}
	file, err := l.write("pushpin/pushpin.conf", fill(pushpinConfig, "dir", dir, "port", portOf(address), "http", portOf(control)))
	if err != nil {
		return nil, nil, err
	}
	p, err := l.start("pushpin-run", exec.Command("pushpin", "--config", file))
	if err != nil {
		return nil, nil, err
	}
	return &server{process: p, address: address}, nginx, p.await("tcp", address)
}
