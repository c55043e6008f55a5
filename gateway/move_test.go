package gateway

import (
	"testing"
	"time"

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
		done <- h.carryOut(t.Context(), &session.Command{To: []session.Address{session.Channel("secret")}, Join: []string{"x"}, Message: session.NewMessage(false, []byte("for secret only"))}, s)
	}()
	time.Sleep(50 * time.Millisecond)
	if err := h.hub.Set(s, session.Standing{}, session.NewMessage(false, []byte("you have left"))); err != nil {
		t.Fatal(err)
	}
	s.UnlockChanges()
	<-done
	p.want("you have left")
	if _, got, err := p.Read(within(t, 500*time.Millisecond)); err == nil {
		t.Errorf("got %q behind the reply that left the channel; standing %v", got, s.Standing().Channels)
	}
}
