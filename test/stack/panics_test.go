package stack

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

func TestASurvivedPanicFailsTheTest(t *testing.T) {
	for metrics, want := range map[string]bool{
		"wsfpm_panics_total 0\n":                        false,
		"# HELP\nwsfpm_panics_total 2\nother_total 1\n": true,
		"": false,
	} {
		admin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, metrics) }))
		g := &GatewayServer{Admin: admin.URL, proc: startProcess(t, "sleep", &output{}, exec.Command("sleep", "60"))}
		suite := &Suite{name: "stand-in"}
		g.noPanics(suite)
		if suite.Failed() != want {
			t.Errorf("%q: failed is %v, want %v", metrics, suite.Failed(), want)
		}
		admin.Close()
		g.noPanics(suite) // no listener: nothing to see
		g.proc.end(syscall.SIGTERM, time.Second)
		g.noPanics(suite) // no process
	}
}
