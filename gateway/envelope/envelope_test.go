package envelope

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"wsfpm/session"
)

func text(s string) *session.Message { return session.NewMessage(false, []byte(s)) }

func TestAMessageIsWrapped(t *testing.T) {
	at, err := session.ParsePosition("1795879931816-0-8ebb67")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		m    *session.Message
		want string
	}{
		{"an object", text(`{"a": [1, "x"]}`), `{"data":{"a": [1, "x"]}}`},
		{"a list with space around it", text(" [1]\n"), "{\"data\": [1]\n}"},
		{"a word", text("hello"), `{"data":"hello"}`},
		{"a number is text", text("42"), `{"data":"42"}`},
		{"a JSON string is text", text(`"x"`), `{"data":"\"x\""}`},
		{"null is text", text("null"), `{"data":"null"}`},
		{"broken JSON", text(`{"a":}`), `{"data":"{\"a\":}"}`},
		{"two values", text(`{}{}`), `{"data":"{}{}"}`},
		{"nothing", text(""), `{"data":""}`},
		{"space", text(" "), `{"data":" "}`},
		{"special characters", text("\"\\\n\r\t\x00\x1f\x7fü€😀</\u2028"), `{"data":"\"\\\n\r\t\u0000\u001f` + "\x7fü€😀</\u2028" + `"}`},
		{"no UTF-8", text("a\xffb\xc3"), "{\"data\":\"a\uFFFDb\uFFFD\"}"},
		{"no UTF-8 in an object", text("{\"a\":\"\xff\"}"), `{"data":"{\"a\":\"` + "\uFFFD" + `\"}"}`},
		{"binary", session.NewMessage(true, []byte{0, 1, 255}), `{"base64":"AAH/"}`},
		{"binary without a byte", session.NewMessage(true, nil), `{"base64":""}`},
		{"from the log", session.NewMessageWith(session.Head{At: at}, false, []byte("x")), `{"id":"1795879931816-0-8ebb67","data":"x"}`},
		{"binary from the log", session.NewMessageWith(session.Head{At: at}, true, []byte("x")), `{"id":"1795879931816-0-8ebb67","base64":"eA=="}`},
		{"a reply", session.NewMessageWith(session.Head{Re: "k7"}, false, []byte("[]")), `{"re":"k7","data":[]}`},
		{"a reply from the log", session.NewMessageWith(session.Head{At: at, Re: "k7"}, false, []byte("x")), `{"id":"1795879931816-0-8ebb67","re":"k7","data":"x"}`},
		{"raw", session.NewMessageWith(session.Head{At: at, Raw: []byte(`{"gap":true}`)}, false, []byte("x")), `{"gap":true}`},
		{"a finished reply", Reply{To: "k7"}.Message(), `{"re":"k7"}`},
		{"one of several replies", Reply{To: "k7", More: true, Data: text(`{"n":1}`)}.Message(), `{"re":"k7","more":true,"data":{"n":1}}`},
		{"a binary reply", Reply{To: "k7", Data: session.NewMessage(true, []byte("x"))}.Message(), `{"re":"k7","base64":"eA=="}`},
		{"a failure", Reply{To: "k7", Error: Failed}.Message(), `{"re":"k7","error":"failed"}`},
		{"a failure with text", Reply{To: "k7", Error: Failed, Data: text("sorry")}.Message(), `{"re":"k7","error":"failed","data":"sorry"}`},
		{"hello", Hello{Conn: `n"1-x`, Resume: New, Ping: 25 * time.Second}.Message(), `{"hello":{"conn":"n\"1-x","resume":"new","ping":25}}`},
		{"a reply that is not kept", Reply{To: "k7", Unkept: true}.Message(), `{"re":"k7","kept":false}`},
		{"a large reply", Reply{To: "k7", Unkept: true, Data: text("x")}.Message(), `{"re":"k7","kept":false,"data":"x"}`},
		{"hello where messages run once", Hello{Conn: "c", Resume: Off, Once: 2 * time.Minute, Most: 10, User: "k"}.Message(), `{"hello":{"conn":"c","resume":"off","ping":0,"user":"k","once":{"for":120,"most":10}}}`},
		{"hello of a user", Hello{Conn: "c", Resume: OK, User: "k"}.Message(), `{"hello":{"conn":"c","resume":"ok","ping":0,"user":"k"}}`},
		{"hello with a short interval", Hello{Conn: "c", Resume: Off, Ping: 150 * time.Millisecond}.Message(), `{"hello":{"conn":"c","resume":"off","ping":0.15}}`},
		{"no position", At(session.Position{}), `{}`},
		{"a position", At(at), `{"id":"1795879931816-0-8ebb67"}`},
		{"a gap", Missing(), `{"gap":true}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := string(Append([]byte("before"), c.m)); got != "before"+c.want {
				t.Errorf("got  %s\nwant before%s", got, c.want)
			}
		})
	}
}

func TestAPayloadIsTakenOut(t *testing.T) {
	for text, want := range map[string]Input{
		`{"data":"hello"}`:                                   {Body: []byte("hello")},
		`{"data":""}`:                                        {Body: []byte{}},
		`{"id":"k7","data":"x"}`:                             {"k7", []byte("x")},
		` { "data" : "x" , "id" : "A-z_9" } `:                {"A-z_9", []byte("x")},
		`{"data":"a\n\u00fc\ud83d\ude00\"\\"}`:               {Body: []byte("a\nü😀\"\\")},
		`{"data":"\ud800"}`:                                  {Body: []byte("\uFFFD")},
		`{"data":{ "a" : [ 1 , 2.50 ], "b":" "}}`:            {Body: []byte(`{"a":[1,2.50],"b":" "}`)},
		`{"data":12345678901234567890}`:                      {Body: []byte("12345678901234567890")},
		`{"data":null}`:                                      {Body: []byte("null")},
		`{"data":true}`:                                      {Body: []byte("true")},
		`{"\u0064ata":"x"}`:                                  {Body: []byte("x")},
		`{"id":"` + strings.Repeat("x", 64) + `","data":[]}`: {strings.Repeat("x", 64), []byte("[]")},
	} {
		got, err := Parse([]byte(text))
		if err != nil || got.ID != want.ID || string(got.Body) != string(want.Body) {
			t.Errorf("%s: got %q %q, %v, want %q %q", text, got.ID, got.Body, err, want.ID, want.Body)
		}
	}
}

func TestAMessageThatIsNoEnvelopeIsRefused(t *testing.T) {
	for text, want := range map[string]string{
		``:                             "not JSON",
		`hello`:                        "not JSON",
		`{"data":"x"`:                  "not JSON",
		`{"data":"x",}`:                "not JSON",
		`{"data":"x"]`:                 "not JSON",
		`{data:"x"}`:                   "not JSON",
		`{"data":x}`:                   "not JSON",
		`"hello"`:                      "not an object",
		`[{"data":"x"}]`:               "not an object",
		`42`:                           "not an object",
		`{"data":"x"} {"data":"y"}`:    "after the envelope",
		`{"data":"x"}x`:                "after the envelope",
		`{}`:                           `no "data"`,
		`{"id":"k7"}`:                  `no "data"`,
		`{"type":"x","data":"y"}`:      `unknown field "type"`,
		`{"Data":"y"}`:                 `unknown field "Data"`,
		`{"data":"x","data":"y"}`:      `"data" stands twice`,
		`{"id":"a","id":"b","data":1}`: `"id" stands twice`,
		`{"id":7,"data":1}`:            "the id of the envelope",
		`{"id":null,"data":1}`:         "the id of the envelope",
		`{"id":"","data":1}`:           "the id of the envelope",
		`{"id":"a b","data":1}`:        "the id of the envelope",
		`{"id":"` + strings.Repeat("x", 65) + `","data":1}`: "the id of the envelope",
		`{"data":` + strings.Repeat("[", 20_000) + `}`:      "not JSON",
		`{"` + strings.Repeat("long", 100) + `":1}`:         "unknown field",
	} {
		_, err := Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.100s: got %v, want an error with %q", text, err, want)
			continue
		}
		if reason := err.Error(); len(reason) > session.MaxCloseReason || !utf8.ValidString(reason) {
			t.Errorf("%.100s: %q does not fit a Close frame", text, reason)
		}
	}
}

// What Append makes is one JSON object with the payload in it.
func FuzzAppend(f *testing.F) {
	for _, s := range []string{"", "x", "{}", `[1,"é"]`, "\x00\xff", `{"a":}`, " {} ", "\ufeff{}"} {
		f.Add([]byte(s), false, "")
		f.Add([]byte(s), true, "k7")
	}
	f.Fuzz(func(t *testing.T, data []byte, binary bool, re string) {
		out := Append(nil, session.NewMessageWith(session.Head{Re: re}, binary, data))
		var got struct {
			Re     *string
			Data   json.RawMessage
			Base64 *string
		}
		if !utf8.Valid(out) {
			t.Fatalf("%q is not UTF-8", out)
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%q: %v", out, err)
		}
		if re != "" && (got.Re == nil || *got.Re != strings.ToValidUTF8(re, "\uFFFD") && utf8.ValidString(re)) {
			t.Errorf("%q has not the id %q", out, re)
		}
		if binary {
			back, err := base64.StdEncoding.DecodeString(*got.Base64)
			if err != nil || string(back) != string(data) {
				t.Errorf("%q: got %q, %v, want %q", out, back, err, data)
			}
			return
		}
		var s string
		switch err := json.Unmarshal(got.Data, &s); {
		case err != nil && string(got.Data) != strings.Trim(string(data), " \t\r\n"):
			t.Errorf("%q: data is %q, want %q", out, got.Data, data)
		case err == nil && utf8.Valid(data) && s != string(data):
			t.Errorf("%q: data is %q, want %q", out, s, data)
		}
	})
}

// Parse agrees with a plain reading of the same object.
func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"data":"x"}`, `{"id":"k7","data":{"a":[1, 2]}}`, `{"data":null}`, `{}`, `{"data":"\ud800"}`, `[1]`, `{"data":1}2`, ` {"data" : 1e5 }`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			t.Skip("package ws refuses such text")
		}
		original := string(data)
		in, err := Parse(data)
		var plain map[string]json.RawMessage
		if plainErr := json.Unmarshal([]byte(original), &plain); plainErr != nil || plain["data"] == nil {
			if err == nil {
				t.Fatalf("%q was accepted: %v", original, plainErr)
			}
			return
		}
		if err != nil {
			return // stricter: fields, ids
		}
		var id, s string
		_ = json.Unmarshal(plain["id"], &id) // absent: ""
		want := ""
		if json.Unmarshal(plain["data"], &s) == nil && plain["data"][0] == '"' {
			want = s
		} else {
			compact, _ := json.Marshal(plain["data"])
			want = string(compact)
			want = strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(want)
			in.Body = []byte(strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&", `\u2028`, "\u2028", `\u2029`, "\u2029").Replace(string(in.Body)))
		}
		if in.ID != id || string(in.Body) != want {
			t.Errorf("%q: got %q %q, want %q %q", original, in.ID, in.Body, id, want)
		}
		if len(in.ID) > MaxID || len(in.Body) > len(original) {
			t.Errorf("%q: the result is longer than the text", original)
		}
	})
}
