package out

import (
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"wsfpm/session"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = time.Minute

// transport is the owner of an outlet: it sends messages as they are.
type transport struct {
	mu     sync.Mutex
	slow   int
	done   []error
	ended  chan struct{} // closed by CloseNow
	outlet *Outlet
}

func (tr *transport) Tick(time.Duration) {}

func (tr *transport) Slow() bool {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.slow++
	return true
}

func (tr *transport) TooSlow() *session.Encoding { return session.NewEncoding([]byte("too slow")) }

func (tr *transport) Done(err error) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.done = append(tr.done, err)
}

func (tr *transport) CloseNow() {
	tr.outlet.Fail()
	tr.outlet.Socket.Close()
	close(tr.ended)
}

// opened is an outlet over a unix socket, and its client.
func opened(t testing.TB, l Limits) (*Outlet, *transport, net.Conn) {
	t.Helper()
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	socket, err := NewSocket(server)
	if err != nil {
		t.Fatal(err)
	}
	s := &Shared{Outgoing: new(Outgoing), Scheduler: NewScheduler(), Stats: new(Stats)}
	tr := &transport{outlet: new(Outlet), ended: make(chan struct{})}
	tr.outlet.Init(tr, s, &l)
	tr.outlet.Attach(socket)
	tr.outlet.Open()
	t.Cleanup(func() { client.Close(); tr.outlet.Fail(); server.Close(); s.Scheduler.Stop() })
	client.SetReadDeadline(time.Now().Add(patience))
	return tr.outlet, tr, client
}

func encoding(s string) *session.Encoding { return session.NewEncoding([]byte(s)) }

// A burst that finds the queue full before anything is written does not make the
// reader a slow one.
func TestAPushIsRefusedUntilWhatWaitsIsWritten(t *testing.T) {
	o, tr, client := opened(t, Limits{QueueMessages: 2})
	var want strings.Builder
	for i := range 200 {
		text := fmt.Sprintf("%d ", i)
		want.WriteString(text)
		err := o.Push(encoding(text))
		if full := i > 0 && i%2 == 0; errors.Is(err, session.ErrFull) != full {
			t.Fatalf("push %d: got %v, full %v", i, err, full)
		}
		if err == nil {
			continue
		}
		o.Flush()
		if err := o.Push(encoding(text)); err != nil {
			t.Fatalf("push %d after a flush: %v", i, err)
		}
	}
	o.Finish([]byte("end"))
	o.Flush()
	got := make([]byte, want.Len()+3)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != want.String()+"end" {
		t.Fatalf("got %.40q, %v", got, err)
	}
	if tr.slow > 0 || len(tr.done) != 1 || tr.done[0] != nil {
		t.Errorf("slow %d times, done %v", tr.slow, tr.done)
	}
}

func TestAPushToAClientThatTakesNothingEndsIt(t *testing.T) {
	o, tr, client := opened(t, Limits{QueueMessages: 2})
	if err := o.Reply(encoding(strings.Repeat("x", 8<<20))); err != nil {
		t.Fatal(err)
	}
	o.Flush()
	for range 2 {
		if err := o.Push(encoding("push")); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Push(encoding("push")); !errors.Is(err, ErrSlow) {
		t.Fatalf("got %v, want ErrSlow", err)
	}
	if err := o.Reply(encoding("reply")); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v, want ErrClosed", err)
	}
	o.Flush()
	got := make([]byte, 8<<20+len("too slow"))
	if _, err := io.ReadFull(client, got); err != nil || !strings.HasSuffix(string(got), "xtoo slow") {
		t.Fatalf("got %q at the end, %v", got[len(got)-20:], err)
	}
	if n := o.shared.Stats.Snapshot(); tr.slow != 1 || n.SlowReaders != 1 || n.QueueTooLong != 1 {
		t.Errorf("slow %d times, %+v", tr.slow, n)
	}
}

// While another goroutine writes, it is not known whether the client takes what waits.
func TestManyWhoPushAtOnceDoNotEndAReader(t *testing.T) {
	o, tr, client := opened(t, Limits{QueueMessages: 1})
	const rounds, pushers, each = 50, 4, 20 // less at once than the socket holds
	for range rounds {
		var all sync.WaitGroup
		for range pushers {
			all.Go(func() {
				for range each {
					err := o.Push(encoding("x"))
					for errors.Is(err, session.ErrFull) {
						o.Flush()
						err = o.Push(encoding("x"))
					}
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		o.Flush()
		if _, err := io.ReadFull(client, make([]byte, pushers*each)); err != nil {
			t.Fatal(err)
		}
	}
	if tr.slow > 0 {
		t.Errorf("a reader was slow %d times", tr.slow)
	}
}

func TestWhatIsUrgentGoesFirst(t *testing.T) {
	o, _, client := opened(t, Limits{})
	o.Reply(encoding("one "))
	o.Urgent([]byte("old "))
	o.Urgent([]byte("new "))
	if o.Probe(encoding("probe ")) {
		t.Error("a probe was queued after others")
	}
	o.Flush()
	if !o.Probe(encoding("probe ")) {
		t.Error("a probe was refused")
	}
	o.Flush()
	got := make([]byte, len("new one probe "))
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "new one probe " {
		t.Errorf("got %q, %v", got, err)
	}
	if n := o.shared.Stats.Snapshot(); n.MessagesOut != 1 || n.BytesOut != int64(len(got)) {
		t.Errorf("got %+v", n)
	}
}

func TestAClientThatTakesNothingForTheTimeoutIsCutOff(t *testing.T) {
	o, tr, _ := opened(t, Limits{WriteTimeout: 50 * time.Millisecond})
	o.Reply(encoding(strings.Repeat("x", 8<<20)))
	o.Flush()
	select {
	case <-tr.ended:
	case <-time.After(patience):
		t.Fatal("it was not cut off")
	}
	if n := o.shared.Stats.Snapshot(); tr.slow != 1 || n.WritesStalled != 1 || o.shared.Outgoing.Used() != 0 {
		t.Errorf("slow %d times, %+v, %d bytes count", tr.slow, n, o.shared.Outgoing.Used())
	}
}
