package dev

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	os.Exit(stack.Main(m, "dev", func(*stack.Suite) {}))
}

// echo answers each message with itself, and fails where it is told to.
const echo = `<?php
isset($_SERVER['WS_EVENT']) or exit(http_response_code(404));
if ($_SERVER['WS_EVENT'] === 'connect') { header('WS-User: Ann'); header('WS-Join: lobby'); }
if ($_SERVER['WS_EVENT'] !== 'message') exit;
$in = file_get_contents('php://input');
if ($in === 'fail') throw new RuntimeException('it broke');
if ($in === 'warn') trigger_error("careful \e[31m\u{9b}31m\u{202e}", E_USER_WARNING);
if ($in === 'temp') exit(sys_get_temp_dir());
echo "echo $in";
`

// project makes a folder with files.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := stack.TempDir(t)
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// write makes a file with its folders.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// read is the text of a file.
func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// gone waits until none of the processes is left.
func gone(t *testing.T, pids []int) {
	t.Helper()
	if len(pids) == 0 {
		t.Fatal("there was no PHP-FPM")
	}
	stack.Wait(t, "PHP-FPM and its workers to end", func() bool {
		for _, pid := range pids {
			if syscall.Kill(pid, 0) == nil {
				return false
			}
		}
		return true
	})
}
