package gateway

import (
	"net/http"
	"regexp"
	"testing"

	"github.com/coder/websocket"
)

const (
	validTrace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	validID    = "4bf92f3577b34da6a3ce929d0e0e4736"
)

func TestTraceparentIsCheckedAsTheSpecificationSays(t *testing.T) {
	for in, want := range map[string]string{
		validTrace:              validTrace,
		" " + validTrace + "\t": validTrace,
		"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":      validTrace,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what": validTrace,
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.what": "",
		validTrace + "-what": "",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0g": "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7":    "",
		"00x4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01": "",
		"": "", "-": "",
	} {
		if got, valid := parseTrace(in); got != want || valid != (want != "") {
			t.Errorf("%q: got %q, %v, want %q", in, got, valid, want)
		}
	}
}

func FuzzTraceparent(f *testing.F) {
	f.Add(validTrace)
	f.Add("cc" + validTrace[2:] + "-x")
	f.Fuzz(func(t *testing.T, s string) {
		got, valid := parseTrace(s)
		if again, still := parseTrace(got); valid && (again != got || !still) || !valid && got != "" {
			t.Errorf("%q became %q, then %q", s, got, again)
		}
	})
}

func TestTraceIsTakenFromTheHandshakeOrMade(t *testing.T) {
	h := start(t, func(params map[string]string, body string) (string, string) {
		if body == "fail" {
			return "Status: 500", ""
		}
		return "Content-Type: text/plain", params["HTTP_TRACEPARENT"] + " " + params["HTTP_TRACESTATE"]
	}, nil)
	given := h.dial("/", &websocket.DialOptions{HTTPHeader: http.Header{"Traceparent": {validTrace}, "Tracestate": {"vendor=1"}}})
	given.want(validTrace + " vendor=1") // of connect
	given.send("x")
	given.want(validTrace + " vendor=1")
	made := regexp.MustCompile(`^00-[0-9a-f]{32}-[0-9a-f]{16}-00 $`)
	for _, header := range []http.Header{{}, {"Traceparent": {"junk"}, "Tracestate": {"vendor=1"}}, {"Traceparent": {validTrace, validTrace}, "Tracestate": {"a=1"}}} {
		c := h.dial("/", &websocket.DialOptions{HTTPHeader: header})
		_, first, err := c.Read(t.Context())
		if err != nil || !made.Match(first) {
			t.Errorf("with %v PHP got %q, %v, want a new trace without a state", header, first, err)
		}
		c.send("x")
		c.want(string(first)) // the same on every event
	}
	events := make(chan Event, 1)
	defer h.Observe(func(e *Event) {
		if e.Outcome != "ok" { // those before may end now, after their replies
			events <- *e
		}
	})()
	given.send("fail")
	if e := <-events; e.Trace != validID {
		t.Errorf("the event has the trace %q, want %s", e.Trace, validID)
	}
	eventually(t, "the failure in the log, with its trace", func() bool {
		for _, line := range h.log.FilterMessage("event failed").All() {
			if line.ContextMap()["trace"] == validID {
				return true
			}
		}
		return false
	})
}
