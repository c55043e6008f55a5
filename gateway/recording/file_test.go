package recording

import (
	"bytes"
	"io"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"wsfpm/gateway"
)

func TestAChoiceIsOneOfThree(t *testing.T) {
	for query, want := range map[string]Choice{
		"user=42":                   {User: "42", For: 10 * time.Minute},
		"conn=n-1&for=5s&bodies=1":  {Connection: "n-1", For: 5 * time.Second, Bodies: true},
		"route=%2Fws%2F%7Bs%7D":     {Route: "/ws/{s}", For: 10 * time.Minute},
		"user=a%26conn%3Db&for=24h": {User: "a&conn=b", For: 24 * time.Hour},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseChoice(values)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", query, got, err, want)
		}
		if again, err := ParseChoice(got.Query()); err != nil || again != got {
			t.Errorf("%s: got %+v, %v by its query", query, again, err)
		}
	}
	for query, want := range map[string]string{
		"": "want one of", "user=1&conn=2": "want one of", "user=": "want one", "user=1&user=2": "has 2 values", "user=1&for=0s": "for is", "user=1&for=25h": "at most 24h",
		"user=1&for=x": "for is", "user=1&bodies=yes": "bodies is", "usr=1": `"usr" is unknown`,
	} {
		values, _ := url.ParseQuery(query)
		if _, err := ParseChoice(values); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", query, err, want)
		}
	}
}

func TestAChoiceMatchesItsEventsOnly(t *testing.T) {
	seen := gateway.Event{Kind: "message", Connection: "n-1", User: "42", Route: "/ws"}
	open, refused := seen, seen
	open.Record, refused.Kind = true, "handshake"
	for _, test := range []struct {
		choice Choice
		event  gateway.Event
		want   bool
	}{
		{Choice{User: "42"}, seen, true},
		{Choice{User: "4"}, seen, false},
		{Choice{User: "42"}, refused, false},
		{Choice{Connection: "n-1"}, seen, true},
		{Choice{Connection: "1"}, seen, false},
		{Choice{Route: "/ws"}, seen, false},
		{Choice{Route: "/ws"}, open, true},
		{Choice{Route: "/"}, open, false},
	} {
		if got := test.choice.Matches(&test.event); got != test.want {
			t.Errorf("%+v of %+v: got %v", test.choice, test.event, got)
		}
	}
}

func TestARecordingIsReadBack(t *testing.T) {
	choice := Choice{User: "42", Bodies: true}
	line, err := choice.Line(event(t, "hi"))
	if err != nil {
		t.Fatal(err)
	}
	text := `{"recording":1,"of":"user:42","began":"2026-01-02T03:04:05Z","bodies":true}` + "\n" +
		string(line) + "\n{\"dropped\":3}\n\n" + string(line) + "\n{\"dropped\":4}\n{\"end\":\"the time is over\"}\n"
	r, err := NewReader(strings.NewReader(text))
	if err != nil || r.Of != "user:42" || !r.Bodies {
		t.Fatalf("got %+v, %v", r, err)
	}
	for range 2 {
		if e, err := r.Next(); err != nil || e.Event != "message" || *e.Data.Text != "hello" || *e.Answer.Commands[0].Message.Text != "hi" {
			t.Fatalf("got %+v, %v", e, err)
		}
	}
	if _, err := r.Next(); err != io.EOF || r.Dropped != 7 || r.End != "the time is over" {
		t.Errorf("got %v, %+v", err, r.Tail)
	}
	for name, text := range map[string]string{
		"":                                     "is empty",
		"{}":                                   "line 1 is not",
		"hello":                                "line 1 is not",
		`{"recording":2}`:                      "has the form 2",
		"{\"recording\":1}\n{}":                "line 2 is neither",
		"{\"recording\":1}\nx":                 "line 2: invalid",
		"{\"recording\":1}\n{\"event\":\"x\"}": `no event "x"`,
	} {
		r, err := NewReader(strings.NewReader(name))
		if err == nil {
			_, err = r.Next()
		}
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: got %v, want %q", name, err, text)
		}
	}
}

func TestAnEventRunAgainIsJudged(t *testing.T) {
	failed := func(reason string) *Entry {
		return &Entry{Event: "message", Outcome: "answer", Failure: &Failure{Reason: reason, PHP: reason + " of PHP"}}
	}
	refused := func(status int) *Entry {
		return &Entry{Event: "connect", Outcome: "refused", Failure: &Failure{Reason: "refused", Status: status}}
	}
	streamed := Of(event(t, ""))
	streamed.Answer, streamed.Streamed = nil, true
	cached := Of(event(t, "a"))
	cached.Cached, cached.Answer.Status = true, 0
	for name, test := range map[string]struct {
		was, is *Entry
		verdict Verdict
		what    []string
	}{
		"same":            {Of(event(t, "a", "WS-Join", "x")), Of(event(t, "a", "WS-Join", "x")), Same, nil},
		"cached":          {cached, Of(event(t, "a")), Same, nil},
		"cached else":     {cached, Of(event(t, "b")), Differs, []string{"answer.commands[0].message.data"}},
		"another text":    {Of(event(t, "a")), Of(event(t, "b")), Differs, []string{"answer.commands[0].message.data"}},
		"another channel": {Of(event(t, "a", "WS-Join", "x")), Of(event(t, "a", "WS-Join", "y")), Differs, []string{"answer.commands[0].join[0]"}},
		"no more purge": {Of(event(t, `[{"purge":"/ws"}]`, "Content-Type", "application/vnd.wsfpm+json")), Of(event(t, "")), Differs,
			[]string{"answer.commands[0].purge[0]"}},
		"one more":       {Of(event(t, "")), Of(event(t, "", "WS-Close", "4001")), Differs, []string{"answer.commands[0].close.code"}},
		"mended":         {failed("a"), Of(event(t, "")), Mended, []string{"answer.status", "failure.reason", "outcome"}},
		"still":          {failed("a"), failed("a"), Fails, nil},
		"otherwise":      {failed("a"), failed("b"), Fails, []string{"failure.reason"}},
		"fails now":      {Of(event(t, "")), failed("a"), Fails, []string{"answer.status", "failure.reason", "outcome"}},
		"refused":        {refused(403), refused(403), Same, nil},
		"refused else":   {refused(403), refused(401), Differs, []string{"failure.status"}},
		"refused by 503": {refused(503), refused(503), Fails, nil},
		"another time":   {Of(event(t, "a", "WS-Expires", "1")), Of(event(t, "a", "WS-Expires", "4102444800")), Same, nil},
		"no more time":   {Of(event(t, "a", "WS-Expires", "1")), Of(event(t, "a", "WS-Expires", "never")), Differs, []string{"answer.commands[0].expires"}},
		"a stream":       {streamed, streamed, Same, nil},
	} {
		verdict, differences := Compare(test.was, test.is)
		var what []string
		for _, d := range differences {
			what = append(what, d.What)
		}
		if verdict != test.verdict || !reflect.DeepEqual(what, test.what) {
			t.Errorf("%s: got %s, %q, want %s, %q", name, verdict, what, test.verdict, test.what)
		}
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"recording\":1}\n{\"event\":\"message\",\"params\":{\"HTTP_COOKIE\":\"a=b; c\",\"QUERY_STRING\":\"a&b=%zz\"},\"message\":{\"base64\":\"/w==\",\"bytes\":1}}\n{\"end\":\"x\"}"))
	f.Add([]byte("{\"recording\":1}\n{\"event\":\"connect\",\"answer\":{\"commands\":[{\"state\":\"s\",\"close\":{\"code\":1}}],\"cookies\":[\"\"]},\"failure\":{\"body\":{}}}\n{\"dropped\":1}"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		for {
			e, err := r.Next()
			if err != nil {
				return
			}
			e.Data.Content()
			e.SetParams(e.AllParams())
			e.Redact()
			again := *e
			again.Redact() // what is redacted stays so
			if verdict, _ := Compare(e, &again); verdict != Same && !e.failed() {
				t.Fatalf("an entry is %s as itself", verdict)
			}
			e.RemoveBodies()
			if _, err := e.Line(); err != nil {
				t.Fatal(err)
			}
		}
	})
}
