package session

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

// schemas are docs/command.schema.json for each source of commands.
func schemas(t testing.TB) (list [3]*jsonschema.Resolved, description string) {
	t.Helper()
	text, err := os.ReadFile("../docs/command.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for from, part := range []string{FromAnswer: "answer", FromPush: "push", FromBus: "redis"} {
		var schema jsonschema.Schema
		if err := json.Unmarshal(text, &schema); err != nil {
			t.Fatal(err)
		}
		schema.Ref = "#/$defs/" + part
		if list[from], err = schema.Resolve(nil); err != nil {
			t.Fatal(err)
		}
		description = schema.Description
	}
	return list, description
}

// decoded is a JSON text with its numbers as they are written.
func decoded(text []byte) (v any, err error) {
	if !json.Valid(text) {
		return nil, errors.New("not JSON")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	err = d.Decode(&v)
	return v, err
}

// plain returns a decoded value with numbers as the validator takes them.
func plain(v any) any {
	switch v := v.(type) {
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64() // out of range: an infinity
		return max(min(f, math.MaxFloat64), -math.MaxFloat64)
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = plain(v[i])
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name := range v {
			object[name] = plain(v[name])
		}
		return object
	}
	return v
}

// sourceNames are for errors, by [Source].
var sourceNames = [...]string{"an answer", "a push", "Redis"}

// disagree returns the sources for which schema and decoder judge a text differently.
func disagree(list *[3]*jsonschema.Resolved, text []byte) (of []Source, v any) {
	v, err := decoded(text)
	for from, schema := range list {
		fits := err == nil && schema.Validate(plain(v)) == nil
		_, _, refused := Decode(text, Source(from))
		if fits != (refused == nil) {
			of = append(of, Source(from))
		}
	}
	return of, v
}

// unsaid returns the rule that a schema cannot state and that the text may touch, or "".
func unsaid(text []byte, v any) string {
	if !utf8.Valid(text) {
		return "not JSON"
	}
	if twice(json.NewDecoder(bytes.NewReader(text))) {
		return "twice"
	}
	commands, isList := v.([]any)
	if !isList {
		commands = []any{v}
	}
	for _, c := range commands {
		object, _ := c.(map[string]any)
		for name, value := range object {
			if name == "data" {
				continue
			}
			if rule := unsaidOf(name, value); rule != "" {
				return rule
			}
		}
		for _, pair := range [][2]string{{"to", "except"}, {"join", "leave"}} {
			if count(object[pair[0]])+count(object[pair[1]]) > MaxAddresses {
				return "together"
			}
		}
	}
	return ""
}

var plainInteger = regexp.MustCompile(`^-?[0-9]{1,200}$`)

// unsaidOf is unsaid for the value of a field.
func unsaidOf(name string, value any) string {
	switch value := value.(type) {
	case string:
		switch {
		case name == "base64" && strings.ContainsAny(value, "\r\n"):
			return "line breaks"
		case len(value) != utf8.RuneCountInString(value) && len(value) > MaxName:
			return "bytes"
		}
	case json.Number:
		if _, err := value.Int64(); name == "before" && err != nil {
			return "before"
		}
		switch {
		case plainInteger.MatchString(value.String()) && (name != "expires" || value != "-0"):
		case strings.ContainsAny(value.String(), ".eE") || name == "expires":
			return "spelling"
		default:
			return "bytes"
		}
	case []any:
		for _, item := range value {
			if rule := unsaidOf(name, item); rule != "" {
				return rule
			}
		}
	case map[string]any:
		for inner, item := range value {
			if rule := unsaidOf(inner, item); rule != "" {
				return rule
			}
		}
	}
	return ""
}

func count(v any) int {
	if list, isList := v.([]any); isList {
		return len(list)
	}
	return 1
}

// twice reports whether a field stands twice in an object.
func twice(d *json.Decoder) bool {
	var open []map[string]bool // nil for a list
	key := false
	for {
		token, err := d.Token()
		if err != nil {
			return false
		}
		inObject := len(open) > 0 && open[len(open)-1] != nil
		switch {
		case token == json.Delim('{'):
			open = append(open, map[string]bool{})
			key = true
			continue
		case token == json.Delim('['):
			open = append(open, nil)
			continue
		case token == json.Delim('}') || token == json.Delim(']'):
			open = open[:len(open)-1]
		case inObject && key:
			name := token.(string)
			if open[len(open)-1][name] {
				return true
			}
			open[len(open)-1][name] = true
			key = false
			continue
		}
		key = len(open) > 0 && open[len(open)-1] != nil
	}
}

// schemaTexts are what schema and decoder judge alike.
var schemaTexts = []string{
	`{}`, `[]`, `null`, `[null]`, `1`, `"x"`, ``, ` `, `{`, `[{}]`, `[[]]`, `{"data":1} x`,
	`{"data":null}`, `{"data":{"a":1.5,"a":2}}`, `{"data":1,"base64":""}`, `{"base64":"AA=="}`, `{"base64":"AA"}`, `{"base64":1}`, `{"base64":"AB=="}`, `{"base64":"A-_="}`,
	`{"to":"all","data":1}`, `{"to":[],"data":1}`, `{"to":null}`, `{"to":5}`, `{"to":"self"}`, `{"to":"room:1"}`, `{"to":"user:"}`, `{"to":"user: a"}`, `{"to":"user:a b"}`,
	`{"to":"user:a,b"}`, `{"to":"all:1"}`, `{"to":"channel:a:b"}`, `{"to":["user:1","conn:x"],"except":["user:2"]}`, `{"to":"all","except":"self"}`, `{"to":"all","except":[]}`,
	`{"except":"user:1"}`, `{"to":"user:` + strings.Repeat("x", 200) + `"}`, `{"to":"user:` + strings.Repeat("x", 201) + `"}`, `{"to":"channel:` + strings.Repeat("x", 201) + `"}`,
	`{"to":"all","join":"a"}`, `{"to":"all","join":["a",7,-7]}`, `{"join":[]}`, `{"join":"*"}`, `{"leave":"*"}`, `{"leave":["*","a"]}`, `{"join":""}`, `{"join":"a\u0085"}`, `{"join":"ü\u00a0"}`,
	`{"join":true}`, `{"join":[["a"]]}`, `{"join":null}`, `{"leave":1.5}`,
	`{"close":{"code":4001}}`, `{"close":{"code":4001,"reason":7}}`, `{"close":{"code":1005}}`, `{"close":{"code":"4001"}}`, `{"close":{}}`, `{"close":4001}`, `{"close":{"code":1000,"why":1}}`,
	`{"to":"all","close":{"code":1000,"why":1}}`, `{"close":{"code":2999}}`, `{"close":{"code":5000}}`, `{"close":{"code":1011,"reason":null}}`,
	`{"user":"7","state":"s","expires":4102444800}`, `{"user":""}`, `{"user":7}`, `{"user":null}`, `{"state":5}`, `{"state":"a\u0000"}`, `{"state":"` + strings.Repeat("x", MaxState) + `"}`,
	`{"state":"` + strings.Repeat("x", MaxState+1) + `"}`, `{"to":"all","user":"7"}`, `{"to":"all","state":""}`, `{"to":"all","expires":1}`, `{"user":["a"]}`,
	`{"expires":"never"}`, `{"expires":""}`, `{"expires":"007"}`, `{"expires":99999999999}`, `{"expires":100000000000}`, `{"expires":"100000000000"}`, `{"expires":-1}`, `{"expires":"soon"}`, `{"expires":true}`,
	`{"purge":"/ws"}`, `{"purge":["*","/a"]}`, `{"purge":[]}`, `{"purge":"ws"}`, `{"purge":5}`, `{"purge":"/a\u0000"}`, `{"purge":"/ws","data":1}`, `{"purge":"/ws","expires":1}`, `{"purge":"/ws","later":1}`,
	`{"to":"all","purge":"/ws","data":1}`, `{"purge":"/` + strings.Repeat("x", 999) + `"}`, `{"purge":"/` + strings.Repeat("x", 1000) + `"}`,
	`{"to":"all","durable":true}`, `{"to":"all","durable":1}`, `{"durable":true}`, `{"durable":false}`, `{"to":"all","durable":true,"join":[]}`, `{"to":"all","durable":true,"join":"a"}`,
	`{"to":"all","durable":false,"join":"a"}`, `{"to":"all","durable":true,"purge":"*"}`, `{"to":"all","durable":null}`,
	`{"to":"all","before":5}`, `{"to":"all","before":"5"}`, `{"to":"all","later":[]}`, `{"later":1}`, `{"To":"all"}`,
	"[" + strings.Repeat(`{"to":"all"},`, MaxCommands-1) + `{"to":"all"}]`, "[" + strings.Repeat(`{"to":"all"},`, MaxCommands) + `{"to":"all"}]`,
	`{"to":[` + strings.Repeat(`"all",`, MaxAddresses) + `"all"]}`, `{"join":[` + strings.Repeat(`1,`, MaxAddresses) + `1]}`,
}

func TestTheSchemaOfCommandsIsTheDecoders(t *testing.T) {
	t.Log("contract-row: 4.schema")
	list, _ := schemas(t)
	for _, text := range schemaTexts {
		if of, _ := disagree(&list, []byte(text)); len(of) > 0 {
			_, _, err := Decode([]byte(text), of[0])
			t.Errorf("%.200s: schema and decoder differ for %s: the decoder says %v", text, sourceNames[of[0]], err)
		}
	}
}

// The rules that a schema cannot state: each is named in its description, and has a text that
// schema and decoder judge differently.
func TestTheSchemaNamesTheRulesThatItCannotState(t *testing.T) {
	list, description := schemas(t)
	rules := map[string]string{
		"before":      `{"to":"all","before":9223372036854775808}`,
		"bytes":       `{"user":"` + strings.Repeat("ü", 101) + `"}`,
		"together":    `{"join":[` + strings.Repeat(`1,`, MaxAddresses-1) + `1],"leave":"a"}`,
		"spelling":    `{"join":1.0}`,
		"line breaks": `{"base64":"AA\n=="}`,
		"twice":       `{"data":1,"data":2}`,
	}
	for rule, text := range rules {
		of, v := disagree(&list, []byte(text))
		if len(of) == 0 || unsaid([]byte(text), v) != rule {
			t.Errorf("%.80s: got no difference, or rule %q, want %q", text, unsaid([]byte(text), v), rule)
		}
	}
	named := regexp.MustCompile(`\[([a-z ]+)\]`).FindAllStringSubmatch(description, -1)
	var names []string
	for _, n := range named {
		names = append(names, n[1])
	}
	if want := slices.Sorted(maps.Keys(rules)); !slices.Equal(slices.Sorted(slices.Values(names)), want) {
		t.Errorf("the description names %q, want %q", names, want)
	}
}

// parts are values for each field, right and wrong ones.
var parts = map[string][]string{
	"to":      {`"all"`, `"user:1"`, `["channel:a","conn:x"]`, `[]`, `"self"`, `3`, `null`, `["all",1]`},
	"except":  {`"self"`, `"user:1"`, `[]`, `["self","conn:x"]`, `"x"`, `7`},
	"data":    {`1`, `"x"`, `null`, `{"a":[1.5e3]}`, `[]`},
	"base64":  {`"AAEC"`, `""`, `"AA=="`, `"A"`, `"a b="`, `5`, `null`},
	"join":    {`"a"`, `[]`, `["a",7]`, `"*"`, `" a"`, `"a;"`, `{}`, `1.0`},
	"leave":   {`"*"`, `["*"]`, `[]`, `"a"`, `""`, `false`},
	"close":   {`{"code":4001}`, `{"code":1000,"reason":"x"}`, `{"code":999}`, `{}`, `{"code":4001,"x":1}`, `[]`, `null`, `{"code":4.001e3}`},
	"user":    {`"1"`, `""`, `7`, `"a*"`, `null`},
	"state":   {`""`, `"s"`, `7`, `{}`, `"\u0000"`},
	"expires": {`0`, `"never"`, `""`, `"12"`, `1e3`, `-0`, `-5`, `999999999999`},
	"purge":   {`"*"`, `"/ws"`, `["/a","*"]`, `[]`, `"x"`, `null`},
	"relay":   {`""`, `"channel:a; binary"`, `null`},
	"durable": {`true`, `false`, `1`, `"true"`},
	"before":  {`1`, `"1"`, `1.5`},
	"later":   {`1`, `{"a":1}`},
}

// Commands of random fields: schema and decoder agree, but for the rules that are named.
func TestTheSchemaAgreesOnRandomCommands(t *testing.T) {
	list, _ := schemas(t)
	names := slices.Sorted(maps.Keys(parts))
	accepted := [3]int{}
	for seed := range uint64(5_000) {
		random := rand.New(rand.NewPCG(seed, 1))
		command := func() string {
			var fields []string
			if random.IntN(3) == 0 {
				fields = []string{`"to":"all"`}
			}
			for range random.IntN(5) {
				name := names[random.IntN(len(names))]
				values := parts[name]
				if random.IntN(2) == 0 {
					values = values[:2] // mostly right ones, else few commands would be whole
				}
				fields = append(fields, fmt.Sprintf("%q:%s", name, values[random.IntN(len(values))]))
			}
			return "{" + strings.Join(fields, ",") + "}"
		}
		text := command()
		if random.IntN(8) == 0 {
			text = "[" + text + "," + command() + "]"
		}
		of, v := disagree(&list, []byte(text))
		if len(of) > 0 && unsaid([]byte(text), v) == "" {
			t.Fatalf("seed %d: %s: schema and decoder differ for %s", seed, text, sourceNames[of[0]])
		}
		for from := range accepted {
			if _, _, err := Decode([]byte(text), Source(from)); err == nil {
				accepted[from]++
			}
		}
	}
	for from, n := range accepted {
		if n < 500 {
			t.Errorf("%d commands of %s were right, too few to compare", n, sourceNames[from])
		}
	}
}

func FuzzSchema(f *testing.F) {
	list, _ := schemas(f)
	for _, text := range schemaTexts {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if of, v := disagree(&list, text); len(of) > 0 && unsaid(text, v) == "" {
			_, _, err := Decode(text, of[0])
			t.Errorf("schema and decoder differ for %s: the decoder says %v", sourceNames[of[0]], err)
		}
	})
}
