package recording

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// Redacted stands for a value that a recording does not have.
const Redacted = "[redacted]"

// leastSecret is the length in bytes from which on a secret is looked for in other texts:
// shorter ones stand everywhere by chance.
const leastSecret = 6

// tracedBytes is how much of a text argument is in PHP's stack traces, by default.
const tracedBytes = 15

// shown are the parameters with nothing secret in them. Any other is redacted: a header may
// be a token, and a parameter of the route a password.
var shown = func() map[string]bool {
	names := make(map[string]bool)
	for name := range strings.FieldsSeq(`
		CONTENT_LENGTH CONTENT_TYPE DOCUMENT_ROOT DOCUMENT_URI GATEWAY_INTERFACE HTTPS REDIRECT_STATUS
		REMOTE_ADDR REMOTE_PORT REQUEST_METHOD REQUEST_SCHEME SCRIPT_FILENAME SCRIPT_NAME
		SERVER_ADDR SERVER_NAME SERVER_PORT SERVER_PROTOCOL SERVER_SOFTWARE
		HTTP_ACCEPT HTTP_ACCEPT_LANGUAGE HTTP_CACHE_CONTROL HTTP_DNT HTTP_HOST HTTP_ORIGIN HTTP_PRAGMA
		HTTP_SEC_FETCH_DEST HTTP_SEC_FETCH_MODE HTTP_SEC_FETCH_SITE HTTP_SEC_GPC HTTP_TRACEPARENT HTTP_USER_AGENT
		HTTP_X_FORWARDED_FOR HTTP_X_FORWARDED_PROTO
		WS_ATTEMPT WS_CHANNELS WS_CLOSE_CODE WS_CLOSE_REASON WS_CONNECTED_AT WS_CONNECTION WS_DURATION
		WS_EVENT WS_LAST WS_MESSAGE_ID WS_NODE WS_OPCODE WS_POSITION WS_PROTOCOL WS_REPLAY WS_REQUEST_ID
		WS_RESUME WS_SEQ WS_USER WS_USER_LEFT`) {
		names[name] = true
	}
	return names
}()

// Redact replaces what is secret by [Redacted]: cookies, Authorization and all other headers
// and parameters that are not known to be harmless, the values of the query, the state, and
// the subprotocols that were not agreed on. Where such a value stands in another text of the
// entry, as it is or as JSON has it, it is replaced there too.
func (e *Entry) Redact() {
	secrets := e.redactParams()
	if a := e.Answer; a != nil {
		secrets = append(secrets, a.redact()...)
	}
	if forms := formsOf(secrets); len(forms) > 0 {
		e.replace(forms.replacer())
		if e.Failure != nil {
			e.Failure.Reason = forms.cut(e.Failure.Reason)
		}
	}
}

// quoted is a text in quotes (%q), such as the beginning of PHP's error, in the reason of a failure.
var quoted = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// RemoveBodies removes the content of all messages, and PHP's output, which may have some and
// which a client is sent with dev = true. The reason of a failure may quote either.
func (e *Entry) RemoveBodies() {
	e.eachData((*Data).remove)
	if e.Failure != nil {
		e.Failure.PHP, e.Failure.Text = "", ""
		e.Failure.Reason = quoted.ReplaceAllLiteralString(e.Failure.Reason, `"…"`)
	}
}

func (d *Data) remove() { d.Text, d.Base64 = nil, nil }

// eachData calls do for each message in the entry.
func (e *Entry) eachData(do func(*Data)) {
	all := []*Data{e.Data}
	if e.Failure != nil {
		all = append(all, e.Failure.Body)
	}
	if e.Answer != nil {
		for i := range e.Answer.Commands {
			all = append(all, e.Answer.Commands[i].Message)
		}
	}
	for _, d := range all {
		if d != nil {
			do(d)
		}
	}
}

// redactParams redacts what PHP was told, and returns the secrets.
func (e *Entry) redactParams() (secrets []string) {
	for name, value := range e.AllParams() {
		if shown[name] || value == "" {
			continue
		}
		delete(e.RawParams, name)
		switch name {
		case "HTTP_COOKIE":
			e.Params[name] = redactPairs(value, ";", &secrets)
		case "QUERY_STRING":
			e.Params[name] = redactPairs(value, "&", &secrets)
		case "REQUEST_URI":
			path, query, found := strings.Cut(value, "?")
			if found {
				path += "?" + redactPairs(query, "&", &secrets)
			}
			e.Params[name] = path
		case "WS_PROTOCOLS", "HTTP_SEC_WEBSOCKET_PROTOCOL":
			e.Params[name] = redactProtocols(value, e.agreed(), &secrets)
		default:
			e.Params[name] = Redacted
			secrets = append(secrets, value)
			if name == "HTTP_AUTHORIZATION" {
				secrets = append(secrets, credentials(value)...)
			}
		}
	}
	return secrets
}

// credentials returns what is secret in Authorization beside its whole value: the credentials,
// and the password of Basic (RFC 7617), which PHP has in PHP_AUTH_PW.
func credentials(value string) (secrets []string) {
	_, text, _ := strings.Cut(value, " ")
	text = strings.TrimSpace(text)
	secrets = append(secrets, text)
	if plain, err := base64.StdEncoding.DecodeString(text); err == nil {
		_, password, _ := strings.Cut(string(plain), ":")
		secrets = append(secrets, string(plain), password)
	}
	return secrets
}

// agreed returns the subprotocol of the connection.
func (e *Entry) agreed() string {
	if e.Answer != nil && e.Answer.Protocol != "" {
		return e.Answer.Protocol
	}
	return e.Params["WS_PROTOCOL"]
}

// redactPairs redacts the values of name=value pairs, and text without a name.
func redactPairs(text, separator string, secrets *[]string) string {
	pairs := strings.Split(text, separator)
	for i, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			name, value = "", name
		}
		value = strings.TrimSpace(value)
		if value == "" {
			continue
		}
		*secrets = append(*secrets, value)
		for _, decode := range []func(string) (string, error){url.QueryUnescape, url.PathUnescape} { // PHP keeps a cookie's "+"
			if plain, err := decode(value); err == nil {
				*secrets = append(*secrets, plain)
			}
		}
		if pairs[i] = Redacted; found {
			pairs[i] = name + "=" + Redacted
		}
	}
	return strings.Join(pairs, separator)
}

// redactProtocols redacts the subprotocols other than the agreed one and wsfpm.v1: some
// clients send a token as one.
func redactProtocols(list, agreed string, secrets *[]string) string {
	names := strings.Split(list, ",")
	for i, name := range names {
		if name = strings.TrimSpace(name); name != agreed && name != "wsfpm.v1" && name != "" {
			*secrets = append(*secrets, name)
			names[i] = Redacted
		}
	}
	return strings.Join(names, ",")
}

// redact redacts the cookies and states of an answer, and returns them.
func (a *Answer) redact() (secrets []string) {
	lines := slices.Clone(a.Cookies) // they may be another's too
	for i, line := range lines {
		pair, _, _ := strings.Cut(line, ";")
		lines[i] = redactPairs(pair, ";", &secrets)
	}
	a.Cookies = lines
	for i := range a.Commands {
		if s := a.Commands[i].State; s != nil && *s != "" {
			secrets = append(secrets, *s)
			hidden := Redacted
			a.Commands[i].State = &hidden
		}
	}
	return secrets
}

// hidden are the forms of the secrets of an entry, the longest first.
type hidden []string

// formsOf returns the forms in which secrets are looked for.
func formsOf(secrets []string) (forms hidden) {
	for _, s := range secrets {
		if len(s) >= leastSecret {
			forms = append(forms, jsonForms(s)...)
		}
	}
	slices.SortFunc(forms, func(a, b string) int { return cmp.Or(len(b)-len(a), strings.Compare(a, b)) })
	return slices.Compact(forms)
}

// replacer returns what replaces secrets in texts, and the beginning of one where PHP's stack
// traces cut an argument (zend.exception_string_param_max_len). Of two that begin at the same
// place the longer one counts.
func (h hidden) replacer() *strings.Replacer {
	var pairs []string
	for _, s := range h {
		pairs = append(pairs, s, Redacted)
	}
	for _, s := range h {
		if len(s) > tracedBytes {
			pairs = append(pairs, s[:tracedBytes]+"...", Redacted)
		}
	}
	return strings.NewReplacer(pairs...)
}

// cut replaces the beginning of a secret before the ellipsis of an excerpt.
func (h hidden) cut(text string) string {
	at := strings.LastIndex(text, "…")
	for _, s := range h {
		for n := min(at, len(s)-1); n >= leastSecret; n-- {
			if text[at-n:at] == s[:n] {
				return text[:at-n] + Redacted + text[at:]
			}
		}
	}
	return text
}

// jsonForms returns a text as it is, and as it stands within a string of JSON (RFC 8259, 7): PHP's
// json_encode escapes the slash and all but ASCII, unless its flags say otherwise.
func jsonForms(s string) []string {
	forms := []string{s}
	var b strings.Builder
	to := json.NewEncoder(&b)
	to.SetEscapeHTML(false)
	if to.Encode(s) != nil {
		return forms // cannot happen: it is a text
	}
	quoted := strings.TrimSuffix(b.String(), "\n")
	for _, plain := range []string{quoted[1 : len(quoted)-1], ascii(quoted[1 : len(quoted)-1])} {
		forms = append(forms, plain, strings.ReplaceAll(plain, "/", `\/`))
	}
	return forms
}

// ascii replaces all but ASCII by escapes of JSON.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r < utf8.RuneSelf {
			b.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&b, `\u%04x`, unit)
		}
	}
	return b.String()
}

// replace replaces secrets in the texts of clients and scripts.
func (e *Entry) replace(found *strings.Replacer) {
	e.eachData(func(d *Data) {
		if d.Text != nil {
			text := found.Replace(*d.Text)
			d.Text = &text
		}
		if d.Base64 != nil {
			d.Base64 = []byte(found.Replace(string(d.Base64)))
		}
	})
	for _, name := range []string{"WS_CLOSE_REASON", "HTTP_USER_AGENT"} {
		if text, there := e.Params[name]; there {
			e.Params[name] = found.Replace(text)
		}
	}
	if f := e.Failure; f != nil {
		f.Reason, f.PHP, f.Text = found.Replace(f.Reason), found.Replace(f.PHP), found.Replace(f.Text)
	}
	if e.Answer == nil {
		return
	}
	for i := range e.Answer.Commands {
		if c := e.Answer.Commands[i].Close; c != nil {
			c.Reason = found.Replace(c.Reason)
		}
	}
}
