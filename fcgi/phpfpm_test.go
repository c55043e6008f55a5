package fcgi

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// fpm is a PHP-FPM of its own for one test.
type fpm struct {
	t       testing.TB
	dir     string
	address string
	conf    string
	cmd     *exec.Cmd
}

// startFPM starts PHP-FPM with a static pool of workers. conf is added to the
// pool's section. These tests run with WSFPM_INTEGRATION=1 only.
func startFPM(t testing.TB, workers int, conf string) *fpm {
	t.Helper()
	if os.Getenv("WSFPM_INTEGRATION") != "1" {
		t.Skip("WSFPM_INTEGRATION=1 runs the tests that need PHP-FPM")
	}
	dir, err := os.MkdirTemp("", "wsfpm-fpm")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	f := &fpm{t: t, dir: dir, address: filepath.Join(dir, "fpm.sock"), conf: filepath.Join(dir, "fpm.conf")}
	text := fmt.Sprintf("[global]\nerror_log=%s/fpm.log\ndaemonize=no\n[www]\nlisten=%s\npm=static\n"+
		"pm.max_children=%d\nrequest_terminate_timeout=0\nphp_admin_value[post_max_size]=64M\n"+
		"php_admin_flag[log_errors]=on\nphp_admin_flag[display_errors]=off\nphp_admin_value[memory_limit]=256M\n%s\n", dir, f.address, workers, conf)
	if os.Getuid() == 0 {
		text += "user=root\ngroup=root\n"
	}
	f.write("fpm.conf", text)
	f.start()
	t.Cleanup(f.stop)
	return f
}

func (f *fpm) write(name, text string) string {
	f.t.Helper()
	file := filepath.Join(f.dir, name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		f.t.Fatal(err)
	}
	return file
}

func (f *fpm) start() {
	f.t.Helper()
	f.spawn()
	eventually(f.t, "PHP-FPM listening", f.listening)
}

// spawn starts the process and does not wait for its socket.
func (f *fpm) spawn() {
	f.t.Helper()
	f.cmd = exec.Command("php-fpm8.2", "-F", "-R", "-n", "-y", f.conf)
	if err := f.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fpm) listening() bool {
	c, err := net.Dial("unix", f.address)
	if err == nil {
		c.Close()
	}
	return err == nil
}

func (f *fpm) stop() {
	if f.cmd != nil {
		f.cmd.Process.Signal(syscall.SIGTERM)
		f.cmd.Wait()
		f.cmd = nil
	}
}

func (f *fpm) signal(s syscall.Signal) { f.cmd.Process.Signal(s) }

// env is the Env of a script with that PHP code.
func (f *fpm) env(name, code string) *Env {
	f.t.Helper()
	file := f.write(name, "<?php "+code)
	e, err := NewEnv(map[string]string{"SCRIPT_FILENAME": file, "SCRIPT_NAME": "/" + name,
		"REQUEST_METHOD": "POST", "CONTENT_TYPE": "text/plain", "SERVER_PROTOCOL": "HTTP/1.1"})
	if err != nil {
		f.t.Fatal(err)
	}
	return e
}

func (f *fpm) pool(cfg Config) *Pool {
	f.t.Helper()
	cfg.Address = f.address
	return newTestPool(f.t, cfg)
}

const phpEcho = "echo file_get_contents('php://input');"

// load runs callers, each making n requests, and returns the errors and the number
// of answers that were not what was sent.
func load(p *Pool, e *Env, callers, n int, each func()) (errs []error, wrong int) {
	var all sync.WaitGroup
	var mu sync.Mutex
	for c := range callers {
		all.Go(func() {
			for i := range n {
				want := fmt.Sprintf("caller %d request %d", c, i)
				_, got, err := call(p, &Request{Env: e, Body: []byte(want)})
				mu.Lock()
				if err != nil {
					errs = append(errs, err)
				} else if got != want {
					wrong++
				}
				mu.Unlock()
				if each != nil {
					each()
				}
			}
		})
	}
	all.Wait()
	return errs, wrong
}

func TestFPMSmallAndLargeBodies(t *testing.T) {
	f := startFPM(t, 4, "")
	p := f.pool(Config{MaxConnections: 4, MaxAnswer: 64 << 20})
	e := f.env("echo.php", phpEcho)
	for i := range 1000 {
		body := strings.Repeat("x", i)
		if status, got, err := call(p, &Request{Env: e, Body: []byte(body)}); status != 200 || got != body || err != nil {
			t.Fatalf("got %d %.50q %v", status, got, err)
		}
	}
	if s := p.Stats(); s.Dials > 20 || !s.Probe {
		t.Errorf("%d connections for 1000 requests, probe %v", s.Dials, s.Probe)
	}
	large := strings.Repeat("0123456789abcdef", 10<<16) // 10 MiB
	if _, got, err := call(p, &Request{Env: e, Body: []byte(large)}); got != large || err != nil {
		t.Errorf("10 MiB: got %d bytes, %v", len(got), err)
	}
}

func TestFPMWhatPHPSays(t *testing.T) {
	f := startFPM(t, 2, "")
	p := f.pool(Config{MaxConnections: 2})
	for _, c := range []struct {
		name, code string
		status     int
		body       string
		stderr     string
	}{
		{"header.php", `header("X-A: 1"); header("x-a: 2", false); http_response_code(404); echo "no";`, 404, "no", ""},
		{"long.php", `header("X-Long: " . str_repeat("l", 20000)); echo "long";`, 200, "long", ""},
		{"exit.php", `echo "out"; exit(3);`, 200, "out", ""},
		{"fatal.php", `nonsense();`, 500, "", "PHP Fatal error"},
		{"stderr.php", `for ($i = 0; $i < 200; $i++) error_log(str_repeat("e", 900)); echo "ok";`, 200, "ok", "eee"},
		{"nothing.php", ``, 200, "", ""},
	} {
		resp, err := p.Do(t.Context(), &Request{Env: f.env(c.name, c.code)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, err := resp.ReadAll()
		stderr, _ := resp.Stderr()
		if resp.Status != c.status || string(body) != c.body || err != nil || !strings.Contains(string(stderr), c.stderr) {
			t.Errorf("%s: got %d %q %.80q %v", c.name, resp.Status, body, stderr, err)
		}
	}
	e := f.env("gone.php", "")
	os.Remove(e.Script())
	resp, err := p.Do(t.Context(), &Request{Env: e})
	if err != nil {
		t.Fatal(err)
	}
	body, err := resp.ReadAll()
	if stderr, _ := resp.Stderr(); resp.Status != 404 || string(body) != "File not found.\n" || err != nil || !strings.Contains(string(stderr), "Primary script unknown") {
		t.Errorf("missing script: got %d %q %q %v", resp.Status, body, stderr, err)
	}
}

func TestFPMRecyclingCostsNoAnswer(t *testing.T) {
	for max := 1; max <= 3; max++ {
		f := startFPM(t, 3, fmt.Sprintf("pm.max_requests=%d", max))
		p := f.pool(Config{MaxConnections: 3, MaxIdle: 3})
		errs, wrong := load(p, f.env("echo.php", phpEcho), 8, 60, nil)
		if len(errs) > 0 || wrong > 0 {
			t.Errorf("max_requests %d: %d errors, %d wrong answers, first %v", max, len(errs), wrong, errs)
		}
		t.Logf("%+v", p.Stats())
	}
}

func TestFPMWorkerKilledWithinAnAnswer(t *testing.T) {
	f := startFPM(t, 1, "")
	p := f.pool(Config{MaxConnections: 1})
	e := f.env("suicide.php", `while (ob_get_level()) ob_end_clean(); echo str_repeat("x", 70000); flush(); exec("kill -9 " . getmypid()); sleep(9);`)
	_, body, err := call(p, &Request{Env: e})
	wantError(t, err, ErrTruncated, PhaseBody, SentYes)
	if body != "" {
		t.Errorf("got %d bytes as an answer", len(body))
	}
	e = f.env("early.php", `exec("kill -9 " . getmypid()); sleep(9);`)
	_, _, err = call(p, &Request{Env: e})
	wantError(t, err, ErrTruncated, PhaseWait, SentMaybe)
	if _, body, err := call(p, &Request{Env: f.env("echo.php", phpEcho), Body: []byte("well")}); body != "well" || err != nil {
		t.Errorf("next worker: got %q, %v", body, err)
	}
}

func TestFPMReloadUnderLoad(t *testing.T) {
	f := startFPM(t, 3, "")
	f.stop()
	conf, _ := os.ReadFile(f.conf)
	f.write("fpm.conf", strings.Replace(string(conf), "daemonize=no", "daemonize=no\nprocess_control_timeout=5s", 1))
	f.start()
	p := f.pool(Config{MaxConnections: 3, MaxIdle: 3})
	var count atomic.Int64
	errs, wrong := load(p, f.env("echo.php", phpEcho), 4, 500, func() {
		if n := count.Add(1); n == 300 || n == 900 {
			f.signal(syscall.SIGUSR2)
		}
	})
	if wrong > 0 {
		t.Errorf("%d wrong answers", wrong)
	}
	t.Logf("%d of 2000 requests failed over two reloads; %+v", len(errs), p.Stats())
	for _, err := range errs {
		if !errors.Is(err, ErrTruncated) {
			t.Errorf("%v", err)
		}
	}
}

func TestFPMRestartIsWaitedFor(t *testing.T) {
	f := startFPM(t, 2, "")
	p := f.pool(Config{MaxConnections: 2})
	e := f.env("echo.php", phpEcho)
	if _, _, err := call(p, &Request{Env: e}); err != nil {
		t.Fatal(err)
	}
	for {
		f.stop()
		os.Remove(f.address)
		before, began := p.Stats().DialErrors, time.Now()
		answered := make(chan error)
		go func() {
			_, _, err := call(p, &Request{Env: e})
			answered <- err
		}()
		eventually(t, "attempts", func() bool { return p.Stats().DialErrors >= before+2 })
		f.spawn()
		err := <-answered
		if err == nil {
			return
		}
		if took := time.Since(began); took < downAfter { // a busy machine may start PHP-FPM for longer
			t.Fatalf("after %v: %v", took, err)
		}
		eventually(t, "PHP-FPM to be found", func() bool { return !p.Stats().Down })
	}
}

func TestFPMAnotherClientIsServedWithinIdleTimeout(t *testing.T) {
	f := startFPM(t, 2, "")
	e := f.env("slow.php", "usleep(50000); "+phpEcho)
	p := f.pool(Config{MaxConnections: 2, MaxIdle: 2, IdleTimeout: time.Second})
	load(p, e, 2, 2, nil)
	stranger := f.pool(Config{})
	if _, _, err := call(stranger, &Request{Env: e}); err != nil {
		t.Error(err)
	}
}

func TestFPMFinishedRequestHoldsItsSlotOnly(t *testing.T) {
	f := startFPM(t, 2, "")
	p := f.pool(Config{MaxConnections: 2, MaxIdle: 2})
	over := filepath.Join(f.dir, "over")
	finish := f.env("finish.php", `echo "done"; fastcgi_finish_request(); while (!file_exists("`+over+`")) { usleep(1000); clearstatcache(); }`)
	echo := f.env("echo.php", phpEcho)
	if _, _, err := call(p, &Request{Env: echo}); err != nil {
		t.Fatal(err)
	}
	if _, body, err := call(p, &Request{Env: finish}); body != "done" || err != nil {
		t.Fatalf("got %q, %v", body, err)
	}
	// On a busy machine the reply to the first request's probe may be late, too.
	eventually(t, "one settling", func() bool { return p.Stats().Settling == 1 })
	for range 50 {
		if _, _, err := call(p, &Request{Env: echo}); err != nil {
			t.Fatal(err)
		}
	}
	if p.Stats().Settling == 0 {
		t.Error("the slot was free before the script had ended")
	}
	eventually(t, "one settling alone", func() bool { return p.Stats().Settling == 1 }) // the last echo's proof may be late
	if err := os.WriteFile(over, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	eventually(t, "worker free", func() bool { return p.Stats().Settling == 0 })
}

// TestFPMTimeoutsNeverPileUpScripts counts the scripts that run at once by files.
func TestFPMTimeoutsNeverPileUpScripts(t *testing.T) {
	f := startFPM(t, 8, "")
	marks := filepath.Join(f.dir, "marks")
	os.Mkdir(marks, 0o777)
	e := f.env("slow.php", fmt.Sprintf(`$m = '%s/'.uniqid('', true); touch($m); echo count(glob('%s/*')); `+
		`file_put_contents('%s/peak', count(glob('%s/*'))."\n", FILE_APPEND); usleep(150000); unlink($m);`, marks, marks, f.dir, marks))
	p := f.pool(Config{MaxConnections: 3, QueueWait: 30 * time.Second})
	var callers sync.WaitGroup
	var unsent atomic.Int64 // the time was over before
	for range 30 {
		callers.Go(func() {
			_, _, err := call(p, &Request{Env: e, Timeout: 30 * time.Millisecond})
			if err != nil && !errors.Is(err, ErrTimeout) {
				t.Error(err)
			}
			var failed *Error
			if errors.As(err, &failed) && failed.Sent == SentNo {
				unsent.Add(1)
			}
		})
	}
	callers.Wait()
	eventually(t, "all scripts done", func() bool { return p.Stats().Settling == 0 })
	peaks, _ := os.ReadFile(filepath.Join(f.dir, "peak"))
	lines := strings.Fields(string(peaks))
	if want := 30 - int(unsent.Load()); len(lines) != want {
		t.Errorf("%d scripts ran, want %d", len(lines), want)
	}
	for _, n := range lines {
		if n > "3" {
			t.Fatalf("%s scripts at once, want at most 3", n)
		}
	}
}

func TestFPMTerminateTimeoutIsAnError(t *testing.T) {
	f := startFPM(t, 1, "request_terminate_timeout=1")
	p := f.pool(Config{MaxConnections: 1})
	e := f.env("part.php", `while (ob_get_level()) ob_end_clean(); echo str_repeat("x", 70000); flush(); sleep(9);`)
	_, _, err := call(p, &Request{Env: e})
	wantError(t, err, ErrTruncated, PhaseBody, SentYes)
}

func TestFPMFewerWorkersThanConfigured(t *testing.T) {
	f := startFPM(t, 2, "")
	p := f.pool(Config{MaxConnections: 4, MaxIdle: 4, IdleTimeout: time.Minute})
	e := f.env("slow.php", "usleep(150000); "+phpEcho)
	// On a busy machine a worker may be late for another reason, and the pool waits
	// for better evidence.
	eventually(t, "a limit of 2", func() bool {
		if errs, wrong := load(p, e, 8, 3, nil); len(errs) > 0 || wrong > 0 {
			t.Fatalf("%v, %d wrong", errs, wrong)
		}
		return p.Stats().Limit == 2
	})
}

func TestFPMStream(t *testing.T) {
	f := startFPM(t, 1, "")
	p := f.pool(Config{MaxConnections: 1})
	mark := filepath.Join(f.dir, "ended")
	e := f.env("stream.php", `$i = 0; register_shutdown_function(function () use (&$i) { file_put_contents('`+mark+`.new', $i); rename('`+mark+`.new', '`+mark+`'); }); while (ob_get_level()) ob_end_clean(); `+
		`for ($i = 0; $i < 500; $i++) { echo "$i\n"; flush(); usleep(20000); }`)
	resp, err := p.Do(t.Context(), &Request{Env: e})
	if err != nil {
		t.Fatal(err)
	}
	resp.SetStream(5*time.Second, time.Minute)
	for i := range 5 {
		if piece, err := resp.Next(); string(piece) != fmt.Sprintf("%d\n", i) || err != nil {
			t.Fatalf("got %q, %v; want %d", piece, err, i)
		}
	}
	resp.Close()
	eventually(t, "script stopped", func() bool { _, err := os.Stat(mark); return err == nil })
	if lines, _ := os.ReadFile(mark); string(lines) == "500" {
		t.Error("PHP ran on to the end")
	}
}
