package session

import "testing"

// relaying adds a session that relays to the channel doc.
func relayingTo(t *testing.T, h *Hub, id string, m Membership) (*Session, *outlet) {
	t.Helper()
	o := new(outlet)
	s := New(id, o)
	if err := h.Add(s, m); err != nil {
		t.Fatal(err)
	}
	s.SetRelay(Relay{To: Channel("doc"), Binary: true}, s.RelayEnds())
	return s, o
}

func ended(s *Session) bool {
	r, _ := s.Relay()
	return r != nil && r.Ended
}

func TestARelayEnds(t *testing.T) {
	for name, end := range map[string]func(h *Hub, s *Session){
		"by the script": func(_ *Hub, s *Session) { s.SetRelay(Relay{Ended: true}, s.RelayEnds()) },
		"by a command": func(_ *Hub, s *Session) {
			_, _ = s.Deliver(&Command{To: []Address{User("1")}, Relay: &Relay{Ended: true}})
		},
		"left":           func(h *Hub, s *Session) { _ = h.Set(s, Membership{User: "1", Channels: []string{"x"}}) },
		"left by others": func(h *Hub, s *Session) { _, _ = h.Move(s, &Command{To: []Address{All}}, Membership{User: "1"}) },
		"another user":   func(h *Hub, s *Session) { _ = h.Set(s, Membership{User: "2", Channels: []string{"x", "doc"}}) },
		"no user":        func(h *Hub, s *Session) { _ = h.Set(s, Membership{Channels: []string{"x", "doc"}}) },
	} {
		t.Run(name, func(t *testing.T) {
			h := NewHub()
			s, _ := relayingTo(t, h, "a", Membership{User: "1", Channels: []string{"x", "doc"}})
			_ = h.Set(s, Membership{User: "1", State: "s", Channels: []string{"doc", "y"}})
			before, from := s.Relay()
			if before.Ended || from != User("1") || !before.Takes(true, nil) {
				t.Fatalf("it relays %+v from %v", before, from)
			}
			end(h, s)
			r, _ := s.Relay()
			if !r.Ended || !r.Takes(true, nil) || r.Takes(false, []byte("x")) {
				t.Fatalf("got %+v, want the same frames, ended", r)
			}
			_, _ = h.Move(s, &Command{To: []Address{All}}, Membership{User: "1", Channels: []string{"doc"}})
			if !ended(s) {
				t.Error("it came back with the channel")
			}
			s.SetRelay(Relay{}, s.RelayEnds())
			if r, _ := s.Relay(); r != nil {
				t.Errorf("got %+v, want none", r)
			}
		})
	}
}

// A change that was computed before a command ended the relay does not undo that.
func TestAnEndIsNotUndone(t *testing.T) {
	h := NewHub()
	s, _ := relayingTo(t, h, "a", Membership{User: "1", Channels: []string{"doc"}})
	old := s.Membership()
	_, _ = s.Deliver(&Command{To: []Address{User("1")}, Relay: &Relay{Ended: true}})
	old.State = "new"
	_ = h.Set(s, old)
	if !ended(s) {
		t.Error("it relays again")
	}
	s.SetRelay(Relay{To: Channel("other"), Binary: true}, s.RelayEnds())
	if !ended(s) {
		t.Error("it relays to a channel that the client is not in")
	}
}

// The script has asked whether its user may be in the channel before others made it leave.
func TestAnAnswerFromBeforeTheLeaveBringsNoRelayBack(t *testing.T) {
	t.Log("contract-row: 2.relay-late")
	h := NewHub()
	in := Membership{User: "1", Channels: []string{"doc"}}
	s, _ := relayingTo(t, h, "a", in)
	began := s.RelayEnds()
	_, _ = h.Move(s, &Command{To: []Address{User("1")}, Leave: []string{"doc"}}, Membership{User: "1"})
	_ = h.Set(s, in)
	s.SetRelay(Relay{To: Channel("doc"), Binary: true}, began)
	if !ended(s) {
		t.Error("it relays again")
	}
	s.SetRelay(Relay{To: Channel("doc"), Binary: true}, s.RelayEnds())
	if ended(s) {
		t.Error("a later answer brings no relay")
	}
}

func TestWhoIsBehind(t *testing.T) {
	h := NewHub()
	sender, _ := relayingTo(t, h, "a", Membership{User: "1", Channels: []string{"doc"}})
	reader, other := New("b", new(outlet)), New("c", new(outlet))
	_ = h.Add(reader, Membership{Channels: []string{"doc"}})
	_ = h.Add(other, Membership{})
	sender.SetRelay(Relay{To: User("2"), Binary: true}, sender.RelayEnds())
	if !h.Behind(sender, Channel("doc")) || h.Behind(sender, Channel("doc")) {
		t.Error("only the first loss is new")
	}
	if !sender.Behind() || !reader.Behind() || other.Behind() || len(h.TakeBehind()) != 2 || sender.Behind() {
		t.Error("a lost frame concerns its sender and the address")
	}
	_, _ = other.Deliver(&Command{To: []Address{All}, Message: NewMessageWith(Head{From: "user:9"}, true, nil)})
	h.AllBehind()
	if !sender.Behind() || reader.Behind() || !other.Behind() {
		t.Error("frames that may be lost concern those that send or got any")
	}
}
