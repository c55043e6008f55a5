package durable

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

func TestEntriesBecomeCommandsAndBack(t *testing.T) {
	at := pos(5, 1, tagA)
	for _, c := range []session.Command{
		{To: []session.Address{session.All}, Message: session.NewMessage(false, []byte(`{"a":1}`))},
		{To: []session.Address{session.User("7"), session.Channel("a b")}, Except: []session.Address{session.Conn("x"), session.User("8")},
			Message: session.NewMessage(true, []byte{0, 255})},
		{To: []session.Address{session.Conn("x")}, Close: &session.Close{Code: 4001, Reason: "signed out"}},
		{To: []session.Address{session.Conn("x")}, Message: session.NewMessage(false, []byte("bye")), Close: &session.Close{Code: 1000}},
	} {
		if err := Check(&c, 10); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
		got, err := command(redis.Entry{Fields: Fields(&c)}, at, 10)
		if err != nil {
			t.Errorf("%q: %v", Fields(&c), err)
			continue
		}
		if got.At != at || !reflect.DeepEqual(got.To, c.To) || !reflect.DeepEqual(got.Except, c.Except) || !reflect.DeepEqual(got.Close, c.Close) {
			t.Errorf("got %+v, want %+v at %v", got, c, at)
		}
		if c.Message != nil && (got.Message.Binary() != c.Message.Binary() || string(got.Message.Data()) != string(c.Message.Data()) || got.Message.Head().At != at) {
			t.Errorf("got %q, want %q", got.Message.Data(), c.Message.Data())
		}
	}
}

func TestAnEntryWithoutMeaningIsNotBad(t *testing.T) {
	if c, err := command(redis.Entry{Fields: []string{"", ""}}, pos(1, 0, tagA), 10); c != nil || err != nil {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestAnAddressKeepsItsWhiteSpace(t *testing.T) {
	got, err := session.ParseAddresses("user:a\u00a0 ,\tchannel:\u3000b")
	if want := []session.Address{session.User("a\u00a0"), session.Channel("\u3000b")}; err != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestBadEntriesAreNamed(t *testing.T) {
	for _, tt := range []struct {
		fields []string
		reason string
		want   string // a part of the text
	}{
		{[]string{"to", "all"}, badEmpty, "data, binary or close"},
		{[]string{"data", "x"}, badTo, "missing"},
		{[]string{"to", "", "data", "x"}, badTo, "to:"},
		{[]string{"to", "room:1", "data", "x"}, badTo, "room:1"},
		{[]string{"to", "self", "data", "x"}, badTo, "self"},
		{[]string{"to", strings.Repeat("all,", session.MaxAddresses) + "all", "data", "x"}, badTo, "more than"},
		{[]string{"to", strings.Repeat("all,", 999) + "all", "except", "user:1", "data", "x"}, badTo, "1001 addresses"},
		{[]string{"to", "all", "except", "channel:a", "data", "x"}, badExcept, "conn: and user:"},
		{[]string{"to", "all", "except", "", "data", "x"}, badExcept, "except"},
		{[]string{"to", "all", "data", ""}, badEmpty, "json_encode"},
		{[]string{"to", "all", "data", "12345678901"}, badTooLarge, "push limit"},
		{[]string{"to", "all", "data", "\xff"}, badUTF8, "OPT_COMPRESSION"},
		{[]string{"to", "all", "data", "x", "binary", "y"}, badField, "both"},
		{[]string{"to", "all", "to", "all", "data", "x"}, badField, "twice"},
		{[]string{"to", "all", "text", "x"}, badField, "text"},
		{[]string{"to", "all", "close", "4001x"}, badClose, "close"},
		{[]string{"to", "all", "close", "1005"}, badClose, "1005"},
		{[]string{"to", `s:7:"user:42";`, "data", `s:1:"x";`}, badEncoded, "OPT_SERIALIZER writes it (PHP)"},
		{[]string{"to", `"user:42"`, "data", `"x"`}, badEncoded, "JSON"},
		{[]string{"to", "\x00\x00\x00\x02\x11\x07user:42", "data", "x"}, badEncoded, "igbinary"},
		{[]string{"to", "\xa7user:42", "data", "x"}, badEncoded, "OPT_"},
		{[]string{"to", "\x28\xb5\x2f\xfd\x20\x07", "data", "x"}, badEncoded, "zstd"},
	} {
		_, err := command(redis.Entry{Fields: tt.fields}, pos(1, 0, tagA), 10)
		var b *badEntry
		if !errors.As(err, &b) || b.reason != tt.reason || !strings.Contains(b.text, tt.want) {
			t.Errorf("%.80q: got %v, want %s: …%s…", tt.fields, err, tt.reason, tt.want)
		}
	}
}

func TestCheckRefusesWhatNodesWouldDrop(t *testing.T) {
	text := session.NewMessage(false, []byte("x"))
	all := []session.Address{session.All}
	for _, tt := range []struct {
		c    session.Command
		want string
	}{
		{session.Command{Message: text}, "addresses"},
		{session.Command{To: all, Message: text, Join: []string{"a"}}, "join"},
		{session.Command{To: all}, "data or a close"},
		{session.Command{To: all, Message: session.NewMessage(false, nil)}, "empty"},
		{session.Command{To: all, Message: session.NewMessage(false, []byte("12345678901"))}, "redis.push_limit"},
		{session.Command{To: all, Message: session.NewMessage(false, []byte{255})}, "UTF-8"},
		{session.Command{To: all, Message: text, Except: []session.Address{session.Channel("a")}}, "conn: and user:"},
	} {
		if err := Check(&tt.c, 10); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got %v, want …%s…", tt.c, err, tt.want)
		}
	}
	if err := Check(&session.Command{To: all, Message: text, Except: []session.Address{session.Self}}, 10); err != nil {
		t.Errorf("except self: %v", err)
	}
}

func TestIDsOfStreams(t *testing.T) {
	if p, err := parseID("1795879931816-12", tagA); err != nil || p != pos(1795879931816, 12, tagA) {
		t.Errorf("got %v, %v", p, err)
	}
	for _, id := range []string{"", "1", "1-", "-1", "0-0", "a-1", "1-b", "18446744073709551616-0", "+1-0"} {
		if p, err := parseID(id, tagA); err == nil {
			t.Errorf("%q: got %v", id, p)
		}
	}
}

func FuzzEntry(f *testing.F) {
	f.Add("to", "all,user:7", "data", "x", "close", "4001 bye")
	f.Add("to", "channel:a", "binary", "\xff", "except", "conn:x,user:y")
	f.Add("to", `s:3:"all";`, "data", "", "", "")
	f.Add("", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, a, b, c, d, e, g string) {
		at := pos(1, 0, tagA)
		got, err := command(redis.Entry{Fields: []string{a, b, c, d, e, g}}, at, 100)
		var bad *badEntry
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("got %T", err)
		}
		if err != nil || got == nil {
			return
		}
		if err := Check(got, 100); err != nil {
			t.Fatalf("%+v is read but cannot be written: %v", got, err)
		}
		again, err := command(redis.Entry{Fields: Fields(got)}, at, 100)
		if err != nil || !reflect.DeepEqual(again.To, got.To) || !reflect.DeepEqual(again.Close, got.Close) {
			t.Fatalf("got %+v, %v, want %+v", again, err, got)
		}
	})
}

func FuzzID(f *testing.F) {
	f.Add("1795879931816-0")
	f.Add("0-1")
	f.Fuzz(func(t *testing.T, id string) {
		p, err := parseID(id, tagA)
		if err != nil {
			return
		}
		if q, err := parseID(p.ID(), tagA); err != nil || q != p {
			t.Fatalf("%q: got %v, then %v, %v", id, p, q, err)
		}
	})
}

func FuzzReplication(f *testing.F) {
	f.Add(info(tagA, true))
	f.Add("role:slave\nmaster_replid:x\nmaster_replid2:")
	f.Fuzz(func(t *testing.T, text string) {
		rep := parseReplication(text)
		if rep.tag != 0 && len(rep.tag.String()) != 6 {
			t.Fatalf("got tag %v of %q", rep.tag, text)
		}
	})
}
