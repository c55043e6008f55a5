package fcgi

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"wsfpm/test/fcgitest"
)

// transcript reads everything that a decoder makes of in.
func transcript(in io.Reader) (string, error) {
	d := &decoder{r: bufio.NewReaderSize(in, readBuffer)}
	var out, errs strings.Builder
	for {
		k, err := d.next()
		switch {
		case err != nil:
			return fmt.Sprintf("out=%q err=%q ended=%v", &out, &errs, d.ended), err
		case k == gotReady:
			out.WriteString("<ready>")
		case k == gotEnd:
			out.WriteString("<end>")
		}
		for (k == gotStdout || k == gotStderr) && d.left > 0 {
			b, err := d.chunk()
			if err != nil {
				return out.String(), err
			}
			if k == gotStdout {
				out.Write(b)
			} else {
				errs.Write(b)
			}
			d.skip(len(b))
		}
	}
}

func record(kind byte, id int, content string) string {
	return string([]byte{1, kind, byte(id >> 8), byte(id), byte(len(content) >> 8), byte(len(content)), 0, 0}) + content
}

const completeEnd = "\x01\x03\x00\x01\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

func TestDecoderJoinsRecordsHoweverTheyArrive(t *testing.T) {
	in := record(6, 1, "hello ") + record(7, 1, "warning") + record(6, 1, "") + record(99, 7, "what is to come") +
		record(11, 0, "unknown!") + record(6, 1, "world") + completeEnd + readyRecord
	const want = `out="hello world<end><ready>" err="warning" ended=true`
	for name, r := range map[string]io.Reader{
		"whole":        strings.NewReader(in),
		"byte wise":    iotest.OneByteReader(strings.NewReader(in)),
		"half by half": iotest.HalfReader(strings.NewReader(in)),
	} {
		got, err := transcript(r)
		if got != want || err != io.EOF {
			t.Errorf("%s: got %s, %v; want %s", name, got, err, want)
		}
	}
}

func TestDecoderRefusesWhatBreaksTheProtocol(t *testing.T) {
	for name, in := range map[string]string{
		"version 2":              "\x02" + record(6, 1, "x")[1:],
		"another request's id":   record(6, 2, "x"),
		"id 0 for output":        record(6, 0, "x"),
		"id for management":      record(10, 1, "x"),
		"end of another request": record(3, 99, "\x00\x00\x00\x00\x00\x00\x00\x00"),
		"a request's BEGIN":      record(1, 1, "\x00\x01\x00\x00\x00\x00\x00\x00"),
		"a request's PARAMS":     record(4, 1, "x"),
		"a request's STDIN":      record(5, 1, "x"),
		"short END_REQUEST":      record(3, 1, "\x00\x00\x00\x00"),
		"cannot multiplex":       record(3, 1, "\x00\x00\x00\x00\x01\x00\x00\x00"),
		"unknown role":           record(3, 1, "\x00\x00\x00\x00\x03\x00\x00\x00"),
		"status unheard of":      record(3, 1, "\x00\x00\x00\x00\x63\x00\x00\x00"),
		"output after the end":   completeEnd + record(6, 1, "x"),
		"a second end":           completeEnd + completeEnd,
	} {
		if got, err := transcript(strings.NewReader(in)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%s: got %s, %v; want ErrProtocol", name, got, err)
		}
	}
	_, err := transcript(strings.NewReader(record(3, 1, "\x00\x00\x00\x00\x02\x00\x00\x00")))
	if !errors.Is(err, ErrOverloaded) {
		t.Errorf("status overloaded: got %v, want ErrOverloaded", err)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add([]byte(record(6, 1, "hello") + completeEnd + readyRecord))
	f.Add(fcgitest.Bytes(strings.Repeat("x", 300)))
	f.Add([]byte(record(7, 1, "oops") + record(6, 2, "x")))
	f.Fuzz(func(t *testing.T, in []byte) {
		whole, err := transcript(bytes.NewReader(in))
		if err == nil {
			t.Fatal("no error at the end of input")
		}
		split, err2 := transcript(iotest.OneByteReader(bytes.NewReader(in)))
		if whole != split || err.Error() != err2.Error() {
			t.Fatalf("whole %s %v, byte wise %s %v", whole, err, split, err2)
		}
	})
}
