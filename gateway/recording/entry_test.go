package recording

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"wsfpm/fcgi"
	"wsfpm/gateway"
	"wsfpm/gateway/answer"
	"wsfpm/session"
)

// event is an event with a bit of everything.
func event(t *testing.T, body string, header ...string) *gateway.Event {
	t.Helper()
	var fields fcgi.Header
	for i := 0; i < len(header); i += 2 {
		fields = append(fields, fcgi.Field{Name: header[i], Value: header[i+1]})
	}
	head, err := answer.ParseHead(200, fields)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := answer.Parse(head, []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	return &gateway.Event{
		Kind: "message", Connection: "n-1", Route: "/ws", User: "42",
		Data: []byte("hello"), Took: 1500 * time.Microsecond, Outcome: "ok", Reply: &reply,
	}
}

func TestAnEntryIsTheSameAfterItsLine(t *testing.T) {
	for name, e := range map[string]*gateway.Event{
		"text":     event(t, "hi", "WS-User", "42", "WS-Join", "a,b;live", "WS-State", "s", "WS-Close", "4001 bye", "Set-Cookie", "a=b"),
		"expires":  event(t, "hi", "WS-Expires", "4102444800"),
		"nothing":  event(t, ""),
		"others":   event(t, "hi", "WS-Publish", "channel:a;except=self;durable"),
		"binary":   event(t, "\xff\x00", "Content-Type", "application/octet-stream"),
		"commands": event(t, `[{"data":"x"},{"to":"all","leave":"*","close":{"code":1000}}]`, "Content-Type", "application/vnd.wsfpm+json"),
		"failed": {Kind: "connect", Route: "/ws", Outcome: "refused",
			Failure: &gateway.Failure{Reason: "no", Status: 403, Body: []byte("\xff"), Close: &session.Close{Code: 1011}}},
	} {
		entry := Of(e)
		entry.SetParams(map[string]string{"A": "ü", "B": "\xff"})
		line, err := entry.Line()
		if err != nil {
			t.Fatal(err)
		}
		var back Entry
		if err := json.Unmarshal(line, &back); err != nil || !reflect.DeepEqual(&back, entry) {
			t.Errorf("%s: got %+v, %v, want %+v", name, back, err, entry)
		}
		if all := back.AllParams(); all["A"] != "ü" || all["B"] != "\xff" {
			t.Errorf("%s: the parameters are %q", name, all)
		}
	}
}

func TestTheContentOfAMessageIsKnownOrNot(t *testing.T) {
	text := "x"
	for _, test := range []struct {
		data  *Data
		want  string
		known bool
	}{
		{nil, "", true},
		{&Data{}, "", true},
		{&Data{Text: &text, Bytes: 1}, "x", true},
		{&Data{Base64: []byte{255}, Bytes: 1, Binary: true}, "\xff", true},
		{&Data{Bytes: 7}, "", false},
		{&Data{Bytes: 7, Binary: true}, "", false},
	} {
		if got, known := test.data.Content(); string(got) != test.want || known != test.known {
			t.Errorf("%+v: got %q, %v", test.data, got, known)
		}
	}
}
