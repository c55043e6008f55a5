package bus

import (
	"slices"
	"testing"
	"unicode/utf8"

	"wsfpm/session"
)

func TestAFrameTravels(t *testing.T) {
	for _, want := range []session.Command{
		{To: []session.Address{session.Channel("doc")}, Message: session.NewMessageWith(session.Head{From: "user:7"}, true, []byte{0, 255})},
		{To: []session.Address{session.User("7")}, Except: []session.Address{session.Conn("n-1")},
			Message: session.NewMessageWith(session.Head{From: "conn:n-1", Wrapped: true}, false, []byte(`{"from":"conn:n-1","data":"ü"}`))},
		{To: []session.Address{session.Conn("x")}, Message: session.NewMessageWith(session.Head{From: "user:7"}, false, nil)},
	} {
		payload := string(encodeFrame(&want))
		got, err := decodeFrame(payload, want.To[0])
		if err != nil || !sameFrame(&got, &want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		if utf8.ValidString(payload) || !isFrame(&want) || !hasFrame(payload) {
			t.Errorf("%q could be taken for a text", payload)
		}
	}
}

func sameFrame(a, b *session.Command) bool {
	return slices.Equal(a.To, b.To) && slices.Equal(a.Except, b.Except) && a.Message.Binary() == b.Message.Binary() &&
		string(a.Message.Data()) == string(b.Message.Data()) && a.Message.Head().From == b.Message.Head().From && a.Message.Head().Wrapped == b.Message.Head().Wrapped
}

// A payload goes to the address on whose channel it was published, or nowhere.
func FuzzFrame(f *testing.F) {
	c := session.Command{Except: []session.Address{session.Conn("n-1")}, Message: session.NewMessageWith(session.Head{From: "user:7"}, false, []byte("x"))}
	f.Add(string(encodeFrame(&c)), "channel:doc")
	f.Add(frameMark+"\x00", "user:7")
	f.Add(frameMark+"\x03\x06user:7\x00x", "conn:1")
	f.Add(frameMark+"\x00\x06user:7\xff", "conn:1")
	f.Fuzz(func(t *testing.T, payload, address string) {
		to, err := session.ParseAddress(address)
		if err != nil {
			t.Skip()
		}
		c, err := decodeFrame(payload, to)
		if err != nil {
			return
		}
		if !slices.Equal(c.To, []session.Address{to}) || to.Kind == session.KindAll || len(c.Except) > 1 || !isFrame(&c) {
			t.Fatalf("%q gives %+v", payload, c)
		}
		if !c.Message.Binary() && !utf8.Valid(c.Message.Data()) {
			t.Fatalf("%q gives a text that is not UTF-8", payload)
		}
		again, err := decodeFrame(string(encodeFrame(&c)), to)
		if err != nil || !sameFrame(&again, &c) {
			t.Fatalf("%+v reads back as %+v, %v", c, again, err)
		}
	})
}
