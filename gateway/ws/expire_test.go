package ws

import (
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"
)

func TestAnExpiryIsCalledOnceAtItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _ := piped(t, Limits{})
		start := time.Now()
		called := make(chan time.Duration, 10)
		pass := func() { called <- time.Since(start) }
		c.Expire(start.Add(time.Second), pass)
		c.Expire(start.Add(90*time.Minute), pass) // instead
		if took := <-called; took < 90*time.Minute || took > 90*time.Minute+tick {
			t.Errorf("called after %v, want 90m", took)
		}
		c.Expire(start, pass) // which is past
		if took := <-called; took > 90*time.Minute+3*tick {
			t.Errorf("a past time was called after %v, want at once", took-90*time.Minute)
		}
		c.Expire(time.Now().Add(time.Second), pass)
		c.Expire(time.Time{}, nil)
		time.Sleep(time.Hour) // on a fake clock
		c.Expire(time.Now().Add(time.Second), pass)
		c.CloseNow()
		time.Sleep(time.Hour) // on a fake clock
		if n := len(called); n != 0 {
			t.Errorf("called %d times more, want none for a time that was removed, and none after the end", n)
		}
	})
}

func TestAnExpiryFollowsAClockThatIsSet(t *testing.T) {
	for name, test := range map[string]struct{ jump, want, most time.Duration }{
		"forward, or a suspended machine": {time.Hour, 10 * time.Minute, 10*time.Minute + clockLook + tick},
		"backward":                        {-time.Hour, 90 * time.Minute, 90*time.Minute + tick},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, _ := piped(t, Limits{})
				start := time.Now()
				c.shared.Wheel.clock = func() time.Time {
					now := time.Now().Round(0)
					if now.Sub(start) >= 10*time.Minute {
						now = now.Add(test.jump)
					}
					return now
				}
				called := make(chan struct{})
				c.Expire(start.Add(30*time.Minute), func() { close(called) })
				<-called
				if took := time.Since(start); took < test.want || took > test.most {
					t.Errorf("called after %v, want %v to %v", took, test.want, test.most)
				}
			})
		})
	}
}

func TestAnExpirySetBeforeTheUpgradeIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, client := net.Pipe()
		defer client.Close()
		s := NewShared(0)
		defer s.Wheel.Stop()
		c := New(&Limits{}, s)
		called := make(chan struct{})
		c.Expire(time.Now().Add(time.Second), func() { close(called) })
		time.Sleep(time.Minute) // on a fake clock
		select {
		case <-called:
			t.Error("called before there was a socket")
		default:
		}
		if err := c.Upgrade(&hijacked{header: http.Header{}, conn: server}, handshake(), ""); err != nil {
			t.Fatal(err)
		}
		<-called
		c.CloseNow()
	})
}

// Each idle client has a Conn. Go's allocator adds 8 bytes to an object of more than 512 that has
// pointers, and rounds up to 640, then to 704.
func TestAConnectionFitsItsSizeClass(t *testing.T) {
	if size := unsafe.Sizeof(Conn{}); size > 640-8 {
		t.Errorf("a Conn has %d bytes, want at most %d", size, 640-8)
	}
}

// The socket is the last field that a delivery uses.
func TestADeliveryNeedsTheHotPartOfAConnection(t *testing.T) {
	var c Conn
	if end := unsafe.Offsetof(c.out) + unsafe.Offsetof(c.out.Socket) + unsafe.Sizeof(c.out.Socket); end > hot {
		t.Errorf("the socket ends at byte %d of a Conn, after the first %d", end, hot)
	}
}
