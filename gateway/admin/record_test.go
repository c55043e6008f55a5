package admin

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"wsfpm/gateway"
	"wsfpm/gateway/live"
	"wsfpm/gateway/recording"
)

// recorder is a control socket whose events the test makes.
type recorder struct {
	*Control
	mu  sync.Mutex
	see func(*gateway.Event) // nil: no reader
}

func newRecorder() *recorder {
	r := &recorder{Control: NewControl(&fake{}, zap.NewNop())}
	r.Record(live.NewFeed(func(see func(*gateway.Event)) func() {
		r.set(see)
		return func() { r.set(nil) }
	}), func(path string) bool { return path == "/open" })
	return r
}

func (r *recorder) set(see func(*gateway.Event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.see = see
}

// show makes an event. It reports whether there is a reader.
func (r *recorder) show(e gateway.Event) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.see != nil {
		r.see(&e)
	}
	return r.see != nil
}

// ask asks for a recording, and closes done at its end.
func (r *recorder) ask(query string) (answer *httptest.ResponseRecorder, done chan struct{}) {
	answer, done = httptest.NewRecorder(), make(chan struct{})
	request := httptest.NewRequest("GET", "/record?"+query, nil)
	request.Host = "localhost"
	go func() {
		defer close(done)
		r.ServeHTTP(answer, request)
	}()
	return answer, done
}

func lastLine(text []byte) string {
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}

func TestARecordingEndsWithItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRecorder()
		began := time.Now()
		answer, done := r.ask("user=42&for=3m&bodies=1")
		synctest.Wait()
		r.show(gateway.Event{Kind: "message", User: "42", Data: []byte("early")})
		time.Sleep(2 * time.Minute) // longer than any request may take otherwise
		r.show(gateway.Event{Kind: "message", User: "42", Data: []byte("late")})
		r.show(gateway.Event{Kind: "message", User: "43", Data: []byte("other")})
		<-done
		text := answer.Body.Bytes()
		if took := time.Since(began); took != 3*time.Minute || lastLine(text) != `{"end":"the time is over"}` {
			t.Errorf("it ended after %v with %s", took, lastLine(text))
		}
		if bytes.Count(text, []byte(`"early"`)) != 1 || bytes.Count(text, []byte(`"late"`)) != 1 || bytes.Contains(text, []byte(`"other"`)) {
			t.Errorf("got %s", text)
		}
		if r.show(gateway.Event{}) {
			t.Error("the reader is still there")
		}
	})
}

func TestARecordingEndsAtItsSize(t *testing.T) {
	r := newRecorder()
	answer, done := r.ask("conn=a&bodies=1")
	e := gateway.Event{Kind: "message", Connection: "a", Data: bytes.Repeat([]byte("x"), 1<<20)}
	for ended := false; !ended; {
		r.show(e)
		select {
		case <-done:
			ended = true
		default:
		}
	}
	text := answer.Body.Bytes()
	if n := len(text); n > recording.MostBytes+1000 || n < recording.MostBytes*9/10 || lastLine(text) != `{"end":"100 MiB are reached"}` {
		t.Errorf("got %d bytes that end with %.100s, want about 100 MiB", n, lastLine(text))
	}
}

func TestARecordingThatIsNotAllowed(t *testing.T) {
	r := newRecorder()
	for query, status := range map[string]int{"": 400, "user=a&conn=b": 400, "route=%2Fother": 403} {
		answer, done := r.ask(query)
		<-done
		if answer.Code != status || r.show(gateway.Event{}) {
			t.Errorf("%q: got %d %s, want %d", query, answer.Code, answer.Body, status)
		}
	}
	for range live.MostReaders {
		request := httptest.NewRequest("GET", "/record?route=%2Fopen&for=24h", nil).WithContext(t.Context())
		request.Host = "localhost"
		began := make(chan struct{})
		go r.ServeHTTP(&signalled{httptest.NewRecorder(), began, sync.Once{}}, request) // ends with the test
		<-began
	}
	answer, done := r.ask("user=a")
	<-done
	if answer.Code != http.StatusServiceUnavailable {
		t.Errorf("one reader too many: got %d", answer.Code)
	}
}

// signalled closes began when the first part is sent.
type signalled struct {
	*httptest.ResponseRecorder
	began chan struct{}
	once  sync.Once
}

func (s *signalled) Flush() { s.once.Do(func() { close(s.began) }) }

// slowly is a peer that waits before each write.
type slowly struct {
	*httptest.ResponseRecorder
	wait func()
}

func (s slowly) Write(text []byte) (int, error) {
	if len(text) > 0 {
		s.wait()
	}
	return s.ResponseRecorder.Write(text)
}

func TestARecordingHasWhatASlowPeerHasNotTaken(t *testing.T) {
	for range 10 {
		synctest.Test(t, func(t *testing.T) {
			r, answer := newRecorder(), slowly{httptest.NewRecorder(), func() { time.Sleep(2 * time.Minute) }}
			request := httptest.NewRequest("GET", "/record?user=42&for=3m", nil)
			request.Host = "localhost"
			done := make(chan struct{})
			go func() {
				defer close(done)
				r.ServeHTTP(answer, request)
			}()
			for range 2 {
				time.Sleep(time.Minute + time.Second) // while the first line and then the first event are written
				r.show(gateway.Event{Kind: "message", User: "42"})
			}
			time.Sleep(2 * time.Minute)
			r.show(gateway.Event{Kind: "message", User: "42"}) // after the time
			<-done
			text := answer.Body.Bytes()
			if n := bytes.Count(text, []byte(`"event":"message"`)); n != 2 || !strings.Contains(lastLine(text), "the time is over") {
				t.Errorf("%d events, want the 2 that ended within the time:\n%s", n, text)
			}
		})
	}
}
