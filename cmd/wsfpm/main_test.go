package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"go.uber.org/goleak"

	"wsfpm/test/stack"
)

func TestMain(m *testing.M) {
	testscript.Main(leakTest{m}, map[string]func(){"wsfpm": main})
}

// leakTest fails when goroutines outlive the tests.
type leakTest struct{ *testing.M }

func (m leakTest) Run() int {
	code := m.M.Run()
	if code == 0 {
		// net/http lingers for half a second after a refused request.
		if err := goleak.Find(goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	return code
}

func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("ADDRESS", stack.FreeAddress(t))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"await":  await,
			"answer": answer,
		},
	})
}

// await waits until a unix socket takes connections: await FILE.
func await(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		conn, err := net.Dial("unix", file)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("%s: %v", args[0], err)
		}
	}
}

// answer stands in for an admin listener: answer FILE STATUS BODY. It notes
// what it was sent in FILE.got.
func answer(ts *testscript.TestScript, _ bool, args []string) {
	file := ts.MkAbs(args[0])
	_ = os.Remove(file)
	l, err := net.Listen("unix", file)
	ts.Check(err)
	var status int
	_, err = fmt.Sscan(args[1], &status)
	ts.Check(err)
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body strings.Builder
		_ = r.Write(&body)
		_ = os.WriteFile(file+".got", []byte(body.String()), 0o600)
		w.WriteHeader(status)
		fmt.Fprint(w, strings.Join(args[2:], " "))
	})}
	go func() { _ = server.Serve(l) }() // ends with Close
	ts.Defer(func() { _ = server.Close() })
}

// write puts a text into a file of its own.
func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
