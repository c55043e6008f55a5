package session

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestIntegersStandForTheirText(t *testing.T) {
	list, _, err := Decode([]byte(`[
		{"user": 42, "state": -7, "join": [1, "b", 3], "leave": 9, "close": {"code": 4001, "reason": 5}},
		{"user": 123456789012345678901234567890},
		{"data": 1e999}, {"data": null}, {"data": 12345678901234567890.10}
	]`), FromAnswer)
	if err != nil {
		t.Fatal(err)
	}
	c := list[0]
	if *c.User != "42" || *c.State != "-7" || !slices.Equal(c.Join, []string{"1", "b", "3"}) || !slices.Equal(c.Leave, []string{"9"}) ||
		*c.Close != (Close{4001, "5"}) {
		t.Errorf("got %+v", c)
	}
	if got := *list[1].User; got != "123456789012345678901234567890" {
		t.Errorf("a large number: got %s", got)
	}
	for i, want := range []string{"1e999", "null", "12345678901234567890.10"} {
		if got := string(list[i+2].Message.Data()); got != want {
			t.Errorf("data: got %s, want %s", got, want)
		}
	}
}

func TestWrongValuesAreNamedAlikeEverywhere(t *testing.T) {
	for body, want := range map[string]string{
		`{"to": [], "data": "x"}`:                                `command 1: "to" is an empty list`,
		`{"to": [], "close": {"code": 4001}}`:                    `"to" is an empty list`,
		`{"to": null, "data": "x"}`:                              `to: got null, want an address, such as "user:42" or a list of them`,
		`{"to": {"user": 1}}`:                                    `to: got an object, want an address`,
		`{"to": ["all", ["all"]]}`:                               `to: item 2: got a list, want an address`,
		`{"to": ["all", "user"]}`:                                `to: item 2: address "user": want conn:<id>`,
		`{"to": 42}`:                                             `to: address "42"`,
		`{"to": "all", "except": null}`:                          `except: got null, want an address`,
		`{"to": "all", "except": ["user:1", true]}`:              `except: item 2: got true, want an address`,
		`{"to": "all", "join": null}`:                            `join: got null, want the name of a channel or a list of them`,
		`{"to": "all", "join": ["a", 4.2]}`:                      `join: item 2: got 4.2, want the name of a channel`,
		`{"to": "all", "join": ["a", ""]}`:                       `join: item 2: name is empty`,
		`{"to": "all", "leave": [1e3]}`:                          `leave: item 1: got 1e3, want`,
		`{"to": "all", "leave": {}}`:                             `leave: got an object, want`,
		`{"to": "all", "close": 4001}`:                           `close: got 4001, want an object, such as {"code": 4001`,
		`{"to": "all", "close": null}`:                           `close: got null, want an object`,
		`{"to": "all", "close": {}}`:                             `close.code is missing`,
		`{"to": "all", "close": {"code": "4001"}}`:               `close.code: got "4001", want an integer`,
		`{"to": "all", "close": {"code": 4001.5}}`:               `close.code: got 4001.5, want an integer`,
		`{"to": "all", "close": {"code": 1e999}}`:                `close.code: got 1e999, want an integer`,
		`{"to": "all", "close": {"code": null}}`:                 `close.code: got null, want an integer`,
		`{"to": "all", "close": {"code": 5e18}}`:                 `close.code: got 5e18`,
		`{"to": "all", "close": {"code": 4001, "reason": null}}`: `close.reason: got null, want a string`,
		`{"to": "all", "close": {"code": 4001, "code": 4002}}`:   `close: "code" stands twice`,
		`{"to": "all", "base64": null}`:                          `base64: got null, want a string`,
		`{"to": "all", "base64": 1234}`:                          `base64: got 1234, want a string`,
		`{"to": "all", "base64": "A"}`:                           `base64: illegal base64`,
		`{"to": "all", "data": 1, "base64": null}`:               `want one of them`,
		`{"to": "all", "to": "user:1", "data": 1}`:               `"to" stands twice`,
		`{"to": "all", "\u0074o": "user:1"}`:                     `"to" stands twice`,
		`{"to": "all", "data": 1, "data": 1}`:                    `"data" stands twice`,
		`[{"to": "all"}, 5]`:                                     `command 2: got 5, want an object`,
		`[{"to": "all"}, null]`:                                  `command 2: got null, want an object`,
		`[[{"to": "all"}]]`:                                      `command 1: got a list, want an object`,
		`null`:                                                   `command 1: got null, want an object`,
		`1e999`:                                                  `command 1: got 1e999, want an object`,
		`{"to": "all", "data": }`:                                `not JSON: invalid character '}' looking for beginning of value, at byte 23`,
		`{"to": "all", "data": "x"`:                              `not JSON: unexpected end of JSON input, at byte 25`,
		`{"to": "all"}{"to": "all"}`:                             `after top-level value`,
		`{"to": "all"},`:                                         `after top-level value`,
		`{"to": "all", "data": 01}`:                              `not JSON`,
		`{"to": "all", "data": 'x'}`:                             `not JSON`,
		`{to: "all"}`:                                            `not JSON`,
		`{"to": "all", "data": ` + strings.Repeat("[", 20_000) + strings.Repeat("]", 20_000) + `}`: `exceeded max depth`,
		" \n": `the body is empty`,
	} {
		for _, from := range []Source{FromAnswer, FromPush, FromBus} {
			list, _, err := Decode([]byte(body), from)
			if err == nil || list != nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%.60s from %d: got %v, %v, want %q in it", body, from, list, err, want)
				continue
			}
			if text := err.Error(); strings.Contains(text, "json:") || strings.Contains(text, "session.") || strings.Contains(text, "Go ") {
				t.Errorf("%.60s: %q speaks of Go", body, text)
			}
		}
	}
}

func TestWrongValuesForTheConnectionItself(t *testing.T) {
	for body, want := range map[string]string{
		`{"user": 4.2}`:   `user: got 4.2, want the name of a user, or ""`,
		`{"user": true}`:  `user: got true, want`,
		`{"user": null}`:  `user: got null, want`,
		`{"user": [1]}`:   `user: got a list, want`,
		`{"state": 1.5}`:  `state: got 1.5, want a string`,
		`{"state": {}}`:   `state: got an object, want a string`,
		`{"state": null}`: `state: got null, want a string`,
		`{"User": "1"}`:   `unknown field "User": want to, except,`,
		`{"close": {"code": 4001, "resaon": ""}}`: `close: unknown field "resaon"`,
	} {
		if _, _, err := Decode([]byte(body), FromAnswer); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q in it", body, err, want)
		}
	}
}

func TestUnknownFieldsOfACloseOnTheBus(t *testing.T) {
	list, unknown, err := Decode([]byte(`[{"to": "all", "close": {"soft": [{}], "code": 4001, "x": 1}, "soft": 1}]`), FromBus)
	if err != nil || unknown != `"soft"` || len(list) != 1 || list[0].Close.Code != 4001 {
		t.Fatalf("got %v, %q, %v", list, unknown, err)
	}
}

// FuzzCut takes JSON apart as encoding/json does.
func FuzzCut(f *testing.F) {
	for _, seed := range []string{`{"a":1,"b":[1,{"c":"}]\\\",:"}]}`, ` [ 1 , "x,y" , [] , {} ] `, `{"\u0061" : null}`, `[]`, `{"":"\\"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		text = bytes.TrimSpace(text)
		if checkJSON(text) != nil || text[0] != '[' && text[0] != '{' {
			return
		}
		if text[0] == '[' {
			var want []json.RawMessage
			_ = json.Unmarshal(text, &want) // checked
			for rest := inside(text); len(rest) > 0; want = want[1:] {
				var got []byte
				if got, rest = cut(rest); len(want) == 0 || !bytes.Equal(got, want[0]) {
					t.Fatalf("%q: got %q, want %q", text, got, want)
				}
			}
			if len(want) > 0 {
				t.Fatalf("%q: %q is missing", text, want)
			}
			return
		}
		want, got := map[string]json.RawMessage{}, map[string]json.RawMessage{}
		_ = json.Unmarshal(text, &want) // checked
		for rest := inside(text); len(rest) > 0; {
			var quoted, value []byte
			quoted, rest = cut(rest)
			value, rest = cut(rest)
			name, err := unquote(quoted)
			if err != nil {
				t.Fatal(err)
			}
			got[name] = value
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("%q: got %q, want %q", text, got, want)
		}
	})
}
