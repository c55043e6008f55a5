package durable

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"wsfpm/gateway/excerpt"
	"wsfpm/gateway/redis"
	"wsfpm/session"
)

// Reasons for which an entry is dropped, as labels of a metric.
const (
	badID       = "id"        // Redis gives none such
	badField    = "field"     // unknown, or there twice
	badTo       = "to"        // missing, or no addresses
	badExcept   = "except"    // not conn: or user:
	badEmpty    = "empty"     // nothing to send
	badEncoded  = "encoded"   // bytes of a serializer or of compression
	badUTF8     = "not_utf8"  // a text
	badTooLarge = "too_large" // larger than the push limit
	badClose    = "close"
)

// reasons are all of them.
var reasons = []string{badID, badField, badTo, badExcept, badEmpty, badEncoded, badUTF8, badTooLarge, badClose}

// badEntry is the error of an entry that is dropped.
type badEntry struct{ reason, text string }

func (b *badEntry) Error() string { return b.text }

func bad(reason, format string, args ...any) error {
	return &badEntry{reason, fmt.Sprintf(format, args...)}
}

// parseID parses the id of an entry, such as 1795879931816-0.
func parseID(id string, tag session.Tag) (session.Position, error) {
	milli, seq, found := strings.Cut(id, "-")
	p := session.Position{Tag: tag}
	var err, err2 error
	p.Milli, err = strconv.ParseUint(milli, 10, 64)
	p.Seq, err2 = strconv.ParseUint(seq, 10, 64)
	if !found || err != nil || err2 != nil || p.Milli|p.Seq == 0 {
		return session.Position{}, bad(badID, "the id %q is none of a stream", excerpt.Of(id))
	}
	return p, nil
}

// fields are the values of an entry's fields; nil is none.
type fields struct{ to, except, data, binary, closing *string }

// named is the place of the field of this name, or nil.
func (f *fields) named(name string) **string {
	switch name {
	case "to":
		return &f.to
	case "except":
		return &f.except
	case "data":
		return &f.data
	case "binary":
		return &f.binary
	case "close":
		return &f.closing
	}
	return nil
}

// command converts an entry of the log to a command at its position. An entry without a
// meaning, which only gives the log a position, is nil. The error is a [badEntry].
func command(e redis.Entry, at session.Position, limit int64) (*session.Command, error) {
	if len(e.Fields) == 2 && e.Fields[0] == "" && e.Fields[1] == "" {
		return nil, nil
	}
	f, err := readFields(e.Fields)
	if err != nil {
		return nil, err
	}
	c := &session.Command{At: at}
	if err := f.target(c); err != nil {
		return nil, err
	}
	if c.Message, err = f.message(at, limit); err != nil {
		return nil, err
	}
	if c.Close, err = parseClose(f.closing); err != nil {
		return nil, err
	}
	if c.Message == nil && c.Close == nil {
		return nil, bad(badEmpty, "nothing to send: want data, binary or close beside to")
	}
	return c, nil
}

func readFields(list []string) (f fields, err error) {
	for i := 0; i+1 < len(list); i += 2 {
		switch to := f.named(list[i]); {
		case to == nil:
			return f, bad(badField, "field %q is unknown: want to, except, data, binary and close", excerpt.Of(list[i]))
		case *to != nil:
			return f, bad(badField, "field %q stands twice", list[i])
		default:
			*to = &list[i+1]
		}
	}
	return f, nil
}

// target sets To and Except.
func (f *fields) target(c *session.Command) (err error) {
	if f.to == nil {
		return bad(badTo, "field to is missing: name the clients, for instance user:42")
	}
	if cause := encoding(*f.to); cause != "" {
		return bad(badEncoded, "to is %q, %s: append with rawCommand", excerpt.Of(*f.to), cause)
	}
	if c.To, err = session.ParseAddresses(*f.to); err != nil {
		return bad(badTo, "to: %v", err)
	}
	if f.except != nil {
		if c.Except, err = session.ParseAddresses(*f.except); err != nil {
			return bad(badExcept, "except: %v", err)
		}
	}
	if err := checkExcept(c.Except); err != nil {
		return bad(badExcept, "%v", err)
	}
	if n := len(c.To) + len(c.Except); n > session.MaxAddresses {
		return bad(badTo, "%d addresses, at most %d are allowed", n, session.MaxAddresses)
	}
	return nil
}

// encoding names what has made the bytes of a value, if they are no plain text. phpredis
// passes the fields of xAdd through its serializer and its compression, and the receipt
// of Redis says that they are stored.
func encoding(v string) string {
	switch {
	case strings.HasPrefix(v, "s:") || strings.HasPrefix(v, "a:") || strings.HasPrefix(v, "O:") || strings.HasPrefix(v, "i:") || v == "N;":
		return "as phpredis' OPT_SERIALIZER writes it (PHP)"
	case strings.HasPrefix(v, `"`):
		return "as phpredis' OPT_SERIALIZER writes it (JSON)"
	case strings.HasPrefix(v, "\x00\x00\x00\x02"):
		return "as phpredis' OPT_SERIALIZER writes it (igbinary)"
	case strings.HasPrefix(v, "\x28\xb5\x2f\xfd"):
		return "as phpredis' OPT_COMPRESSION writes it (zstd)"
	case !utf8.ValidString(v) || strings.ContainsFunc(v, func(r rune) bool { return r < ' ' }):
		return "as phpredis' OPT_SERIALIZER or OPT_COMPRESSION may write it"
	}
	return ""
}

// checkExcept checks the addresses of except. Self is a connection, and resolved later.
func checkExcept(list []session.Address) error {
	for _, a := range list {
		if a.Kind != session.KindConn && a.Kind != session.KindUser && a != session.Self {
			return fmt.Errorf("except: %s: the log can except conn: and user: only", a)
		}
	}
	return nil
}

// message is the payload, or nil.
func (f *fields) message(at session.Position, limit int64) (*session.Message, error) {
	value, isBinary := f.data, false
	if f.binary != nil {
		if f.data != nil {
			return nil, bad(badField, "both data and binary: want one of them")
		}
		value, isBinary = f.binary, true
	}
	switch {
	case value == nil:
		return nil, nil
	case *value == "":
		return nil, bad(badEmpty, "data is empty: json_encode returns false, which becomes an empty string, for text that is not UTF-8")
	case int64(len(*value)) > limit:
		return nil, bad(badTooLarge, "%d bytes, more than the push limit of %d", len(*value), limit)
	case !isBinary && !utf8.ValidString(*value):
		return nil, bad(badUTF8, "data is not UTF-8: bytes belong into the field binary; if it is text, phpredis' OPT_COMPRESSION or OPT_SERIALIZER has changed it: append with rawCommand")
	}
	return session.NewMessageWith(session.Head{At: at}, isBinary, []byte(*value)), nil
}

// parseClose parses a code and, after a space, a reason.
func parseClose(value *string) (*session.Close, error) {
	if value == nil {
		return nil, nil
	}
	digits, reason, _ := strings.Cut(*value, " ")
	code, err := strconv.ParseUint(digits, 10, 16) // without a sign
	if err != nil {
		return nil, bad(badClose, "close %q: want a code and, after a space, a reason", excerpt.Of(*value))
	}
	c, err := session.NewClose(int(code), strings.TrimSpace(reason))
	if err != nil {
		return nil, bad(badClose, "%v", err)
	}
	return &c, nil
}

// Fields returns the fields of an entry, names and values, for a command in which [Check] has
// found nothing wrong.
func Fields(c *session.Command) []string {
	list := []string{"to", join(c.To)}
	if len(c.Except) > 0 {
		list = append(list, "except", join(c.Except))
	}
	if c.Message != nil {
		name := "data"
		if c.Message.Binary() {
			name = "binary"
		}
		list = append(list, name, string(c.Message.Data()))
	}
	if c.Close != nil {
		list = append(list, "close", strings.TrimSpace(strconv.Itoa(c.Close.Code)+" "+c.Close.Reason))
	}
	return list
}

func join(list []session.Address) string {
	texts := make([]string, len(list))
	for i, a := range list {
		texts[i] = a.String()
	}
	return strings.Join(texts, ",")
}

// Check returns why a command cannot be an entry of the log, or nil. Limit is the longest
// payload, in bytes; Self in Except is resolved later.
func Check(c *session.Command, limit int64) error {
	if err := checkExcept(c.Except); err != nil {
		return err
	}
	switch {
	case len(c.To) == 0:
		return errors.New("a durable command needs addresses: the log has none for the connection itself")
	case len(c.Join)+len(c.Leave) > 0:
		return errors.New("a durable command cannot join or leave channels")
	case c.Relay != nil:
		return errors.New("a durable command cannot end a relay: send {\"relay\": \"\"} in a command of its own")
	case len(c.Purge) > 0:
		return errors.New("a durable command cannot purge: send {\"purge\": …} as a command of its own, before it")
	case len(c.To)+len(c.Except) > session.MaxAddresses:
		return fmt.Errorf("a durable command names more than %d addresses", session.MaxAddresses)
	case c.Message == nil && c.Close == nil:
		return errors.New("a durable command needs data or a close")
	case c.Message != nil && len(c.Message.Data()) == 0:
		return errors.New("the data of a durable command is empty")
	case c.Message != nil && int64(len(c.Message.Data())) > limit:
		return fmt.Errorf("the data of a durable command has %d bytes, at most %d are allowed (redis.push_limit)", len(c.Message.Data()), limit)
	case c.Message != nil && !c.Message.Binary() && !utf8.Valid(c.Message.Data()):
		return errors.New("the text of a durable command is not UTF-8")
	}
	return nil
}
