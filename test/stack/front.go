package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// FrontServer is a running Apache, HAProxy or Caddy.
type FrontServer struct {
	Dir  string
	Addr string // what LISTEN stood for
	out  *output
	proc *process
}

// apacheModules are loaded besides those that are built in.
const apacheModules = "mpm_event authz_core unixd mime dir ssl socache_shmcb headers http2 proxy proxy_http proxy_fcgi"

// Apache starts Apache with conf below a main configuration as small as possible;
// the word LISTEN in it stands for a free loopback address and DIR for a temporary
// folder. As root its children run as www-data.
func Apache(t T, conf string) *FrontServer {
	t.Helper()
	binary := Tool(t, "apache2-bin", "apache2", "/usr/sbin/apache2")
	top := "ServerRoot DIR\nServerName localhost\nListen LISTEN\nPidFile DIR/apache.pid\nMutex file:DIR default\n" +
		"DefaultRuntimeDir DIR\nTypesConfig /dev/null\nProtocols h2 http/1.1\nErrorLog /dev/stderr\nLogLevel info\n"
	for _, name := range strings.Fields(apacheModules) {
		if file := "/usr/lib/apache2/modules/mod_" + name + ".so"; exists(file) { // others are built in
			top += fmt.Sprintf("LoadModule %s_module %s\n", name, file)
		}
	}
	if os.Geteuid() == 0 {
		top += "User www-data\nGroup www-data\n"
	}
	return front(t, "apache", top+conf, func(file string) *exec.Cmd {
		return exec.Command(binary, "-D", "FOREGROUND", "-f", file)
	})
}

// HAProxy starts HAProxy with conf, in which LISTEN and DIR mean the same as for Apache.
func HAProxy(t T, conf string) *FrontServer {
	t.Helper()
	binary := Tool(t, "haproxy", "haproxy", "/usr/sbin/haproxy")
	return front(t, "haproxy", conf, func(file string) *exec.Cmd { return exec.Command(binary, "-db", "-f", file) })
}

// Caddy starts Caddy with a Caddyfile, in which LISTEN and DIR mean the same as for
// Apache, and PORT the port of LISTEN. Its first block should be the one of global options, without an
// admin endpoint.
func Caddy(t T, conf string) *FrontServer {
	t.Helper()
	binary := Tool(t, "caddy", "caddy", "/usr/bin/caddy")
	return front(t, "caddy", conf, func(file string) *exec.Cmd {
		cmd := exec.Command(binary, "run", "--adapter", "caddyfile", "--config", file)
		cmd.Env = append(os.Environ(), "HOME="+filepath.Dir(file), "XDG_DATA_HOME="+filepath.Dir(file), "XDG_CONFIG_HOME="+filepath.Dir(file))
		return cmd
	})
}

func front(t T, name, conf string, command func(file string) *exec.Cmd) *FrontServer {
	t.Helper()
	s := &FrontServer{Dir: TempDir(t), Addr: FreeAddress(t), out: &output{}}
	file := filepath.Join(s.Dir, name+".conf")
	_, port, _ := strings.Cut(s.Addr, ":")
	conf = replaceAll(conf, map[string]string{"LISTEN": s.Addr, "DIR": s.Dir, "PORT": port})
	if err := os.WriteFile(file, []byte(conf), 0o644); err != nil {
		t.Fatalf("write %s: %v", file, err)
	}
	showLog(t, name, s.Log)
	s.proc = startProcess(t, name, s.out, command(file))
	t.Cleanup(s.Stop)
	s.proc.await(t, "tcp", s.Addr)
	return s
}

func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}

// Log is what it has written.
func (s *FrontServer) Log() string { return s.out.String() }

// Stop ends it at once.
func (s *FrontServer) Stop() { s.proc.end(syscall.SIGTERM, 5*time.Second) }
