package fpm

import (
	"strconv"
	"strings"
	"testing"

	"wsfpm/test/fcgitest"
	"wsfpm/test/stack"
)

// answer is a whole answer that does everything to its connection.
func answer() []byte {
	return fcgitest.Bytes("Status: 200 OK\r\nContent-Type: text/plain\r\nWS-User: 7\r\nWS-Join: room\r\n\r\nwelcome")
}

// cutter is a PHP-FPM that sends as many bytes of the answer as the request
// asks for and then dies. A connect asks by its query, a message by its text.
func cutter(w *fcgitest.Writer, r *fcgitest.Request) {
	if string(r.Body) == "who" {
		w.Stdout("Content-Type: text/plain\r\n\r\nuser=" + r.Params["WS_USER"] + " channels=" + r.Params["WS_CHANNELS"])
		return
	}
	asked := r.Params["QUERY_STRING"]
	if r.Params["WS_EVENT"] == "message" {
		asked = string(r.Body)
	}
	n, err := strconv.Atoi(asked)
	if err != nil {
		w.Stdout("Status: 204\r\n\r\n")
		return
	}
	w.Raw(answer()[:n])
	w.Hangup()
}

func startCutter(t *testing.T, rows ...string) *world {
	t.Helper()
	server := fcgitest.NewServer(cutter, fcgitest.Options{})
	t.Cleanup(server.Close)
	return start(t, setup{fpm: &stack.FPMServer{Address: "unix:" + server.Address}, pool: own(4)}, rows...)
}

func TestAnAnswerToAMessageIsCutAtEveryByte(t *testing.T) {
	w := startCutter(t, "2.failure", "2.all-or-nothing")
	c := stack.Dial(t, w.URL+"/ws", stack.DialOptions{})
	whole := len(answer())
	for n := range whole {
		c.Send(strconv.Itoa(n))
		if f := c.Next(); string(f.Data) != sorry {
			t.Fatalf("cut after %d of %d bytes: got %s, want %s", n, whole, f, sorry)
		}
	}
	c.Send("who")
	c.Expect("user= channels=")
	c.Send(strconv.Itoa(whole))
	c.Expect("welcome")
	c.Send("who")
	c.Expect("user=7 channels=room")
}

func TestAnAnswerToConnectIsCutAtEveryByte(t *testing.T) {
	w := startCutter(t, "2.fpm-down")
	whole := len(answer())
	for n := range whole {
		got := stack.Handshake(t, w.Listen, "/ws?"+strconv.Itoa(n))
		if got.Status != 502 {
			t.Errorf("cut after %d of %d bytes: got status %d, want 502", n, whole, got.Status)
		}
		for name := range got.Header {
			if strings.HasPrefix(strings.ToUpper(name), "WS-") {
				t.Errorf("cut after %d of %d bytes: the refusal has %s", n, whole, name)
			}
		}
	}
	equal(t, "clients let in", w.Metric(t, "wsfpm_connections_opened_total"), 0)
	stack.Dial(t, w.URL+"/ws?"+strconv.Itoa(whole), stack.DialOptions{}).Expect("welcome")
}
