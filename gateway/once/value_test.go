package once

import (
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestStoredValuesAreReadAsWritten(t *testing.T) {
	hash := Hash("/srv/pay.php", []byte("{}"))
	answer := []Message{{Data: []byte("ok: 1:2")}, {Binary: true, Data: []byte{0, 255}}, {Data: []byte{}}}
	for stored, want := range map[string]value{
		runValue(hash, 2*time.Minute, "TOKEN", "web:1-abc"): {kind: kindRun, hash: hash, over: 2 * time.Minute, node: "web:1-abc"},
		unknownValue(hash):      {kind: kindUnknown, hash: hash},
		doneValue(hash):         {kind: kindDone, hash: hash},
		keptValue(hash, answer): {kind: kindKept, hash: hash, answer: answer},
		keptValue(hash, nil):    {kind: kindKept, hash: hash},
	} {
		if got, err := parse(stored); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %+v, %v, want %+v", stored, got, err, want)
		}
	}
}

func TestMalformedValuesAreRefused(t *testing.T) {
	h := Hash("", nil)
	for _, stored := range []string{
		"", "run", "run:", "later:" + h, "unknown:" + h + ":", "unknown:" + h[1:], "done:" + h + "x", "kept:" + h,
		"kept:" + h + ":t", "kept:" + h + ":t2:a", "kept:" + h + ":x1:a", "kept:" + h + ":t-1:a", "kept:" + h + ":t1:\xff",
		"kept:" + h + ":t99999999999:a", "run:" + h + ":1::n", "run:" + h + ":1:t:", "run:" + h + ":-1:t:n", "run:" + h + ":1:t",
		"run:" + h + ":99999999999999999:t:n", "run:" + h + "x:1:t:n",
	} {
		if v, err := parse(stored); err == nil {
			t.Errorf("%q was read as %+v", stored, v)
		}
	}
}

func FuzzParse(f *testing.F) {
	h := Hash("/srv/pay.php", []byte("data"))
	f.Add(runValue(h, time.Minute, "T", "n"))
	f.Add(unknownValue(h))
	f.Add(doneValue(h))
	f.Add(keptValue(h, []Message{{Data: []byte("a")}, {Binary: true, Data: []byte{1}}}))
	f.Fuzz(func(t *testing.T, stored string) {
		v, err := parse(stored)
		if err != nil {
			return
		}
		again := stored
		switch v.kind {
		case kindUnknown:
			again = unknownValue(v.hash)
		case kindDone:
			again = doneValue(v.hash)
		case kindKept:
			again = keptValue(v.hash, v.answer)
		case kindRun:
			token := strings.SplitN(stored, ":", 5)[3]
			again = runValue(v.hash, v.over, token, v.node)
		}
		got, err := parse(again)
		if err != nil || !reflect.DeepEqual(got, v) {
			t.Errorf("%q: got %+v, written %q, read %+v, %v", stored, v, again, got, err)
		}
	})
}

func TestKeysKeepUsersApart(t *testing.T) {
	seen := map[string]bool{}
	for _, of := range [][2]string{{"a", "b"}, {"a:b", "c"}, {"a", "b-c"}, {"1:a", "b"}, {"", "a"}} {
		key := Key("ws:", of[0], of[1])
		if seen[key] || !strings.HasPrefix(key, "ws:once:") {
			t.Errorf("%q: %q", of, key)
		}
		seen[key] = true
	}
	if got, want := Key("ws:", "a:b", "k7"), "ws:once:3:a:b:k7"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHashesTellScriptsAndDataApart(t *testing.T) {
	if Hash("/a", []byte("b")) == Hash("/", []byte("ab")) || Hash("/a", []byte("b")) == Hash("/a", []byte("c")) {
		t.Error("two messages have one hash")
	}
	if h := Hash("/a", []byte("b")); len(h) != hashLen || h != Hash("/a", []byte("b")) || strings.Contains(h, ":") {
		t.Errorf("hash %q", h)
	}
}
