package delivery

import (
	"slices"
	"testing"

	"wsfpm/session"
)

func TestABugInOneDeliveryEndsOneConnection(t *testing.T) {
	to := []session.Address{session.Channel("room")}
	x := session.NewMessage(false, []byte("x"))
	for name, act := range map[string]func(*lab){
		"a push": func(l *lab) { l.deliver(&session.Command{To: to, Message: x}) },
		"a join": func(l *lab) { l.deliver(&session.Command{To: to, Message: x, Join: []string{"y"}}) },
		"a gap":  func(l *lab) { l.pass(l.Gap(position(9), true)) },
	} {
		t.Run(name, func(t *testing.T) {
			l, w := newLab(t), &window{}
			w.add("nowhere")
			l.hub.SetWindow(w)
			outs, release := l.busy(3)
			for _, s := range l.hub.Find(to) {
				s.SetGap(x)
			}
			outs[0].bug = true
			act(l)
			release()
			l.idle()
			l.send("last", session.All)
			l.idle()
			for i, o := range outs[1:] {
				if got := o.messages(); !slices.Equal(got, []string{"x", "last"}) || o.code() != 0 {
					t.Errorf("client %d got %v, close %d", i+1, got, o.code())
				}
			}
			eventually(t, "the client is closed", func() bool { return outs[0].code() == 1011 })
			if got := l.panics.Load(); got != 1 {
				t.Errorf("%d panics were reported, want 1", got)
			}
		})
	}
}
