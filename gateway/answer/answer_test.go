package answer

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"wsfpm/fcgi"
	"wsfpm/session"
)

func fields(lines ...string) (h fcgi.Header) {
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h = append(h, fcgi.Field{Name: name, Value: value})
	}
	return h
}

// parse does to an answer what the gateway does.
func parse(status int, body string, lines ...string) (Reply, error) {
	h, err := ParseHead(status, fields(lines...))
	if err != nil {
		return Reply{}, err
	}
	return Parse(h, []byte(body))
}

func sent(a Reply) (texts []string) {
	for _, c := range append([]session.Command{a.Own}, a.More...) {
		if c.Message != nil {
			texts = append(texts, string(c.Message.Data()))
		}
	}
	return texts
}

func TestBodyBecomesOneMessage(t *testing.T) {
	for _, test := range []struct {
		name, contentType, body string
		status                  int
		want                    []string
		binary                  bool
	}{
		{"echo", "text/html; charset=UTF-8", "hi", 200, []string{"hi"}, false},
		{"no content type", "", "hi", 200, []string{"hi"}, false},
		{"nothing", "text/html", "", 200, nil, false},
		{"blank", "text/html", " \r\n\t", 200, nil, false},
		{"204", "text/html", "", 204, nil, false},
		{"byte order mark", "text/html", "\xef\xbb\xbfhi", 200, []string{"hi"}, false},
		{"only a mark", "text/html", "\xef\xbb\xbf\n", 200, nil, false},
		{"bytes", "application/octet-stream", "\x00\xff", 200, []string{"\x00\xff"}, true},
		{"blank bytes", "application/octet-stream", " ", 200, []string{" "}, true},
		{"bytes with a mark", "application/octet-stream", "\xef\xbb\xbf", 200, []string{"\xef\xbb\xbf"}, true},
		{"image", "IMAGE/PNG", "\x89PNG", 200, []string{"\x89PNG"}, true},
		{"msgpack", "application/x-msgpack; v=1", "\x80", 200, []string{"\x80"}, true},
		{"json is text", "application/json", "{}", 200, []string{"{}"}, false},
	} {
		var lines []string
		if test.contentType != "" {
			lines = append(lines, "Content-Type: "+test.contentType)
		}
		a, err := parse(test.status, test.body, lines...)
		if err != nil || !slices.Equal(sent(a), test.want) {
			t.Errorf("%s: got %q, %v, want %q", test.name, sent(a), err, test.want)
			continue
		}
		if len(test.want) > 0 && a.Own.Message.Binary() != test.binary {
			t.Errorf("%s: binary is %v, want %v", test.name, !test.binary, test.binary)
		}
	}
}

func TestHeadersBecomeACommand(t *testing.T) {
	a, err := parse(200, "hi",
		"ws-user: 42", "WS-Join: a, b", "Ws-Join: c", "WS-Leave: *, d", "WS-State: {\"a\": 1, \"b\": 2}", "WS-Close: 4001 go away, now",
		"Set-Cookie: a=1", "Set-Cookie: b=2", "WS-Accept: 1", "X-Powered-By: PHP")
	if err != nil {
		t.Fatal(err)
	}
	own := a.Own
	if *own.User != "42" || !slices.Equal(own.Join, []string{"a", "b", "c"}) || !slices.Equal(own.Leave, []string{"*", "d"}) ||
		*own.State != `{"a": 1, "b": 2}` || *own.Close != (session.Close{Code: 4001, Reason: "go away, now"}) {
		t.Errorf("got %+v", own)
	}
	if len(a.Head.Cookies) != 2 || !a.Head.Accepted {
		t.Errorf("got %+v", a.Head)
	}
}

// A site may tell "admin" from the same with a no-break space, which PHP's trim() leaves.
func TestANameKeepsItsWhiteSpace(t *testing.T) {
	t.Log("contract-row: 2.names")
	a, err := parse(200, "hi", "WS-User: \t\u00a0admin ", "WS-Join: a\u3000,\t\u2003b ; live", "WS-Leave: \u00a0c", "WS-State: \u00a0s",
		"WS-Publish: user:x\u00a0, user:y ; except=user:z\u00a0", "WS-Relay: channel:a\u3000; binary")
	if err != nil {
		t.Fatal(err)
	}
	own := a.Own
	if *own.User != "\u00a0admin" || !slices.Equal(own.Join, []string{"a\u3000", "\u2003b"}) || !slices.Equal(own.Leave, []string{"\u00a0c"}) || *own.State != "\u00a0s" {
		t.Errorf("got %+v", own)
	}
	if to := a.Others[0].To; to[0] != session.User("x\u00a0") || to[1] != session.User("y") || a.Others[0].Except[0] != session.User("z\u00a0") {
		t.Errorf("got %+v", a.Others)
	}
	if r := a.Relay(); r.To != session.Channel("a\u3000") {
		t.Errorf("got %+v", r)
	}
	if _, err := parse(200, "", "WS-User: \u0085a"); err == nil {
		t.Error("a control character is cut from a name")
	}
}

func TestTheScriptSaysWhichMissedMessagesAreSent(t *testing.T) {
	h, err := ParseHead(200, fields("WS-Join: a, b ; live", "WS-Join: c", "WS-Join: ;live", "ws-join: d;  live", "WS-Resume: 17-2-8ebb67"))
	if err != nil || !slices.Equal(h.Own.Join, []string{"a", "b", "c", "d"}) || !slices.Equal(h.Live, []string{"a", "b", "d"}) {
		t.Errorf("got %q, live %q, %v", h.Own.Join, h.Live, err)
	}
	if h.Resume != (Resume{Named: true, After: session.Position{Milli: 17, Seq: 2, Tag: h.Resume.After.Tag}}) || h.Resume.After.String() != "17-2-8ebb67" {
		t.Errorf("got %+v", h.Resume)
	}
	if h, err = ParseHead(200, fields("WS-Resume: no")); err != nil || h.Resume != (Resume{Named: true, Never: true}) {
		t.Errorf("got %+v, %v", h.Resume, err)
	}
	for _, line := range []string{"WS-Join: a; dead", "WS-Join: a; live; live", "WS-Join: a;", "WS-Join: a; live=1", "WS-Leave: a; live",
		"WS-Resume:", "WS-Resume: ", "WS-Resume: No", "WS-Resume: 17-2", "WS-Resume: 17-2-8ebb67 ok"} {
		if _, err := ParseHead(200, fields(line)); err == nil {
			t.Errorf("%s was accepted", line)
		}
	}
	if _, err := ParseHead(200, fields("WS-Resume: no", "WS-Resume: no")); err == nil {
		t.Error("two of them were accepted")
	}
}

func TestEmptyUserAndStateAreCleared(t *testing.T) {
	a, err := parse(200, "", "WS-User: ", "WS-State: ")
	if err != nil || a.Own.User == nil || *a.Own.User != "" || a.Own.State == nil || *a.Own.State != "" {
		t.Errorf("got %+v, %v", a.Own, err)
	}
}

func TestPublishTakesTheBodyAway(t *testing.T) {
	a, err := parse(200, "hi", "WS-Publish: channel:a, user:7; except=self")
	if err != nil {
		t.Fatal(err)
	}
	if len(sent(a)) != 0 || len(a.Others) != 1 {
		t.Fatalf("got %+v", a)
	}
	c := a.Others[0]
	if !slices.Equal(c.To, []session.Address{session.Channel("a"), session.User("7")}) || !slices.Equal(c.Except, []session.Address{session.Self}) ||
		string(c.Message.Data()) != "hi" {
		t.Errorf("got %+v", c)
	}
	if a, err := parse(200, " ", "WS-Publish: all"); err != nil || len(a.Others) != 0 {
		t.Errorf("a blank body: got %+v, %v", a, err)
	}
}

func TestARepeatedPublishAddsUp(t *testing.T) {
	a, err := parse(200, "hi", "WS-Publish: channel:a, user:7", "WS-Publish: user:8; except=self", "WS-Publish: ")
	if err != nil || len(a.Others) != 1 {
		t.Fatalf("got %d commands, %v, want one", len(a.Others), err)
	}
	want := []session.Address{session.Channel("a"), session.User("7"), session.User("8")}
	if c := a.Others[0]; !slices.Equal(c.To, want) || !slices.Equal(c.Except, []session.Address{session.Self}) {
		t.Errorf("got %v except %v, want %v except self", c.To, c.Except, want)
	}
}

func TestAnEmptyPublishIsForNoClient(t *testing.T) {
	for _, lines := range [][]string{{"WS-Publish: "}, {"WS-Publish:  ; except=self"}, {"WS-Publish: ", "WS-Publish: "}} {
		a, err := parse(200, "hi", append(lines, "WS-State: s")...)
		if err != nil || len(sent(a)) != 0 || len(a.Others) != 0 || a.Own.State == nil {
			t.Errorf("%q: got %+v, %v, want the state and no message", lines, a, err)
		}
	}
	a, err := parse(200, "hi", "WS-Publish: ", "WS-Publish: user:1")
	if err != nil || len(a.Others) != 1 || len(a.Others[0].To) != 1 {
		t.Errorf("an empty line and one with an address: got %+v, %v", a, err)
	}
	for _, media := range []string{typeCommands, typeStream} {
		if _, err := parse(200, "", "WS-Publish: ", "Content-Type: "+media); err == nil {
			t.Errorf("an empty WS-Publish beside %s passes", media)
		}
	}
}

func TestMalformedAnswers(t *testing.T) {
	for _, lines := range [][]string{
		{"WS-Usr: 42"}, {"WS-Resume: x"}, {"WS-Publish: ,"}, {"WS-Publish: user:1,"}, {"WS-Close: +4001"}, {"WS-Close: 04001.0"},
		{"WS-Accept: 0"}, {"WS-Accept: "}, {"WS-Accept: true"}, {"WS-Accept: 1, 1"}, {"WS-Accept: 1", "WS-Accept: 1"},
		{"WS-User: a", "ws-user: a"}, {"WS-State: a", "WS-State: b"}, {"WS-Close: 1000", "WS-Close: 1000"}, {"WS-Protocol: a", "WS-Protocol: b"},
		{"WS-User: a,b"}, {"WS-User: " + strings.Repeat("x", 201)}, {"WS-Join: a*"}, {"WS-Join: *"}, {"WS-Join: a,,b"}, {"WS-Leave: a;b"},
		{"WS-State: " + strings.Repeat("x", session.MaxState+1)},
		{"WS-Close: 1002"}, {"WS-Close: gone"}, {"WS-Close: "}, {"WS-Close: 5000"},
		{"WS-Publish: lobby"}, {"WS-Publish: channel:a; except"}, {"WS-Publish: channel:a; only=self"}, {"WS-Publish: self"},
		{"Content-Encoding: gzip"},
		{"Content-Type: application/vnd.wsfpm+json", "WS-Publish: all"},
		{"Content-Type: application/x-ndjson", "WS-Publish: all"},
		{"Content-Type: application/vnd.wsfpm+json"},
	} {
		if a, err := parse(200, "hi", lines...); err == nil {
			t.Errorf("%.60q: got %+v, want an error", lines, a)
		}
	}
	if _, err := parse(200, "\xff"); err == nil {
		t.Error("text that is not UTF-8 was taken")
	}
}

func TestCommandsAreSorted(t *testing.T) {
	a, err := parse(200, "\xef\xbb\xbf"+`[{"data":"1"},{"to":"user:7","data":"2"},{"data":"3","join":["x"]}]`,
		"Content-Type: application/vnd.wsfpm+json; charset=utf-8", "WS-Join: y")
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(sent(a), []string{"1", "3"}) || len(a.Others) != 1 || a.Own.Join[0] != "y" {
		t.Errorf("got %+v", a)
	}
}

func TestStreamThatIsCompleteBecomesMessages(t *testing.T) {
	a, err := parse(200, "{\"a\":1}\r\n\n{\"b\":2}", "Content-Type: application/x-ndjson")
	if err != nil || !slices.Equal(sent(a), []string{`{"a":1}`, `{"b":2}`}) {
		t.Errorf("got %q, %v", sent(a), err)
	}
}

func TestARelayIsRead(t *testing.T) {
	doc := session.Channel("doc")
	for value, want := range map[string]session.Relay{
		"":                                {Ended: true},
		"php":                             {},
		"channel:doc; binary":             {To: doc, Binary: true},
		"user:7;prefix=c:;raw":            {To: session.User("7"), Prefix: "c:", Raw: true},
		` conn:a-1 ; prefix={"c": ; echo`: {To: session.Conn("a-1"), Prefix: `{"c":`, Echo: true},
		"channel:doc; binary; prefix=c=; rate=20; latest=50ms; copy=5s": {
			To: doc, Binary: true, Prefix: "c=", Rate: 20, Latest: 50, Copy: 5000},
	} {
		a, err := parse(200, "", "WS-Relay: "+value)
		if err != nil || *a.Relay() != want || !a.IsChange() {
			t.Errorf("%s: got %+v, %v, want %+v", value, a.Relay(), err, want)
		}
	}
	for value, want := range map[string]string{
		"off":                                 "want conn:",
		"all; binary":                         "cannot go to",
		"self; binary":                        "want conn:",
		"channel:doc":                         "no frames are named",
		"channel:doc; echo":                   "no frames are named",
		"channel:doc; binary; durable":        "not stored",
		"channel:doc; binary; fast":           "want binary",
		"channel:doc; binary; binary":         "stands twice",
		"channel:doc; binary=1":               "has no value",
		"channel:doc; binary; raw":            "raw without prefix",
		"channel:doc; prefix=":                "want 1 to 64",
		"channel:doc; prefix=" + long:         "want 1 to 64",
		"channel:doc; prefix=\xff":            "not UTF-8",
		"channel:doc; binary; rate=0":         "frames a second",
		"channel:doc; binary; rate=1.5":       "frames a second",
		"channel:doc; binary; latest=1ms":     "want a time",
		"channel:doc; binary; latest=50":      "want a time",
		"channel:doc; binary; copy=100ms":     "want a time",
		"channel:doc, channel:b; binary":      "name has",
		"channel:doc; binary; copy=5s; x=y":   "want binary",
		"channel:doc; binary; latest=1000h":   "want a time",
		"channel:doc; binary; copy=5s; =copy": "want binary",
	} {
		if _, err := parse(200, "", "WS-Relay: "+value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", value, err, want)
		}
	}
	if _, err := parse(200, "", "WS-Relay: php", "WS-Relay: php"); err == nil {
		t.Error("two of them were accepted")
	}
}

// long is a prefix that is too long.
var long = strings.Repeat("x", session.MaxRelayPrefix+1)

func FuzzParse(f *testing.F) {
	f.Add(200, "Content-Type: text/html\nWS-Join: a, b", "hi")
	f.Add(200, "Content-Type: application/vnd.wsfpm+json\nWS-User: x", `{"to":"all","data":"x"}`)
	f.Add(200, "WS-Publish: channel:a; except=self\nWS-Close: 4000 bye", "x")
	f.Add(200, "WS-Join: a\nWS-Relay: channel:a; binary; prefix=c:; raw; echo; rate=9; latest=50ms; copy=5s", "")
	f.Add(204, "Content-Type: application/x-ndjson", "a\nb")
	f.Fuzz(func(t *testing.T, status int, lines, body string) {
		a, err := parse(status, body, strings.Split(lines, "\n")...)
		if err != nil {
			return
		}
		for _, c := range append(append([]session.Command{a.Own}, a.More...), a.Others...) {
			if c.Message != nil && !c.Message.Binary() && !utf8.Valid(c.Message.Data()) {
				t.Fatal("a text message is not UTF-8")
			}
			for _, name := range c.Join {
				if session.CheckName(name) != nil {
					t.Fatalf("joined a channel named %q", name)
				}
			}
		}
		if r := a.Relay(); r != nil && *r != (session.Relay{Ended: true}) {
			again, err := parse(200, "", "WS-Relay: "+r.String())
			if err != nil || *again.Relay() != *r {
				t.Fatalf("%+v does not read back: %v", *r, err)
			}
		}
		for _, c := range a.Others {
			if len(c.To) == 0 {
				t.Fatal("a command for others has no address")
			}
		}
	})
}

// An answer is a kilobyte: on the heap it would be the largest allocation of a message.
func TestWhatIsReadOfAReplyLeavesItOnTheStack(t *testing.T) {
	own := session.Command{Close: &session.Close{Code: 1000}}
	if n := testing.AllocsPerRun(100, func() {
		a := Reply{Own: own}
		if a.Expires() != nil || a.NewState() != nil || a.Relay() != nil || a.Closing() != own.Close {
			t.Error("another value than the command's")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
