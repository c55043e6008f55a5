package stack

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// NginxServer is a running nginx.
type NginxServer struct {
	Dir  string
	Addr string // what the configuration's {{listen}} stood for
	out  *output
	proc *process
}

// NginxOptions are what a test wants outside of `http { … }`.
type NginxOptions struct {
	Main        string // directives at the top, such as worker_shutdown_timeout
	Connections int    // worker_connections, default 1024; a proxied socket takes two
}

// Nginx starts nginx with everything inside `http { … }` given by conf; the
// word LISTEN in it stands for a free loopback address and DIR for nginx's
// temporary folder. nginx must listen on LISTEN.
func Nginx(t T, conf string) *NginxServer {
	t.Helper()
	return NginxWith(t, NginxOptions{}, conf)
}

// NginxWith is Nginx with options.
func NginxWith(t T, opt NginxOptions, conf string) *NginxServer {
	t.Helper()
	binary := Tool(t, "nginx", "nginx", "/usr/sbin/nginx")
	s := &NginxServer{Dir: TempDir(t), Addr: FreeAddress(t), out: &output{}}
	file := filepath.Join(s.Dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(s.render(opt, conf)), 0o644); err != nil {
		t.Fatalf("write nginx.conf: %v", err)
	}
	showLog(t, "nginx", s.Log)
	s.proc = startProcess(t, "nginx", s.out, exec.Command(binary, "-p", s.Dir, "-c", file, "-e", "stderr"))
	t.Cleanup(s.Stop)
	s.proc.await(t, "tcp", s.Addr)
	return s
}

func (s *NginxServer) render(opt NginxOptions, conf string) string {
	user := ""
	if os.Geteuid() == 0 {
		user = "user root;\n" // so that it may open sockets and files of a checkout anywhere
	}
	temp := ""
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		temp += fmt.Sprintf("    %s_temp_path %s/%s;\n", kind, s.Dir, kind)
	}
	connections := opt.Connections
	if connections == 0 {
		connections = 1024
	}
	conf = replaceAll(conf, map[string]string{"LISTEN": s.Addr, "DIR": s.Dir})
	return user + fmt.Sprintf(`daemon off;
worker_processes 1;
pid %[1]s/nginx.pid;
error_log stderr info;
%[4]s
events { worker_connections %[5]d; }
http {
    access_log %[1]s/access.log;
    default_type application/octet-stream;
    types { text/html html; image/svg+xml svg; text/css css; application/javascript js; }
%[2]s%[3]s
}
`, s.Dir, temp, conf, opt.Main, connections)
}

// URL is http://LISTEN.
func (s *NginxServer) URL() string { return "http://" + s.Addr }

// Stop ends nginx at once.
func (s *NginxServer) Stop() { s.proc.end(syscall.SIGTERM, 3*time.Second) }

// Reload re-reads the configuration (SIGHUP).
func (s *NginxServer) Reload() { s.proc.signal(syscall.SIGHUP) }

// Log is nginx's error log and access log.
func (s *NginxServer) Log() string {
	access, _ := os.ReadFile(filepath.Join(s.Dir, "access.log"))
	return s.out.String() + string(access)
}
