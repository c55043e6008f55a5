package release

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"wsfpm/test/stack"
)

// machine is a Debian whose services run, in namespaces of their own: it has its own network,
// and all that it started ends with it.
type machine struct {
	debian
	init string // the pid of its first process, a shell that waits for what has lost its parent
}

// systemctl starts, reloads and stops units as systemd does, as far as these need it.
//
//go:embed testdata/systemctl
var systemctl string

// start makes a machine of a Debian, with what an installed one has and debootstrap leaves out.
func (d debian) start() machine {
	d.t.Helper()
	// The packages' own scripts start nothing: the network of the machine is not theirs.
	d.sh(`apt-get update -qq && apt-get install -qq -y --no-install-recommends sudo
		printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
		printf 'APT::Get::Assume-Yes "true";\nAPT::Install-Recommends "false";\n' >/etc/apt/apt.conf.d/99test
		echo "127.0.0.1 localhost $(hostname)" >/etc/hosts; touch /run/network`)
	d.write("/usr/local/bin/systemctl", systemctl, 0o755)
	name, args := "unshare", []string{"--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-ec",
		`ip link set lo up; mount -t proc proc "$0/proc"; mount --bind /proc/self/ns/net "$0/run/network"; echo up; while :; do sleep 1; done`, d.root}
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	cmd := exec.Command(name, args...)
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		d.t.Fatal(err)
	}
	m := machine{d, ""}
	d.t.Cleanup(func() {
		_ = exec.Command("sudo", "-n", "kill", "-KILL", m.init).Run() // root needs no sudo
		if os.Geteuid() == 0 {
			pid, _ := strconv.Atoi(m.init)
			if p, err := os.FindProcess(pid); err == nil && pid > 1 {
				_ = p.Kill()
			}
		}
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "up\n" {
		d.t.Fatalf("the machine did not start: %q, %v", line, err)
	}
	m.init = shell(d.t, strconv.Itoa(cmd.Process.Pid))
	return m
}

// shell is the first process below a pid that is a shell.
func shell(t *testing.T, pid string) string {
	t.Helper()
	name, err := os.ReadFile("/proc/" + pid + "/comm")
	if string(name) == "sh\n" {
		return pid
	}
	text, missing := os.ReadFile("/proc/" + pid + "/task/" + pid + "/children")
	children := strings.Fields(string(text))
	if err != nil || missing != nil || len(children) != 1 {
		t.Fatalf("the machine has no first process: %v, %v, %q", err, missing, children)
	}
	return shell(t, children[0])
}

// write writes a file of root's.
func (d debian) write(name, text string, mode os.FileMode) {
	d.t.Helper()
	from := filepath.Join(stack.TempDir(d.t), "file")
	if err := os.WriteFile(from, []byte(text), 0o644); err != nil {
		d.t.Fatal(err)
	}
	asRoot(d.t, "install", "-D", "-m", fmt.Sprintf("%o", mode), from, filepath.Join(d.root, name))
}

// do runs a line of a page on the machine, in the folder of the line before.
func (m machine) do(line string) string {
	m.t.Helper()
	args := []string{"--target", m.init, "--mount", "--pid", "--net"}
	if strings.Contains(line, "apt install") {
		args = args[:4] // by the network of the host
	}
	return asRoot(m.t, "nsenter", append(args, "chroot", m.root, "/bin/bash", "-ec", "cd \"$(cat /cwd 2>/dev/null || echo /root)\"\n"+line+"\npwd >/cwd")...)
}

// block is a block of code of a page, of what language.
var block = regexp.MustCompile("(?s)<!-- run by test/release.TestSoakRelease -->\n```(\\w+)\n(.*?)```")

// named is the comment with the name of a file, in its first line.
var named = regexp.MustCompile(`^(?:<\?php //|<!doctype html> <!--) (/\S+)`)

// testTenMinutes does what docs/deploy.md says, block by block, on a new machine.
func testTenMinutes(t *testing.T, d debian, deb string) {
	page, err := os.ReadFile(filepath.Join(stack.Root(t), "docs", "deploy.md"))
	if err != nil {
		t.Fatal(err)
	}
	blocks := block.FindAllStringSubmatch(string(page), -1)
	if len(blocks) != 5 {
		t.Fatalf("docs/deploy.md has %d blocks for this test, want 5", len(blocks))
	}
	m := d.start()
	asRoot(t, "cp", deb, filepath.Join(d.root, "root", "wsfpm_1.2.3_amd64.deb"))
	for _, b := range blocks[:4] {
		if name := named.FindStringSubmatch(b[2]); name != nil {
			m.write(name[1], b[2], 0o644)
			continue
		}
		for line := range strings.Lines(b[2]) {
			t.Logf("$ %s%s", line, m.do(line))
			if strings.Contains(line, "apt install") { // as the packages do by themselves
				m.do("systemctl start nginx php8.2-fpm redis-server")
			}
		}
	}
	m.visit(t, blocks[4][2])
}

// visit opens the page in a browser, and does the last block meanwhile: a push, and doctor.
func (m machine) visit(t *testing.T, last string) {
	push, examine, _ := strings.Cut(last, "\n")
	name, args := "nsenter", []string{"--target", m.init, "--net", stack.Tool(t, "nodejs", "node"), "first.mjs", "http://localhost/"}
	if os.Geteuid() != 0 {
		name, args = "sudo", append([]string{"-n", name}, args...)
	}
	browser := exec.CommandContext(t.Context(), name, args...)
	browser.Dir, browser.Stderr = filepath.Join(stack.Root(t), "test", "browser"), t.Output()
	out, err := browser.StdoutPipe()
	if err == nil {
		err = browser.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	sees := func(want string) {
		t.Helper()
		if !lines.Scan() || lines.Text() != want {
			t.Errorf("the browser says %q, want %q\n%s", lines.Text(), want, m.do("tail -n 30 /var/log/*.service.log /var/log/nginx/*"))
		}
	}
	sees("echoed")
	t.Logf("$ %s\n%s", push, m.do(push))
	sees("pushed")
	if err := browser.Wait(); err != nil {
		t.Error(err)
	}
	m.isWell(t, strings.TrimSpace(examine))
}

// isWell runs wsfpm doctor, which has nothing to say but that there is no TLS. Where the host
// allows fewer descriptors than the unit asks for, it says so.
func (m machine) isWell(t *testing.T, examine string) {
	var found struct {
		Results []struct{ Check, Status, Text string }
	}
	text := m.do(examine + " --json || true")
	if err := json.Unmarshal([]byte(text[max(0, strings.IndexByte(text, '{')):]), &found); err != nil || len(found.Results) == 0 {
		t.Fatalf("doctor: %v, %s", err, text)
	}
	var host unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &host); err != nil {
		t.Fatal(err)
	}
	for _, each := range found.Results {
		expected := each.Status == "ok" || each.Status == "not run" && (each.Check == "tls" || each.Check == "redirect") ||
			each.Check == "system" && host.Max < 1<<20 && strings.Contains(each.Text, "descriptors")
		t.Logf("%s: %s: %s", each.Check, each.Status, each.Text)
		if !expected {
			t.Errorf("doctor: %+v", each)
		}
	}
}
