package session

import (
	"bytes"
	"reflect"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]Address{
		"all":                All,
		"user:42":            User("42"),
		"channel:a:b c":      Channel("a:b c"),
		"conn:web1-ab12-xyz": Conn("web1-ab12-xyz"),
		"user:Zoë":           User("Zoë"),
	} {
		got, err := ParseAddress(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("%q: got %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "self", "ALL", "user", "user:", "room:1", "user:a,b", "channel: a", "channel:a ", "user:a;b", "channel:*",
		"user:\x00", "user:\x85", "user:\xff", "user:" + strings.Repeat("x", 201), "all:1"} {
		if got, err := ParseAddress(in); err == nil {
			t.Errorf("%q: got %v, want an error", in, got)
		}
	}
}

func TestDecodeCommands(t *testing.T) {
	commands, _, err := Decode([]byte(`[
		{"to": ["user:42", "channel:lobby"], "except": ["self", "user:7"], "data": "text"},
		{"to": "conn:1", "base64": "AAEC"},
		{"to": "user:42", "join": "a", "leave": ["*"], "close": {"code": 4001, "reason": "signed out"}},
		{"data": {"any": [1, 2]}, "user": "42", "state": ""}
	]`), FromAnswer)
	if err != nil {
		t.Fatal(err)
	}
	if got := commands[0].Except; !slices.Equal(got, []Address{Self, User("7")}) {
		t.Errorf("except: got %v", got)
	}
	if m := commands[1].Message; !m.Binary() || !bytes.Equal(m.Data(), []byte{0, 1, 2}) {
		t.Errorf("base64: got %v", m)
	}
	if c := commands[2]; c.Close.Code != 4001 || c.Join[0] != "a" || c.Leave[0] != "*" || c.Message != nil {
		t.Errorf("third command: got %+v", c)
	}
	if c := commands[3]; string(c.Message.Data()) != `{"any":[1,2]}` || *c.User != "42" || *c.State != "" {
		t.Errorf("fourth command: got %+v", c)
	}
}

func TestDurableIsForAnswersAndPushes(t *testing.T) {
	for _, from := range []Source{FromAnswer, FromPush} {
		list, _, err := Decode([]byte(`[{"to":"all","data":1,"durable":true},{"to":"all","data":1,"durable":false},{"to":"all","data":1}]`), from)
		if err != nil || !*list[0].Durable || *list[1].Durable || list[2].Durable != nil {
			t.Errorf("got %+v, %v", list, err)
		}
		if text, err := list[0].Encode(); err != nil || strings.Contains(string(text), "durable") {
			t.Errorf("another process gets %s, %v", text, err)
		}
	}
	list, unknown, err := Decode([]byte(`{"to":"all","data":1,"durable":true}`), FromBus)
	if err != nil || list[0].Durable != nil || unknown != `"durable"` {
		t.Errorf("from Redis: got %+v, %s, %v", list, unknown, err)
	}
}

func TestDecodeRefusesWithAReason(t *testing.T) {
	many := "[" + strings.Repeat(`{"data":1},`, MaxCommands) + `{"data":1}]`
	addresses := `{"to":["all"` + strings.Repeat(`,"user:1"`, MaxAddresses) + `],"data":1}`
	for _, test := range []struct {
		body string
		from Source
		want string
	}{
		{``, FromAnswer, "empty"},
		{`{"data":1} x`, FromAnswer, "after top-level value, at byte 12"},
		{`{"dat":1}`, FromAnswer, "dat"},
		{`{"to":"all","dat":1}`, FromPush, "dat"},
		{`{"data":1}`, FromPush, `"to" is missing`},
		{`{"data":1}`, FromBus, `"to" is missing`},
		{`{"to":"all","data":1,"base64":"AA=="}`, FromAnswer, "one of them"},
		{`{"to":"all","base64":"?"}`, FromAnswer, "base64"},
		{`{"to":"all","user":"x"}`, FromAnswer, "user"},
		{`{"to":"all","data":1,"durable":1}`, FromAnswer, "want true or false"},
		{`{"data":1,"durable":true}`, FromAnswer, "without \"to\""},
		{`{"to":"all","data":1,"join":"a","durable":true}`, FromPush, "join"},
		{`{"user":"a,b"}`, FromAnswer, "user"},
		{`{"state":"` + strings.Repeat("x", MaxState+1) + `"}`, FromAnswer, "state"},
		{`{"to":"all","except":"self","data":1}`, FromPush, "self"},
		{`{"except":"self","data":1}`, FromAnswer, "except"},
		{`{"to":"all","close":{"code":1002}}`, FromAnswer, "1002"},
		{`{"to":"all","close":{"code":1000,"reasn":""}}`, FromAnswer, "reasn"},
		{`{"to":"all","join":["a,b"]}`, FromAnswer, "join"},
		{`{"to":"all","leave":["a*"]}`, FromAnswer, "leave"},
		{`{"to":7}`, FromAnswer, `to: address "7": want conn:`},
		{"{\"data\":\"\xff\"}", FromAnswer, "UTF-8"},
		{many, FromAnswer, "1001"},
		{addresses, FromAnswer, "1001"},
		{`[{"to":"all","data":1},{"to":"al"}]`, FromPush, "command 2"},
	} {
		_, _, err := Decode([]byte(test.body), test.from)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%.60s: got %v, want %q in it", test.body, err, test.want)
		}
	}
}

func TestDecodePurges(t *testing.T) {
	for body, want := range map[string][]string{
		`{"purge": "/ws/prices"}`:                                {"/ws/prices"},
		`{"purge": ["/ws/prices", "*"]}`:                         {"/ws/prices", "*"},
		`{"to": "channel:a", "purge": "/ws/{script}", "data":1}`: {"/ws/{script}"},
	} {
		for _, from := range []Source{FromAnswer, FromPush, FromBus} {
			list, unknown, err := Decode([]byte(body), from)
			if err != nil || unknown != "" || !slices.Equal(list[0].Purge, want) {
				t.Errorf("%s from %v: got %+v, %q, %v", body, from, list, unknown, err)
				continue
			}
			text, err := list[0].Encode()
			back, _, err2 := Decode(text, FromBus)
			if err != nil || err2 != nil || !slices.Equal(back[0].Purge, want) {
				t.Errorf("%s reads back as %+v, %v, %v", text, back, err, err2)
			}
		}
	}
	for body, want := range map[string]string{
		`{"purge": "/a", "data": 1}`:                                   "stands alone",
		`{"purge": "/a", "user": "1"}`:                                 "stands alone",
		`{"purge": "/a", "durable": false}`:                            "stands alone",
		`{"to": "all", "purge": "/a", "data": 1, "durable": true}`:     "of its own",
		`{"purge": []}`:                                                "an empty list",
		`{"purge": ["/a", ""]}`:                                        `item 2: "": want the path`,
		`{"purge": "ws"}`:                                              `"ws": want the path of a route`,
		`{"purge": 7}`:                                                 `"7": want the path of a route`,
		`{"purge": true}`:                                              "got true, want the path",
		`{"purge": "/\u0000"}`:                                         "NUL",
		`{"purge": "/` + strings.Repeat("x", MaxPurge) + `"}`:          "1001 bytes",
		`{"purge": ["*"` + strings.Repeat(`,"*"`, MaxAddresses) + `]}`: "1001 paths",
	} {
		if _, _, err := Decode([]byte(body), FromPush); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60s: got %v, want %q in it", body, err, want)
		}
	}
}

func TestUnknownFieldsOnTheBusAreReported(t *testing.T) {
	commands, unknown, err := Decode([]byte(`{"to":"all","data":"x","urgent":true}`), FromBus)
	if err != nil || unknown != `"urgent"` || len(commands) != 1 {
		t.Fatalf("got %v, %q, %v", commands, unknown, err)
	}
}

func TestOnlyProcessesSayBefore(t *testing.T) {
	body := []byte(`{"to":["all"],"close":{"code":4001},"before":1764352271123456789}`)
	commands, unknown, err := Decode(body, FromBus)
	if err != nil || unknown != "" || commands[0].Before != 1764352271123456789 {
		t.Fatalf("got %+v, %q, %v", commands, unknown, err)
	}
	back, err := commands[0].Encode()
	if err != nil || string(back) != string(body) {
		t.Errorf("got %s, %v, want %s", back, err, body)
	}
	for _, from := range []Source{FromAnswer, FromPush} {
		if _, _, err := Decode(body, from); err == nil || !strings.Contains(err.Error(), `unknown field "before"`) {
			t.Errorf("from %v: got %v, want it refused as unknown", from, err)
		}
	}
	if _, _, err := Decode([]byte(`{"to":"all","before":"x"}`), FromBus); err == nil {
		t.Error("a before that is no time was taken")
	}
}

func TestEncodeReadsBack(t *testing.T) {
	close, _ := NewClose(4000, "bye")
	for _, c := range []Command{
		{To: []Address{All}, Message: NewMessage(false, []byte("a\u2028<b>\"ü"))},
		{To: []Address{User("1"), Channel("c")}, Except: []Address{Conn("x")}, Message: NewMessage(true, []byte{0, 0xff})},
		{To: []Address{User("1")}, Join: []string{"a"}, Leave: []string{"*"}, Close: &close},
		{To: []Address{User("1")}, Message: NewMessage(false, nil)},
	} {
		body, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		back, _, err := Decode(body, FromPush)
		if err != nil || len(back) != 1 || !same(back[0], c) {
			t.Errorf("%s: got %+v, %v, want %+v", body, back, err, c)
		}
	}
}

// same compares commands by what they say.
func same(a, b Command) bool {
	if (a.Message == nil) != (b.Message == nil) {
		return false
	}
	if a.Message != nil && (a.Message.Binary() != b.Message.Binary() || !bytes.Equal(a.Message.Data(), b.Message.Data())) {
		return false
	}
	a.Message, b.Message = nil, nil
	return reflect.DeepEqual(a, b)
}

func TestReasonIsCutAtACharacter(t *testing.T) {
	reason := strings.Repeat("x", 122) + "é!"
	if got := CutReason(reason); got != strings.Repeat("x", 122) {
		t.Errorf("got %q", got)
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, seed := range []string{"all", "user:42", "channel:a:b", "conn:", "user: x", "user:\xff", "self"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := ParseAddress(s)
		if err == nil && a.String() != s {
			t.Errorf("%q reads back as %q", s, a)
		}
	})
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{`{"to":"all","data":"x"}`, `[{"data":{"a":1}}]`, `{"to":["user:1"],"except":["self"],"base64":"AA=="}`,
		`{"close":{"code":4000}}`, `{"join":"a","leave":["*"],"user":"","state":"s"}`, `[]`, `null`, `[null]`,
		`{"expires":1767225600}`, `{"expires":"never"}`, `{"purge":"/ws"}`, `{"to":"all","purge":["*"],"data":1}`} {
		f.Add([]byte(seed), uint8(0))
	}
	f.Fuzz(func(t *testing.T, body []byte, from uint8) {
		commands, _, err := Decode(body, Source(from%3))
		if err != nil {
			return
		}
		for _, c := range commands {
			if Source(from%3) != FromAnswer && len(c.To) == 0 && (len(c.Purge) == 0 || c.Message != nil || c.Close != nil || len(c.Join)+len(c.Leave) > 0) {
				t.Fatal("a command without an address came from outside")
			}
			if c.Message != nil && !c.Message.Binary() && !utf8.Valid(c.Message.Data()) {
				t.Fatal("a text message is not UTF-8")
			}
			text, err := c.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if again, _, err := Decode(text, FromAnswer); c.Expires != nil && (err != nil || *again[0].Expires != *c.Expires) {
				t.Fatalf("%s reads back as %v, %v", text, again, err)
			}
		}
	})
}
