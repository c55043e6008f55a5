package fcgi

import (
	"net"
	"os"
	"syscall"
	"testing"
	"time"

	"wsfpm/test/fcgitest"
)

// The time for reading may be a short one, and over before the request is sent.
func TestSendingHasATimeOfItsOwn(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	nc, err := net.Dial(s.Network, s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(nc)
	c.begin()
	c.readBy(time.Unix(1, 0))
	if err := c.send(&Request{Env: testEnv(t)}, time.Now().Add(10*time.Second)); err != nil || c.sent == 0 {
		t.Fatalf("sent %d bytes, %v", c.sent, err)
	}
	c.readBy(time.Now().Add(10 * time.Second))
	var stderr boundedText
	if _, err := c.gatherHeader(64<<10, &stderr); err != nil {
		t.Fatal(err)
	}

	use := c.begin()
	c.interrupt(use)
	if err := c.send(&Request{Env: testEnv(t)}, time.Now().Add(10*time.Second)); !isTimeout(err) || c.sent > 0 {
		t.Errorf("interrupted: sent %d bytes, %v", c.sent, err)
	}
}

// wokenForNothing is a connection that wakes its reader once before there is data, as
// the runtime may with an event that is late, and whose deadline passes then.
type wokenForNothing struct{ net.Conn }

type wokenRaw struct{ syscall.RawConn }

func (c wokenForNothing) SyscallConn() (syscall.RawConn, error) {
	raw, err := c.Conn.(syscall.Conn).SyscallConn()
	return wokenRaw{raw}, err
}

func (r wokenRaw) Read(f func(fd uintptr) bool) error {
	if err := r.Control(func(fd uintptr) { f(fd) }); err != nil { // writes
		return err
	}
	if err := r.Control(func(fd uintptr) { f(fd) }); err != nil { // finds nothing
		return err
	}
	return os.ErrDeadlineExceeded
}

// The count of that read was -1, for which bufio panics.
func TestAReaderWokenForNothingMayTimeOut(t *testing.T) {
	s := serve(t, fcgitest.Echo, fcgitest.Options{})
	nc, err := net.Dial(s.Network, s.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	c := newConn(wokenForNothing{nc})
	c.begin()
	if err := c.send(&Request{Env: testEnv(t)}, time.Now().Add(10*time.Second)); err != nil || c.sent == 0 {
		t.Fatalf("sent %d bytes, %v", c.sent, err)
	}
	c.readBy(time.Now().Add(10 * time.Second))
	var stderr boundedText
	if _, err := c.gatherHeader(64<<10, &stderr); err != nil {
		t.Error(err)
	}
}
