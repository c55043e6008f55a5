package session

import (
	"testing"
	"unsafe"
)

// A client's names come in the headers of an answer, of a kilobyte in some frameworks. They last
// as long as the client, and must not keep all of that.
func TestAMembershipKeepsNoMoreThanItsOwnTexts(t *testing.T) {
	answer := "WS-User: ada\r\nWS-Join: room\r\nWS-State: new\r\n"
	part := func(from int, text string) string {
		if answer[from:from+len(text)] != text {
			t.Fatal(answer[from:])
		}
		return answer[from : from+len(text)]
	}
	user, state := part(9, "ada"), part(39, "new")
	m, err := Membership{}.With(Command{User: &user, Join: []string{part(23, "room")}, State: &state}, 0)
	if err != nil || m.User != "ada" || m.State != "new" || len(m.Channels) != 1 || m.Channels[0] != "room" {
		t.Fatal(m, err)
	}
	begin := uintptr(unsafe.Pointer(unsafe.StringData(answer)))
	for _, text := range []string{m.User, m.State, m.Channels[0]} {
		if at := uintptr(unsafe.Pointer(unsafe.StringData(text))); at >= begin && at < begin+uintptr(len(answer)) {
			t.Errorf("%q is a part of the answer", text)
		}
	}
}
