package gateway

import (
	"testing"

	"wsfpm/session"
)

func TestMoveChecksTheAddressUnderTheLock(t *testing.T) {
	h := start(t, func(map[string]string, string) (string, string) { return "WS-Join: secret", "" }, nil)
	p := h.dial("/", nil)
	eventually(t, "there", func() bool { return h.hub.Len() == 1 })
	s := h.hub.Find([]session.Address{session.All})[0]
	s.LockChanges() // an answer that leaves "secret" waits for Redis
	done := make(chan bool)
	go func() {
		done <- h.move(t.Context(), s, &session.Command{To: []session.Address{session.Channel("secret")}, Join: []string{"x"}, Message: session.NewMessage(false, []byte("for secret only"))})
	}()
	eventually(t, "the command to wait for the membership", func() bool { return waitsIn("session.(*Session).LockChanges") })
	if err := h.hub.Set(s, session.Membership{}, session.NewMessage(false, []byte("you have left"))); err != nil {
		t.Fatal(err)
	}
	s.UnlockChanges()
	if <-done {
		t.Errorf("a client that has left the channel was meant; membership %v", s.Membership().Channels)
	}
	if err := s.Reply(session.NewMessage(false, []byte("the next"))); err != nil {
		t.Fatal(err)
	}
	p.want("you have left")
	p.want("the next")
}
