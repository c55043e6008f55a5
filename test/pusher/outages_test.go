package pusher

import (
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"wsfpm/test/stack"
)

func TestOutages(t *testing.T) {
	s := open(t, 1, "disconnect_retry = \"100ms\"")
	t.Run("a member whose end was lost is removed", s.loseAnEnd)
	t.Run("without Redis nothing is said to be done", s.loseRedis)
}

func (s *site) loseAnEnd(t *testing.T) {
	a, ghost := s.dial(t), s.dial(t)
	a.enter("presence-ghost", "ann")
	a.data("pusher_internal:subscription_succeeded", new(list))
	ghost.enter("presence-ghost", "ghost")
	a.data("pusher_internal:member_added", new(any))
	ghost.data("pusher_internal:subscription_succeeded", new(list))
	ghost.Send(`{"event":"pusher:ping","data":{}}`)
	ghost.Expect(`{"event":"pusher:pong","data":{}}`) // so the script before it has ended: the end waits for it
	s.fpm.Stop()
	ghost.Conn.CloseNow()
	stack.Wait(t, "the disconnect event to be given up", func() bool { return s.nodes[0].Metric(t, "wsfpm_disconnects_lost_total") == 1 })
	s.fpm.Start(t)
	stack.Wait(t, "PHP-FPM to be found again", func() bool { return s.nodes[0].Metric(t, "wsfpm_fpm_up") == 1 })

	const key = "pusher:" + appID + ":members:presence-ghost"
	for name, since := range map[string]string{ghost.socket: "0", "1.1": "9999999999"} { // the second one is not counted yet
		s.redis.Do(t, "hset", key, name, `{"user_id":"user `+name+`","user_info":null,"since":`+since+`}`)
	}
	b := s.dial(t)
	b.enter("presence-ghost", "bob")
	var l list
	b.data("pusher_internal:subscription_succeeded", &l)
	slices.Sort(l.Presence.IDs)
	if l.Presence.Count != 3 || strings.Join(l.Presence.IDs, " ") != "ann bob user 1.1" {
		t.Errorf("got %v, want ann, the one who is not counted yet, and bob", l)
	}
	var m struct {
		UserID string `json:"user_id"`
	}
	if a.data("pusher_internal:member_removed", &m); m.UserID != "user "+ghost.socket {
		t.Errorf("removed: got %v", m)
	}
	if a.data("pusher_internal:member_added", &m); m.UserID != "bob" {
		t.Errorf("added: got %v", m)
	}
}

func (s *site) loseRedis(t *testing.T) {
	c := s.dial(t)
	s.redis.Stop()
	const body = `{"name":"e","channels":["a"],"data":""}`
	sum := md5.Sum([]byte(body))
	query := fmt.Sprintf("auth_key=%s&auth_timestamp=%d&auth_version=1.0&body_md5=%x", appKey, time.Now().Unix(), sum)
	_, signature, _ := strings.Cut(auth("POST\n/apps/"+appID+"/events\n"+query), ":")
	answer, err := http.Post(s.nginx.URL()+"/apps/"+appID+"/events?"+query+"&auth_signature="+signature, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 500 {
		t.Errorf("an event: got %d, want 500", answer.StatusCode)
	}
	c.enter("presence-a", "ann")
	c.ExpectClose(1011)
}

func TestPusherJSComesBackAfterTheseCodes(t *testing.T) {
	stack.Integration(t)
	s := one
	codes := map[int]bool{1000: true, 1001: true, 1008: true, 1011: true, 1012: true, 1013: true, 4100: true, 4200: true, 4007: false, 4009: false, 4408: false}
	decided := 0
	program := s.node(t, "codes.mjs")
	for code := range codes {
		program.Args = append(program.Args, fmt.Sprint(code))
	}
	lines(t, program, func(line []byte) {
		var l struct {
			Socket  string
			Code    int
			Back    bool
			Seconds float64
		}
		if err := json.Unmarshal(line, &l); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if l.Socket != "" {
			s.nodes[0].Push(t, fmt.Sprintf(`{"to":"user:pusher:%s:%s","close":{"code":%d,"reason":"a test"}}`, appID, l.Socket, l.Code))
			return
		}
		decided++
		if l.Back != codes[l.Code] {
			t.Errorf("%d: back %v, want %v", l.Code, l.Back, codes[l.Code])
		}
		t.Logf("%d: back %v after %.2f s", l.Code, l.Back, l.Seconds)
	})
	if decided != len(codes) {
		t.Errorf("%d codes, want %d", decided, len(codes))
	}
}

func TestSoakAPageThatReadsTooSlowlyComesBack(t *testing.T) {
	stack.Integration(t)
	s := one
	program := s.node(t, "slow.mjs")
	slow := s.nodes[0].Metric(t, "wsfpm_slow_readers_total")
	seen := []string{}
	lines(t, program, func(line []byte) {
		seen = append(seen, string(line))
		if string(line) != "stop" {
			return
		}
		stopped := func(sig syscall.Signal) {
			if err := syscall.Kill(program.Process.Pid, sig); err != nil {
				t.Fatal(err)
			}
		}
		stopped(syscall.SIGSTOP)
		defer stopped(syscall.SIGCONT)
		event := `{"event":"e","channel":"flood","data":"` + strings.Repeat("x", 500_000) + `"}`
		stack.Wait(t, "a slow reader", func() bool {
			s.redis.Publish(t, "ws:channel:pusher:"+appID+":flood", event)
			return s.nodes[0].Metric(t, "wsfpm_slow_readers_total") > slow
		})
	})
	if got := strings.Join(seen, " "); got != "stop 4100 back" {
		t.Errorf("got %q, want stop 4100 back", got)
	}
}

func TestPresenceIsRightAfterANodesDeath(t *testing.T) {
	stack.Integration(t)
	s := two
	defer s.nodes[0].Start(t)
	last := ""
	lines(t, s.node(t, "death.mjs", s.ports()...), func(line []byte) {
		if last = string(line); last == "kill" {
			s.nodes[0].Kill()
		}
	})
	if last != "ok" {
		t.Errorf("the program ended after %q", last)
	}
}

func TestSoakPresenceOverRestarts(t *testing.T) {
	s := open(t, 2, "")
	program := s.node(t, "restarts.mjs")
	program.Args = append(program.Args, "6")
	in, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	round := 0
	lines(t, program, func(line []byte) {
		if string(line) != "restart" {
			t.Logf("%s", line)
			return
		}
		node := s.nodes[round%2]
		if round++; round == 3 {
			node.Kill()
		} else {
			node.Stop(t)
		}
		node.Start(t)
		if _, err := io.WriteString(in, "done\n"); err != nil {
			t.Error(err)
		}
	})
	if round != 6 {
		t.Errorf("%d restarts, want 6", round)
	}
}
