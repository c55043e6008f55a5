package contract

import (
	"net/http"
	"regexp"
	"testing"

	"wsfpm/test/stack"
)

func TestEventsHaveTheTraceOfTheHandshake(t *testing.T) {
	w := start(t, setup{script: `if ($_SERVER['WS_EVENT'] === 'message') echo $_SERVER['HTTP_TRACEPARENT'], ' ', $_SERVER['HTTP_TRACESTATE'] ?? 'none';`}, "1.traceparent")
	ask := func(h http.Header) string {
		c := stack.Dial(t, w.URL+"/ws", stack.DialOptions{Header: h})
		c.Send("x")
		first := string(c.Next().Data)
		c.Send("x")
		equal(t, "the trace of the second message", string(c.Next().Data), first)
		return first
	}
	const given = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	equal(t, "a valid one", ask(http.Header{"Traceparent": {given}, "Tracestate": {"vendor=1"}}), given+" vendor=1")
	made := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00 none$`)
	for _, h := range []http.Header{nil, {"Traceparent": {"00-x"}, "Tracestate": {"vendor=1"}}, {"Traceparent": {given, given}, "Tracestate": {"vendor=1"}}} {
		if got := ask(h); !made.MatchString(got) {
			t.Errorf("with %v PHP got %q, want a new trace", h, got)
		}
	}
}
