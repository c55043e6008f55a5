package companions

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"wsfpm/fcgi"
	"wsfpm/gateway/answer"
	"wsfpm/gateway/durable"
	"wsfpm/session"
	"wsfpm/test/stack"
)

// pushLimit is redis.push_limit by default.
const pushLimit = 1 << 20

// verdict is what PHP says of a case.
type verdict struct {
	Refused string
	File    string // the caller's, as PHP reports it
	Status  int
	Headers [][]string // name, value in base64
	Body    []byte
}

// verdicts gives a table to Answer or Command.
func verdicts(t *testing.T, kind string, into any) {
	t.Helper()
	stack.Integration(t)
	cmd := exec.Command(stack.Tool(t, "php-cli", "php"), "testdata/verdicts.php", kind, "testdata/"+kind+".json")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil {
		err = json.Unmarshal(out, into)
	}
	if err != nil {
		t.Fatalf("php: %v\n%.2000s%s", err, out, &stderr)
	}
}

func table(t *testing.T, kind string, into any) {
	t.Helper()
	if err := json.Unmarshal(readTable(t, kind), into); err != nil {
		t.Fatal(err)
	}
}

func readTable(t stack.T, kind string) []byte {
	t.Helper()
	text, err := os.ReadFile("testdata/" + kind + ".json")
	if err != nil {
		t.Fatalf("%v", err)
	}
	return text
}

// value is what a table writes as {"hex"}, {"times", "of"}, {"numbered", "of", "bytes"},
// {"json"} or {"cat"}; testdata/verdicts.php reads the same.
func value(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = value(v[i])
		}
	case map[string]any:
		return written(v)
	}
	return v
}

func written(v map[string]any) any {
	of := value(v["of"])
	switch {
	case v["hex"] != nil:
		text, _ := hex.DecodeString(v["hex"].(string))
		return string(text)
	case v["times"] != nil:
		n := int(v["times"].(float64))
		if list, ok := of.([]any); ok {
			var all []any
			for range n {
				all = append(all, list...)
			}
			return all
		}
		return strings.Repeat(of.(string), n)
	case v["numbered"] != nil:
		var all []any
		for i := range int(v["numbered"].(float64)) {
			name := fmt.Sprint(i + 1)
			all = append(all, name+strings.Repeat(of.(string), int(v["bytes"].(float64))-len(name)))
		}
		return all
	case v["json"] != nil:
		text, _ := json.Marshal(value(v["json"]))
		return string(text)
	case v["cat"] != nil:
		all := ""
		for _, part := range value(v["cat"]).([]any) {
			all += part.(string)
		}
		return all
	}
	for name := range v {
		v[name] = value(v[name])
	}
	return v
}

// effect is all that an answer does, in a form in which two answers can be compared.
type effect struct {
	After    session.Membership
	Close    *session.Close
	Expires  *int64
	Relay    *session.Relay
	Messages []string
	Others   []string
	Protocol string
	Accepted bool
	Live     []string
	Resume   answer.Resume
	Cache    [2]string
}

// effectOf is the gateway's judgement of an answer: its effect, and what the gateway would log or
// change, or its refusal.
func effectOf(status int, fields fcgi.Header, body []byte) (e effect, oddity string, err error) {
	h, err := answer.ParseHead(status, fields)
	if err != nil {
		return e, "", err
	}
	a, err := answer.Parse(h, body)
	if err != nil {
		return e, "", err
	}
	e = effect{Protocol: h.Protocol, Accepted: h.Accepted, Live: h.Live, Resume: h.Resume, Close: a.Closing(), Expires: a.Expires(), Relay: a.Relay()}
	e.Cache = [2]string{fields.Get("Cache-Control"), fields.Get("Vary")}
	from := session.Membership{User: "before", State: "before", Channels: []string{"z", "c", "d"}}
	if e.After, err = a.Membership(from, 0); err != nil {
		return e, "", err
	}
	for _, m := range a.Messages(nil) {
		e.Messages = append(e.Messages, fmt.Sprint(m.Binary(), " ", string(m.Data())))
	}
	for _, c := range a.Others {
		if c.Durable != nil && *c.Durable {
			if err := durable.Check(&c, pushLimit); err != nil {
				return e, "", err
			}
		}
		text, err := c.Encode()
		if err != nil {
			return e, "", err
		}
		if c.Durable != nil {
			text = fmt.Append(text, " ", *c.Durable)
		}
		e.Others = append(e.Others, string(text))
	}
	return e, a.Oddity, nil
}

// Each case of the table is an answer as a script without a library writes it, and the same as
// calls of Answer.
func TestAnswerAndTheGatewayAgree(t *testing.T) {
	var cases []struct {
		Name, Verdict string
		Headers       [][]any
		Body          any
	}
	table(t, "answers", &cases)
	var said []verdict
	verdicts(t, "answers", &said)
	for i, c := range cases {
		var fields fcgi.Header
		reason := ""
		for _, h := range c.Headers {
			fields = append(fields, fcgi.Field{Name: h[0].(string), Value: value(h[1]).(string)})
			if h[0] == "WS-Close" {
				_, reason, _ = strings.Cut(value(h[1]).(string), " ")
			}
		}
		want, oddity, err := effectOf(200, fields, []byte(value(c.Body).(string)))
		got := "ok"
		switch {
		case err != nil:
			got = "refused"
		case oddity != "" || want.Close != nil && reason != "" && want.Close.Reason != reason:
			got = "changed"
		}
		if got != c.Verdict {
			t.Errorf("%s: the gateway's verdict is %s, %v, want %s", c.Name, got, err, c.Verdict)
		}
		compareAnswer(t, c.Name, said[i], c.Verdict, want)
	}
}

// compareAnswer compares what Answer has made with the script's own answer.
func compareAnswer(t *testing.T, name string, said verdict, want string, effect effect) {
	t.Helper()
	if want != "ok" {
		if said.Refused == "" || said.File != "verdicts.php" {
			t.Errorf("%s: Answer says %q of %q, want a refusal with the caller's file", name, said.Refused, said.File)
		}
		return
	}
	if said.Refused != "" {
		t.Errorf("%s: Answer refuses it: %s", name, said.Refused)
		return
	}
	var fields fcgi.Header
	for _, h := range said.Headers {
		var text []byte
		if err := json.Unmarshal([]byte(`"`+h[1]+`"`), &text); err != nil {
			t.Fatal(err)
		}
		fields = append(fields, fcgi.Field{Name: h[0], Value: string(text)})
	}
	got, oddity, err := effectOf(said.Status, fields, said.Body)
	if err != nil || oddity != "" || !reflect.DeepEqual(got, effect) {
		t.Errorf("%s: what Answer sends is %+v %s %v, want %+v\n%q %q", name, got, oddity, err, effect, fields, said.Body)
	}
}

// Each case of the table is a command, or a list, that PHP is given as an array.
func TestCommandAndTheGatewayAgree(t *testing.T) {
	var cases []struct {
		Name         string
		Command      any
		Answer, Push bool
	}
	table(t, "commands", &cases)
	var said []struct{ Answer, Push verdict }
	verdicts(t, "commands", &said)
	for i, c := range cases {
		body, err := json.Marshal(value(c.Command))
		if err != nil {
			t.Fatal(err)
		}
		compareCommand(t, c.Name+", in an answer", body, session.FromAnswer, said[i].Answer, c.Answer)
		compareCommand(t, c.Name+", as a push", body, session.FromPush, said[i].Push, c.Push)
	}
}

func compareCommand(t *testing.T, name string, body []byte, from session.Source, said verdict, want bool) {
	t.Helper()
	list, err := decode(body, from)
	if (err == nil) != want {
		t.Errorf("%s: the gateway says %v", name, err)
	}
	if (said.Refused == "") != want {
		t.Errorf("%s: PHP says %q", name, said.Refused)
	}
	if !want || err != nil || said.Refused != "" {
		return
	}
	same, err := decode(said.Body, from)
	if err != nil || !reflect.DeepEqual(same, list) {
		t.Errorf("%s: PHP makes %s of it, %v", name, said.Body, err)
	}
}

// decode reads commands, and checks those for the log as the gateway does before it stores them.
func decode(body []byte, from session.Source) ([]session.Command, error) {
	list, _, err := session.Decode(body, from)
	for i := range list {
		if c := &list[i]; err == nil && c.Durable != nil && *c.Durable {
			err = durable.Check(c, pushLimit)
		}
	}
	return list, err
}
