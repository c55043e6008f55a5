package fcgi

import (
	"bytes"
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"wsfpm/test/fcgitest"
)

func TestInterruptEndsItsOwnUseOnly(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	c := newConn(client)
	old := c.begin()
	c.begin()
	c.interrupt(old) // a late one
	go server.Write([]byte("x"))
	if _, err := io.ReadFull(client, make([]byte, 1)); err != nil {
		t.Errorf("interrupted by an earlier use: %v", err)
	}
	c.interrupt(c.use)
	c.readBy(time.Now().Add(time.Hour)) // must not undo it
	if _, err := client.Read(make([]byte, 1)); !isTimeout(err) {
		t.Errorf("got %v, want a deadline", err)
	}
}

// A waiter that gives up at the moment of the grant returns the slot.
func TestSlotGrantedTooLateIsGivenBack(t *testing.T) {
	p := newTestPool(t, Config{Address: "/nowhere", MaxConnections: 1})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	gaveUp := 0
	for range 100 {
		p.mu.Lock()
		w := p.waiterLocked()
		w.lane, w.owner, w.since = LaneHigh, p.queue.owner("a"), time.Now()
		p.queue.push(w, p.shareLocked())
		p.settleIdleLocked(nil)
		p.mu.Unlock()
		s, err := p.wait(ctx, w, time.Hour) // both are ready
		if err == nil {
			p.giveBack(s)
		} else {
			gaveUp++
		}
		if p.Stats().Running != 0 || len(p.queue.owners) != 0 {
			t.Fatalf("slot lost: %+v", p.Stats())
		}
	}
	if gaveUp == 0 {
		t.Error("the case never came up")
	}
}

// A request whose sending was interrupted is sent to its end all the same: PHP
// would run the script on half a body.
func TestInterruptedSendingIsFinished(t *testing.T) {
	got := make(chan []byte, 2)
	s := serve(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		got <- r.Body
		fcgitest.Reply(200, "ok")(w, r)
	}, fcgitest.Options{Workers: 1})
	p := poolFor(t, s, Config{MaxConnections: 1})
	call(p, &Request{Env: testEnv(t)})
	<-got
	s.CloseConnections()
	body := bytes.Repeat([]byte("0123456789"), 1<<20)
	pinned, err := net.Dial("unix", s.Address) // takes the only worker
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "worker taken", func() bool { return s.Accepted() == 2 })
	_, _, err = call(p, &Request{Env: testEnv(t), Body: body, Timeout: 200 * time.Millisecond})
	wantError(t, err, ErrTimeout, PhaseWait, SentMaybe)
	pinned.Close()
	if b := <-got; !bytes.Equal(b, body) {
		t.Errorf("the script got %d bytes of %d", len(b), len(body))
	}
	eventually(t, "slot free", func() bool { return p.Stats().Settling == 0 })
}

// The short first wait of a new connection is not that of a slow body.
func TestSlowBodyOnANewConnection(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := pipePool(t, func(w *fcgitest.Writer, _ *fcgitest.Request) {
			w.Stdout("X: y\r\n\r\nfirst ")
			time.Sleep(3 * stallAfter)
			w.Stdout("second")
		}, fcgitest.Options{}, Config{})
		call(p, &Request{Env: testEnv(t)}) // the probe is known now
		var callers sync.WaitGroup
		for range 3 {
			callers.Go(func() {
				if _, body, err := call(p, &Request{Env: testEnv(t)}); body != "first second" || err != nil {
					t.Errorf("got %q, %v", body, err)
				}
			})
		}
		callers.Wait()
		if st := p.Stats(); st.Dials < 3 || st.Stalls != 0 {
			t.Errorf("%d dials, %d stalls; want 3 and none", st.Dials, st.Stalls)
		}
	})
}

// The same when the interruption came before the settling began.
func TestSettlingGoesOnWhereSendingStopped(t *testing.T) {
	client, server := net.Pipe()
	defer client.Close()
	body := bytes.Repeat([]byte("0123456789"), 50_000)
	c := newConn(client)
	c.probe, c.accepted = true, true
	use := c.begin()
	c.send(&Request{Env: testEnv(t), Body: body}, time.Now().Add(10*time.Second))
	head := make([]byte, 100_000)
	if _, err := io.ReadFull(server, head); err != nil { // some of it leaves
		t.Fatal(err)
	}
	c.interrupt(use)
	c.written()
	if !isTimeout(c.sendErr) {
		t.Fatalf("sending ended with %v, want a deadline", c.sendErr)
	}
	served := make(chan []byte, 1)
	go func() {
		defer server.Close()
		rest := &rejoined{Conn: server, head: head}
		fcgitest.Serve(rest, func(w *fcgitest.Writer, r *fcgitest.Request) {
			served <- r.Body
			fcgitest.Reply(200, "late")(w, r)
		}, fcgitest.Options{})
	}()
	if err := c.settle(10 * time.Second); err != nil || !c.clean() {
		t.Errorf("settle: %v, clean %v", err, c.clean())
	}
	if got := <-served; !bytes.Equal(got, body) {
		t.Errorf("the script got %d bytes of %d", len(got), len(body))
	}
}

// rejoined gives back bytes that were read from a connection.
type rejoined struct {
	net.Conn
	head []byte
}

func (r *rejoined) Read(b []byte) (int, error) {
	if len(r.head) == 0 {
		return r.Conn.Read(b)
	}
	n := copy(b, r.head)
	r.head = r.head[n:]
	return n, nil
}
