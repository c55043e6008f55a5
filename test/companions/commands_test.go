package companions

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"wsfpm/session"
	"wsfpm/test/stack"
)

// The words of which composed makes commands.
var (
	fieldNames = strings.Fields("to except data base64 join leave close purge durable user state expires relay before other")
	values     = []string{`"all"`, `"self"`, `"user:1"`, `"channel:a"`, `"conn:x"`, `["all","user:1"]`, `["channel:a"]`, `[]`, `{}`, `null`, `true`, `false`, `0`, `42`,
		`-1`, `1.5`, `1e2`, `""`, `"a"`, `"*"`, `["*"]`, `" a"`, `"a\u0001"`, `"a\u0000"`, `"\u00a0"`, `"a,b"`, `["a",1]`, `["a",null]`, `[["a"]]`,
		`"AAEC"`, `"AA=="`, `"AA"`, `"/ws"`, `["/ws","*"]`, `"never"`, `"0042"`, `{"code":4001}`, `{"code":4001,"reason":"x"}`, `{"code":1005}`, `{"code":"4001"}`,
		`{"code":4001,"reason":7}`, `{"code":4001,"reason":null}`, `{"reason":"x"}`, `{"code":4001,"more":1}`, `[1,2.5]`, `{"a":{"b":[]}}`}
)

var large = regexp.MustCompile(`\d{19}`)

// composed makes a command, or a list of them, of any bytes: each pair chooses a field and its value.
func composed(choices []byte) []byte {
	var list []string
	fields := make(map[string]bool)
	var command []string
	for i := 0; i+1 < len(choices); i += 2 {
		name := fieldNames[int(choices[i])%len(fieldNames)]
		if choices[i] > 240 || fields[name] { // the next command
			list = append(list, "{"+strings.Join(command, ",")+"}")
			fields, command = make(map[string]bool), nil
		}
		fields[name] = true
		command = append(command, `"`+name+`":`+values[int(choices[i+1])%len(values)])
	}
	list = append(list, "{"+strings.Join(command, ",")+"}")
	if len(list) == 1 {
		return []byte(list[0])
	}
	return []byte("[" + strings.Join(list, ",") + "]")
}

// FuzzCommandAndTheGatewayAgree gives any JSON, and commands of usual words, to PHP's check of
// commands and to the gateway's.
func FuzzCommandAndTheGatewayAgree(f *testing.F) {
	stack.Integration(f)
	var cases []struct{ Command any }
	text := readTable(f, "commands")
	if err := json.Unmarshal(text, &cases); err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		if seed, err := json.Marshal(value(c.Command)); err == nil && len(seed) < 1000 {
			f.Add(seed)
		}
	}
	for i := range len(fieldNames) * len(values) {
		f.Add([]byte{byte(i % len(fieldNames)), byte(i / len(fieldNames)), 0, 0, 2, 19})
	}
	php := lines(f, "commands.php")
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			text = composed(text)
		}
		if large.Match(text) {
			return // PHP has no such integers
		}
		got := php(text)
		if got == "unread unread" {
			return
		}
		want := ""
		for _, from := range []session.Source{session.FromAnswer, session.FromPush} {
			_, err := decode(text, from)
			switch {
			case err == nil:
				want += "ok "
			case strings.Contains(err.Error(), "stands twice"): // an array has each field once
				return
			default:
				want += "refused "
			}
		}
		if got+" " != want {
			t.Errorf("%s: PHP says %s, the gateway %s", text, got, want)
		}
	})
}
