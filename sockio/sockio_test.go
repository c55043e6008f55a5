package sockio

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

// pair is a connected pair of non-blocking sockets.
func pair(t testing.TB) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		_, _ = unix.Close(fds[0]), unix.Close(fds[1]) // a test may have closed one
	})
	return fds[0], fds[1]
}

func TestWhatIsSentIsReceived(t *testing.T) {
	a, b := pair(t)
	room := make([]byte, 16)
	if n, err := Recv(b, room); n != 0 || err != unix.EAGAIN {
		t.Errorf("from an empty socket: %d, %v", n, err)
	}
	if n, err := Send(a, []byte("hello")); n != 5 || err != nil {
		t.Fatal(n, err)
	}
	if n, err := Recv(b, room); n != 5 || err != nil || string(room[:n]) != "hello" {
		t.Errorf("got %q, %v", room[:n], err)
	}
	if err := unix.Shutdown(a, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if n, err := Recv(b, room); n != 0 || err != nil {
		t.Errorf("at the end of the stream: %d, %v", n, err)
	}
}

func TestAFullSocketTakesAPart(t *testing.T) {
	a, b := pair(t)
	data := bytes.Repeat([]byte("x"), 16<<20)
	sent := 0
	for {
		n, err := Send(a, data)
		if err == unix.EAGAIN && n == 0 {
			break
		}
		if err != nil || n == 0 || n == len(data) {
			t.Fatal(n, err)
		}
		sent += n
	}
	for came := 0; came < sent; {
		n, err := Recv(b, data)
		if err != nil || n == 0 {
			t.Fatal(n, err)
		}
		came += n
	}
}

// A write to a socket whose peer is gone is an error, and no signal, which would end a process
// for which standard output is that socket.
func TestAGonePeerIsAnError(t *testing.T) {
	a, b := pair(t)
	if err := unix.Close(b); err != nil {
		t.Fatal(err)
	}
	if n, err := Send(a, []byte("x")); n != 0 || !errors.Is(err, unix.EPIPE) {
		t.Errorf("got %d, %v", n, err)
	}
	if _, err := Recv(-1, make([]byte, 1)); !errors.Is(err, unix.EBADF) {
		t.Error(err)
	}
}

func TestAllocations(t *testing.T) {
	a, b := pair(t)
	p, room := []byte("x"), make([]byte, 1)
	if n := testing.AllocsPerRun(100, func() {
		_, _ = Send(a, p)
		_, _ = Recv(b, room)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
