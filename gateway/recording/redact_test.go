package recording

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// full is an entry with a secret in every place.
func full(t *testing.T) *Entry {
	t.Helper()
	e := Of(event(t, "body secret-state-1 body-only", "WS-State", "secret-state-2", "WS-Close", "4001 secret-cookie-1",
		"Set-Cookie", "sid=secret-cookie-3; path=/secret-no", "WS-Protocol", "chat"))
	e.SetParams(map[string]string{
		"HTTP_COOKIE": "sid=secret-cookie-1; b=secret%20cookie-2; secret-cookie-4", "HTTP_AUTHORIZATION": "Bearer secret-bearer", "WS_STATE": "secret-state-1",
		"QUERY_STRING": "token=secret-query&room=5&secret-flag", "REQUEST_URI": "/ws?token=secret-query&room=5&secret-flag",
		"HTTP_X_API_KEY": "secret-key", "APP_PASSWORD": "secret-password", "HTTP_X_LATIN": "secret-\xff",
		"HTTP_SEC_WEBSOCKET_PROTOCOL": "chat, secret-protocol", "WS_PROTOCOLS": "chat,secret-protocol,wsfpm.v1", "HTTP_USER_AGENT": "secret-key of a browser",
		"WS_CLOSE_REASON": "secret-bearer", "WS_USER": "42", "HTTP_HOST": "example.com", "SCRIPT_FILENAME": "/srv/ws.php", "HTTPS": "",
	})
	e.Failure = &Failure{Reason: "PHP reported \"secret-state-1\"", PHP: "bad secret-query and secret cookie-2", Text: "secret-key", Body: dataOf([]byte("secret-password"), true)}
	return e
}

func TestNoSecretIsInALine(t *testing.T) {
	e := full(t)
	e.Redact()
	line, err := e.Line()
	if err != nil {
		t.Fatal(err)
	}
	var back Entry
	if err := json.Unmarshal(line, &back); err != nil {
		t.Fatal(err)
	}
	shown := append(line, back.Failure.Body.Base64...) // decoded
	if i := bytes.Index(shown, []byte("secret")); i >= 0 {
		t.Errorf("there is a secret: %s", shown[i:min(len(shown), i+40)])
	}
	for name, want := range map[string]string{
		"HTTP_COOKIE": "sid=[redacted]; b=[redacted];[redacted]", "QUERY_STRING": "token=[redacted]&room=[redacted]&[redacted]",
		"REQUEST_URI": "/ws?token=[redacted]&room=[redacted]&[redacted]", "HTTP_AUTHORIZATION": Redacted, "HTTP_X_LATIN": Redacted,
		"HTTP_SEC_WEBSOCKET_PROTOCOL": "chat,[redacted]", "WS_PROTOCOLS": "chat,[redacted],wsfpm.v1", "WS_USER": "42", "HTTP_HOST": "example.com", "HTTPS": "",
	} {
		if got, found := back.Params[name]; got != want || !found {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	if text := *back.Answer.Commands[0].Message.Text; text != "body [redacted] body-only" {
		t.Errorf("got the message %q", text)
	}
}

func TestASecretIsFoundAsJSONHasIt(t *testing.T) {
	for name, test := range map[string]struct{ param, value, body string }{
		"slash":              {"HTTP_COOKIE", "sid=ab/cd+ef==", `{"sid":"ab\/cd+ef=="}`},
		"slash, unescaped":   {"HTTP_COOKIE", "sid=ab/cd+ef==", `{"sid":"ab/cd+ef=="}`},
		"encoded, with plus": {"HTTP_COOKIE", "sid=ab%2Fcd+ef", `{"sid":"ab\/cd+ef"}`},
		"query, with plus":   {"QUERY_STRING", "t=ab%2Fcd+ef", `{"t":"ab\/cd ef"}`},
		"umlaut":             {"QUERY_STRING", "t=gr%C3%BC%C3%9Fe%2Fx", `{"t":"gr\u00fc\u00dfe\/x"}`},
		"umlaut, unescaped":  {"QUERY_STRING", "t=gr%C3%BC%C3%9Fe%2Fx", `{"t":"grüße/x"}`},
		"beyond the BMP":     {"WS_STATE", "😀 state", `{"state":"\ud83d\ude00 state"}`},
		"quotes":             {"WS_STATE", `{"cart":"a/b"}`, `{"state":"{\"cart\":\"a\/b\"}"}`},
		"Authorization":      {"HTTP_AUTHORIZATION", "Bearer ab/cd/ef", `{"was":"Bearer ab\/cd\/ef"}`},
		"password":           {"HTTP_AUTHORIZATION", "Basic YW5uOnBhc3Mvd29yZA==", `{"password":"pass\/word"}`},
	} {
		e := Of(event(t, test.body))
		e.SetParams(map[string]string{test.param: test.value})
		e.Redact()
		key, _, _ := strings.Cut(test.body, ":")
		if text, want := *e.Answer.Commands[0].Message.Text, key+`:"[redacted]"}`; text != want {
			t.Errorf("%s: got %s, want %s", name, text, want)
		}
	}
}

func TestTheBeginningOfASecretIsRedactedWhereItIsCut(t *testing.T) {
	e := Of(event(t, "x"))
	e.SetParams(map[string]string{"HTTP_COOKIE": "sid=0123456789/abcdefghij"})
	e.Failure = &Failure{Reason: `PHP reported "no session 0123456789/abc…"`, PHP: "#0 /srv/ws.php(3): login('0123456789/abcd...')\n#1 {main}"}
	e.Redact()
	if f := e.Failure; f.Reason != `PHP reported "no session [redacted]…"` || f.PHP != "#0 /srv/ws.php(3): login('[redacted]')\n#1 {main}" {
		t.Errorf("got %q, %q", f.Reason, f.PHP)
	}
}

func TestWithoutBodiesOnlySizesAreLeft(t *testing.T) {
	e := full(t)
	e.Redact()
	e.RemoveBodies()
	line, err := e.Line()
	if err != nil || bytes.Contains(line, []byte("body-only")) || bytes.Contains(line, []byte("hello")) || bytes.Contains(line, []byte(`"php"`)) || bytes.Contains(line, []byte(`"text"`)) {
		t.Errorf("got %s, %v", line, err)
	}
	if _, known := e.Data.Content(); known || e.Data.Bytes != 5 {
		t.Errorf("got %+v, want 5 bytes that are not known", e.Data)
	}
}

func TestWithoutBodiesTheReasonQuotesNothing(t *testing.T) {
	for reason, want := range map[string]string{
		`PHP reported "PHP Fatal error:  Uncaught RuntimeException: no \\\" card 4111…"`: `PHP reported "…"`,
		`command 1: field "card": want a "text", is "4111"`:                              `command 1: field "…": want a "…", is "…"`,
		`the script answered with status 422`:                                            `the script answered with status 422`,
	} {
		e := Of(event(t, "x"))
		e.Failure = &Failure{Reason: reason}
		if e.RemoveBodies(); e.Failure.Reason != want {
			t.Errorf("got %s, want %s", e.Failure.Reason, want)
		}
	}
}

func TestShortValuesAreNotReplacedInOtherTexts(t *testing.T) {
	e := Of(event(t, "the answer to 42 is a"))
	e.SetParams(map[string]string{"HTTP_COOKIE": "lang=a; n=42", "WS_STATE": "1"})
	e.Redact()
	if text := *e.Answer.Commands[0].Message.Text; text != "the answer to 42 is a" || e.Params["HTTP_COOKIE"] != "lang=[redacted]; n=[redacted]" || e.Params["WS_STATE"] != Redacted {
		t.Errorf("got %q, %q", text, e.Params)
	}
}

func TestRedactingDoesNotChangeTheEvent(t *testing.T) {
	seen := event(t, "secret-state", "WS-State", "secret-state", "Set-Cookie", "a=secret-cookie")
	e := Of(seen)
	e.Redact()
	e.RemoveBodies()
	own := seen.Reply.Own
	if *own.State != "secret-state" || string(own.Message.Data()) != "secret-state" || !strings.Contains(seen.Reply.Head.Cookies[0], "secret-cookie") {
		t.Errorf("the event has become %+v, %q", own, seen.Reply.Head.Cookies)
	}
}
