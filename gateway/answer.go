package gateway

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"wsfpm/fcgi"
	"wsfpm/gateway/config"
	"wsfpm/session"
)

// The media types with a meaning of their own.
const (
	typeCommands = "application/vnd.wsfpm+json"
	typeStream   = "application/x-ndjson"
)

// reply is a complete and valid answer, in the words of package session.
type reply struct {
	own    session.Command   // for the connection itself: what the headers and the body say
	more   []session.Command // for the connection itself, behind own
	others []session.Command // for everybody's ears, in order
	head   head
	oddity string        // what was odd but harmless: a leading BOM, blank output
	took   time.Duration // of the event, until the end of the answer
}

// head is what an answer's header block says.
type head struct {
	status    int
	fields    fcgi.Header
	mediaType string // lower case, without parameters
	own       session.Command
	publish   publish
	protocol  string   // WS-Protocol, "" none
	accepted  bool     // WS-Accept: 1
	died      bool     // WS-Failed, which PHP-FPM sets by itself: see deploy/php-fpm
	cookies   []string // Set-Cookie
}

// publish is where WS-Publish sends the body.
type publish struct {
	named      bool // the header is there, though perhaps with no address
	to, except []session.Address
}

// parseHead reads the header block of an answer. Anything in it that is not
// by the contract makes the answer malformed.
func parseHead(status int, fields fcgi.Header) (head, error) {
	h := head{status: status, fields: fields}
	seen := make(map[string]bool)
	mediaType, _, _ := strings.Cut(fields.Get("Content-Type"), ";")
	h.mediaType = strings.ToLower(strings.TrimSpace(mediaType))
	for _, f := range fields {
		var err error
		switch {
		case strings.EqualFold(f.Name, "Content-Encoding"):
			if v := strings.TrimSpace(f.Value); v != "" && !strings.EqualFold(v, "identity") {
				err = fmt.Errorf("Content-Encoding %q: switch zlib.output_compression off for this script", clip(v))
			}
		case strings.EqualFold(f.Name, "Set-Cookie"):
			h.cookies = append(h.cookies, f.Value)
		case len(f.Name) > 3 && strings.EqualFold(f.Name[:3], "WS-"):
			err = h.extra(strings.ToLower(f.Name), strings.TrimSpace(f.Value), seen)
		}
		if err != nil {
			return h, &failure{reason: err.Error()}
		}
	}
	if n := len(h.own.Join) + len(h.own.Leave); n > session.MaxAddresses {
		return h, failed("WS-Join and WS-Leave name %d channels, at most %d are allowed", n, session.MaxAddresses)
	}
	if h.publish.named && (h.mediaType == typeCommands || h.mediaType == typeStream) {
		return h, failed("WS-Publish beside %s: put the addresses into the commands", h.mediaType)
	}
	return h, nil
}

// extra reads one WS-* header. Lists may be repeated, single values not.
func (h *head) extra(name, value string, seen map[string]bool) error {
	isList := name == "ws-join" || name == "ws-leave" || name == "ws-publish"
	if seen[name] && !isList {
		return fmt.Errorf("%s stands twice", name)
	}
	seen[name] = true
	switch name {
	case "ws-user":
		return h.user(value)
	case "ws-state":
		return h.state(value)
	case "ws-close":
		return h.close(value)
	case "ws-protocol":
		h.protocol = value
		return nil
	case "ws-accept":
		h.accepted = value == "1"
		if !h.accepted {
			return fmt.Errorf("WS-Accept is 1 or is not sent, got %q: a connect is refused by its status", clip(value))
		}
		return nil
	case "ws-failed":
		h.died = true
		return nil
	case "ws-join":
		return appendNames(&h.own.Join, name, value, false)
	case "ws-leave":
		return appendNames(&h.own.Leave, name, value, true)
	case "ws-publish":
		return h.publish.parse(value)
	}
	return fmt.Errorf("unknown header %s: want WS-User, WS-Join, WS-Leave, WS-State, WS-Close, WS-Publish, WS-Protocol or WS-Accept", clip(name))
}

func (h *head) user(value string) error {
	if value != "" {
		if err := session.CheckName(value); err != nil {
			return fmt.Errorf("WS-User: %w", err)
		}
	}
	h.own.User = &value
	return nil
}

func (h *head) state(value string) error {
	if len(value) > session.MaxState {
		return fmt.Errorf("WS-State has %d bytes, at most %d are allowed", len(value), session.MaxState)
	}
	h.own.State = &value
	return nil
}

func (h *head) close(value string) error {
	digits, reason, _ := strings.Cut(value, " ")
	code, err := strconv.ParseUint(digits, 10, 16) // without a sign
	if err != nil {
		return fmt.Errorf("WS-Close %q: want a code and, behind a space, a reason", clip(value))
	}
	closing, err := session.NewClose(int(code), strings.TrimSpace(reason))
	if err != nil {
		return fmt.Errorf("WS-Close: %w", err)
	}
	h.own.Close = &closing
	return nil
}

// appendNames reads a comma list of channels; an empty list is no name.
func appendNames(list *[]string, header, value string, star bool) error {
	if value == "" {
		return nil
	}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if star && name == "*" {
			*list = append(*list, name)
			continue
		}
		if err := session.CheckName(name); err != nil {
			return fmt.Errorf("%s: %w", header, err)
		}
		*list = append(*list, name)
	}
	return nil
}

// parse reads addresses and, behind a semicolon, "except=self". An empty list is
// no address.
func (p *publish) parse(value string) error {
	p.named = true
	addresses, parameters, _ := strings.Cut(value, ";")
	if addresses = strings.TrimSpace(addresses); addresses != "" {
		for text := range strings.SplitSeq(addresses, ",") {
			a, err := session.ParseAddress(strings.TrimSpace(text))
			if err != nil {
				return fmt.Errorf("WS-Publish: %w", err)
			}
			p.to = append(p.to, a)
		}
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		parameter = strings.TrimSpace(parameter)
		if parameter == "" {
			continue
		}
		whom, found := strings.CutPrefix(parameter, "except=")
		if !found {
			return fmt.Errorf("WS-Publish: %q behind the addresses: want except=self", clip(parameter))
		}
		a, err := session.Self, error(nil)
		if whom != "self" {
			a, err = session.ParseAddress(whom)
		}
		if err != nil {
			return fmt.Errorf("WS-Publish: except: %w", err)
		}
		p.except = append(p.except, a)
	}
	if len(p.to)+len(p.except) > session.MaxAddresses {
		return fmt.Errorf("WS-Publish: more than %d addresses", session.MaxAddresses)
	}
	return nil
}

// answersWith reports whether an answer's status makes it an ordinary answer
// to an event: 2xx, or one of the route's answer_statuses.
func answersWith(r *route, status int) bool {
	if status >= 200 && status <= 299 {
		return true
	}
	class := strconv.Itoa(status/100) + "xx"
	return slices.ContainsFunc(r.AnswerStatuses, func(s string) bool {
		return strings.EqualFold(s, class) || s == strconv.Itoa(status)
	})
}

// parseAnswer puts a complete answer with an accepted status into commands.
func parseAnswer(h head, body []byte) (reply, error) {
	a := reply{head: h, own: h.own}
	if h.status == 204 {
		return a, nil
	}
	switch h.mediaType {
	case typeCommands:
		return a.commands(body)
	case typeStream:
		return a.lines(body)
	}
	message, oddity, err := parseMessage(h.mediaType, body)
	if err != nil {
		return a, err
	}
	a.oddity = oddity
	switch {
	case !h.publish.named:
		a.own.Message = message
	case message != nil && len(h.publish.to) > 0:
		a.others = []session.Command{{To: h.publish.to, Except: h.publish.except, Message: message}}
	}
	return a, nil
}

// commands takes the body as commands of section 4 of the contract.
func (a reply) commands(body []byte) (reply, error) {
	body = trimBOM(body)
	if len(bytes.TrimSpace(body)) == 0 {
		return a, nil
	}
	list, _, err := session.Decode(body, session.FromAnswer)
	if err != nil {
		return a, &failure{reason: err.Error()}
	}
	for _, c := range list {
		if len(c.To) == 0 {
			a.more = append(a.more, c)
		} else {
			a.others = append(a.others, c)
		}
	}
	return a, nil
}

// lines takes the body of a stream that is complete already, as on connect:
// each line is a message.
func (a reply) lines(body []byte) (reply, error) {
	for line := range bytes.Lines(body) {
		message, err := parseLine(line)
		if err != nil {
			return a, err
		}
		if message != nil {
			a.more = append(a.more, session.Command{Message: message})
		}
	}
	return a, nil
}

// parseLine makes one line of a stream a message; an empty line is none.
func parseLine(line []byte) (*session.Message, error) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 {
		return nil, nil
	}
	if !utf8.Valid(line) {
		return nil, failed("a line of the stream is not UTF-8")
	}
	return session.NewMessage(false, line), nil
}

// parseMessage makes a body one message: binary or text by its media type,
// nil when there is nothing to send.
func parseMessage(mediaType string, body []byte) (m *session.Message, oddity string, err error) {
	if isBinary(mediaType) {
		if len(body) == 0 {
			return nil, "", nil
		}
		return session.NewMessage(true, body), "", nil
	}
	text := trimBOM(body)
	if len(text) != len(body) {
		oddity = "the output begins with a byte order mark: save the script without it"
	}
	if len(bytes.TrimSpace(text)) == 0 {
		if len(text) > 0 {
			oddity = "the output is blank, nothing was sent: look for text outside <?php ?>"
		}
		return nil, oddity, nil
	}
	if !utf8.Valid(text) {
		return nil, "", failed("the answer is text but not UTF-8: send Content-Type: application/octet-stream for binary data")
	}
	return session.NewMessage(false, text), oddity, nil
}

// isBinary reports whether a body of this media type becomes a binary message.
func isBinary(mediaType string) bool {
	switch mediaType {
	case "application/octet-stream", "application/x-msgpack":
		return true
	}
	major, _, _ := strings.Cut(mediaType, "/")
	return major == "image" || major == "audio" || major == "video"
}

func trimBOM(body []byte) []byte { return bytes.TrimPrefix(body, []byte("\xef\xbb\xbf")) }

// acceptedBy reports whether a 2xx answer to connect lets the client in.
func (h *head) acceptedBy(r *route) bool {
	return h.accepted || r.Accept != config.AcceptHeader
}

// clip keeps a peer's text from filling an error or a log line.
func clip(s string) string {
	const most = 80
	if len(s) <= most {
		return s
	}
	return s[:most] + "…"
}
