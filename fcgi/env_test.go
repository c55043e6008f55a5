package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"wsfpm/test/fcgitest"
)

// wire returns the bytes that a request is sent as.
func wire(t testing.TB, r *Request, withProbe bool) []byte {
	t.Helper()
	out, buf := encode(nil, r, withProbe, false)
	if out == nil {
		return buf
	}
	var all bytes.Buffer
	if _, err := (*net.Buffers)(&out).WriteTo(&all); err != nil {
		t.Fatal(err)
	}
	return all.Bytes()
}

// The golden bytes were checked by hand against the FastCGI specification.
func TestRequestIsTheGoldenBytes(t *testing.T) {
	e, err := NewEnv(map[string]string{"SCRIPT_FILENAME": "/a.php", "EMPTY": ""})
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Env: e, Vars: []Var{{"REQUEST_METHOD", "POST"}}, Body: []byte("hi")}
	want, err := os.ReadFile(filepath.Join("testdata", "request.golden"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprintf("%q\n", wire(t, r, true)); got != string(want) {
		t.Errorf("got  %swant %s", got, want)
	}
}

func TestEnvRefusesWhatPHPWouldNotTake(t *testing.T) {
	for name, params := range map[string]map[string]string{
		"no script":     {"A": "b"},
		"no name":       {"SCRIPT_FILENAME": "/a.php", "": "b"},
		"NUL in name":   {"SCRIPT_FILENAME": "/a.php", "A\x00": "b"},
		"= in name":     {"SCRIPT_FILENAME": "/a.php", "A=": "b"},
		"NUL in value":  {"SCRIPT_FILENAME": "/a.php\x00.txt"},
		"pair too long": {"SCRIPT_FILENAME": "/a.php", "A": strings.Repeat("x", maxContent)},
	} {
		if _, err := NewEnv(params); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	_, err := NewEnv(map[string]string{"SCRIPT_FILENAME": strings.Repeat("x", 70000)})
	if !errors.Is(err, ErrTooLarge) {
		t.Errorf("got %v, want ErrTooLarge", err)
	}
}

// PHP parses every PARAMS record by itself, and so does fcgitest.
func TestParamsOverOneRecordAreCutBetweenPairs(t *testing.T) {
	params := map[string]string{"SCRIPT_FILENAME": "/a.php", "LONG": strings.Repeat("l", 65000)}
	for i := range 4000 {
		params[fmt.Sprintf("NAME_%d", i)] = strings.Repeat("v", i%200)
	}
	e, err := NewEnv(params)
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Env: e, Body: []byte("body")}
	for i := range 3000 {
		r.Vars = append(r.Vars, Var{fmt.Sprintf("VAR_%d", i), strings.Repeat("w", i%150)})
	}
	got, err := fcgitest.ReadRequest(bytes.NewReader(wire(t, r, false)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Params) != len(params)+len(r.Vars)+1 || got.Params["CONTENT_LENGTH"] != "4" {
		t.Errorf("got %d parameters, CONTENT_LENGTH %q", len(got.Params), got.Params["CONTENT_LENGTH"])
	}
	for name, value := range params {
		if got.Params[name] != value {
			t.Fatalf("%s: got %.20q, want %.20q", name, got.Params[name], value)
		}
	}
}

func TestContentLengthIsAlwaysOurs(t *testing.T) {
	e, err := NewEnv(map[string]string{"SCRIPT_FILENAME": "/a.php", "CONTENT_LENGTH": "77"})
	if err != nil {
		t.Fatal(err)
	}
	r := &Request{Env: e, Vars: []Var{{"CONTENT_LENGTH", "88"}}}
	got, err := fcgitest.ReadRequest(bytes.NewReader(wire(t, r, false)))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Pairs) != 2 || got.Params["CONTENT_LENGTH"] != "0" {
		t.Errorf("got %v", got.Pairs)
	}
}

func TestBodiesOfAllSizesArriveWhole(t *testing.T) {
	for _, n := range []int{0, 1, inlineBody, inlineBody + 1, maxContent - 1, maxContent, maxContent + 1, 3 * maxContent, 1 << 20} {
		body := bytes.Repeat([]byte("0123456789"), n/10+1)[:n]
		got, err := fcgitest.ReadRequest(bytes.NewReader(wire(t, &Request{Env: testEnv(t), Body: body}, true)))
		if err != nil || !bytes.Equal(got.Body, body) || got.Params["CONTENT_LENGTH"] != fmt.Sprint(n) {
			t.Errorf("%d bytes: got %d, %v", n, len(got.Body), err)
		}
	}
}

func FuzzParams(f *testing.F) {
	f.Add("NAME", "value", "VAR", "other", 100, []byte("body"))
	f.Add("A", strings.Repeat("x", 127), "B", strings.Repeat("y", 128), 7, []byte{})
	f.Add("A\x00", "x", "", "y\x00z", 1, []byte("b"))
	f.Fuzz(func(t *testing.T, name, value, varName, varValue string, repeat int, body []byte) {
		params := map[string]string{"SCRIPT_FILENAME": "/a.php", name: value}
		for i := range max(0, min(repeat, 20)) {
			params[fmt.Sprint(name, i)] = value
		}
		e, err := NewEnv(params)
		if err != nil {
			return
		}
		r := &Request{Env: e, Vars: []Var{{varName, varValue}, {"LAST", value}}, Body: body}
		if r.check() != nil {
			return
		}
		got, err := fcgitest.ReadRequest(bytes.NewReader(wire(t, r, true)))
		if err != nil {
			t.Fatal(err)
		}
		params[varName] = varValue
		params["LAST"], params[contentLength] = value, fmt.Sprint(len(body)) // these come last
		for k, v := range params {
			if got.Params[k] != v {
				t.Fatalf("%q: got %q, want %q", k, got.Params[k], v)
			}
		}
		if len(got.Params) != len(params) || !bytes.Equal(got.Body, body) {
			t.Fatalf("got %d parameters and %d bytes, want %d and %d", len(got.Params), len(got.Body), len(params), len(body))
		}
	})
}

// What many requests have alike is in memory once, and on the wire for each.
func TestCommonParametersAreHeldOnce(t *testing.T) {
	var envs []*Env
	for i := range 3 {
		params := map[string]string{"SCRIPT_FILENAME": "/a.php", "SERVER_NAME": "example.org", "HTTP_COOKIE": fmt.Sprint("id=", i)}
		e, err := NewEnv(params, "SCRIPT_FILENAME", "SERVER_NAME", "HTTPS")
		if err != nil {
			t.Fatal(err)
		}
		if got := e.Params(); !maps.Equal(got, params) {
			t.Errorf("got parameters %v, want %v", got, params)
		}
		for name, want := range params {
			if got, found := e.Get(name); got != want || !found {
				t.Errorf("%s: got %q, %v, want %q", name, got, found, want)
			}
		}
		if got, found := e.Get("HTTPS"); got != "" || found {
			t.Errorf("got %q, %v for a parameter that is not there", got, found)
		}
		if sent := wire(t, &Request{Env: e}, false); !bytes.Contains(sent, []byte("example.org")) || !bytes.Contains(sent, []byte(params["HTTP_COOKIE"])) {
			t.Errorf("sent %q", sent)
		}
		envs = append(envs, e)
	}
	if a, b := envs[0].common.Value(), envs[2].common.Value(); a == "" || unsafe.StringData(a) != unsafe.StringData(b) {
		t.Errorf("%q and %q are two pieces of memory", a, b)
	}
	large, err := NewEnv(map[string]string{"SCRIPT_FILENAME": "/a.php", "A": strings.Repeat("x", 60000), "B": strings.Repeat("x", 60000)}, "A", "SCRIPT_FILENAME")
	if err != nil || len(large.Params()["A"]) != 60000 || len(large.Params()) != 3 {
		t.Errorf("parameters of several records: %v, %d", err, len(large.Params()))
	}
}
