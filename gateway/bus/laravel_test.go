package bus

import (
	"context"
	"encoding/json"
	"slices"
	"testing"

	"wsfpm/gateway/redis"
	"wsfpm/session"
)

func TestLaravelsEventsAreRelayed(t *testing.T) {
	for name, test := range map[string]struct{ payload, want, except string }{
		"as its driver writes":     {`{"event":"App\\OrderShipped","data":{"order":7,"socket":null},"socket":null}`, `{"event":"App\\OrderShipped","channel":"private-orders.7","data":{"order":7}}`, ""},
		"not to the sender":        {`{"event":"e","data":{"b":1,"a":"<é>","socket":"n1-x"},"socket":"n1-x"}`, `{"event":"e","channel":"private-orders.7","data":{"a":"<é>","b":1}}`, "conn:n1-x"},
		"a socket that is no name": {`{"event":"e","data":{"a":1},"socket":"a,b"}`, `{"event":"e","channel":"private-orders.7","data":{"a":1}}`, ""},
		"without a socket":         {`{"event":"e","data":[1, 2],"later":{}}`, `{"event":"e","channel":"private-orders.7","data":[1,2]}`, ""},
		"large numbers":            {`{"event":"e","data":{"n":12345678901234567890,"socket":null}}`, `{"event":"e","channel":"private-orders.7","data":{"n":12345678901234567890}}`, ""},
	} {
		c, err := fromLaravel("private-orders.7", test.payload)
		if err != nil || string(c.Message.Data()) != test.want {
			t.Errorf("%s: got %v, %v, want %s", name, c.Message, err, test.want)
		}
		var except []string
		for _, a := range c.Except {
			except = append(except, a.String())
		}
		if test.except == "" && except != nil || test.except != "" && !slices.Equal(except, []string{test.except}) {
			t.Errorf("%s: left out %v, want %q", name, except, test.except)
		}
	}
	for _, bad := range []string{"", "x", "1", "[]", "null", `{"event":1,"data":{}}`, `{"data":{}}`, `{"event":"e"}`, `{"event":"e","data":{},"socket":7}`, `{"event":"e","data":{}} x`} {
		if c, err := fromLaravel("c", bad); err == nil {
			t.Errorf("%s: got %s, want an error", bad, c.Message.Data())
		}
	}
}

// A further prefix of our own may lie within a relay's pattern, as Laravel's prefix of both: a
// push is then not relayed, too.
func TestOurOwnNamesAreNotRelayed(t *testing.T) {
	b, err := New(Config{Prefixes: []string{"ws:", "app_ws:"}, Relays: []Relay{{Pattern: "app_*", To: "channel:{name}", Laravel: true}}})
	if err != nil {
		t.Fatal(err)
	}
	var heard []string
	b.hand = func(c *session.Command) func(context.Context) error {
		heard = append(heard, c.To[0].String()+" "+string(c.Message.Data()))
		return nil
	}
	for _, e := range []redis.Event{
		{Name: "app_ws:user:7", Payload: "push"},
		{Name: "app_ws:user:7", Payload: "push", Pattern: "app_*"},
		{Name: "app_presence-room.1", Payload: `{"event":"e","data":{}}`, Pattern: "app_*"},
		{Name: "app_other", Payload: "not Laravel's", Pattern: "app_*"},
	} {
		e.Kind = redis.EventMessage
		if err := b.deliver(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"user:7 push", `channel:presence-room.1 {"event":"e","channel":"presence-room.1","data":{}}`}
	if !slices.Equal(heard, want) {
		t.Errorf("got %q, want %q", heard, want)
	}
	if n := b.counts.malformed.Load(); n != 1 {
		t.Errorf("dropped %d, want the one that is not Laravel's", n)
	}
}

func FuzzFromLaravel(f *testing.F) {
	f.Add("private-a", `{"event":"App\\E","data":{"order":7,"socket":null},"socket":null}`)
	f.Add("a", `{"event":"e","data":[{"socket":1}],"socket":"n-x"}`)
	f.Add("a", `{"event":"e","data":{"socket":{},"a":"\ud800"}}`)
	f.Fuzz(func(t *testing.T, channel, payload string) {
		c, err := fromLaravel(channel, payload)
		if err != nil {
			return
		}
		var out map[string]json.RawMessage
		if err := json.Unmarshal(c.Message.Data(), &out); err != nil || len(out) != 3 {
			t.Errorf("%q gives %q, which is no object of three: %v", payload, c.Message.Data(), err)
		}
		c.To = []session.Address{session.All}
		text, err := c.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := session.Decode(text, session.FromBus); err != nil {
			t.Errorf("%q cannot be published again: %v", payload, err)
		}
	})
}
