package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// Comparisons start this program again as a helper process.
	if len(os.Args) > 1 && (os.Args[1] == "floor" || os.Args[1] == "crowd") {
		if err := command(os.Args[1:], os.Stdout); err != nil {
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func TestSoakEveryComparisonRuns(t *testing.T) {
	if os.Getenv("WSFPM_INTEGRATION") != "1" {
		t.Skip("needs real servers: set WSFPM_INTEGRATION=1")
	}
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	results, err := filepath.Rel(root, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := command([]string{"-quick", "-long", "-results", results, "-chart", filepath.Join(results, "chart.svg")}, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	for _, want := range targets() {
		isThere := want.over == nil || slices.Equal(want.over, nginxWays()) // other peers may be missing
		if isThere && !strings.Contains(out.String(), want.what) && want.kase != "64 clients" && want.peer != "Pushpin" {
			t.Errorf("no verdict on %q", want.what)
		}
	}
	for _, v := range append((&lab{}).allRivals(), rival{name: "Centrifugo", installed: hasCentrifugo()}) {
		t.Run(v.name, func(t *testing.T) { // each answer was checked when it came
			if !v.installed {
				t.Skip("not installed: see scripts/bench")
			}
			if !strings.Contains(out.String(), "| "+v.name+" |") {
				t.Errorf("no figures of %s", v.name)
			}
		})
	}
	files, _ := filepath.Glob(filepath.Join(root, results, "*"))
	if len(files) != 2 {
		t.Errorf("got files %v, want raw data and a chart", files)
	}
}

func TestHistogramIsExactWithinItsBuckets(t *testing.T) {
	for d := time.Duration(1); d < 1<<40; d = d*3/2 + 1 {
		var h histogram
		h.add(d)
		got := h.quantile(0.5)
		if diff := math.Abs(float64(got-d)) / float64(d); diff > 0.008 {
			t.Fatalf("%v became %v", d, got)
		}
	}
}

func TestHistogramQuantiles(t *testing.T) {
	var h, other histogram
	for i := range 1000 {
		h.add(time.Duration(i))
		other.add(time.Hour)
	}
	if got := h.quantile(0.05); got != 50 {
		t.Errorf("got %v, want 50ns", got)
	}
	h.merge(&other)
	if got := h.quantile(0.99); got < 15*time.Minute || h.max != time.Hour || h.n != 2000 {
		t.Errorf("got %v of %d, longest %v", got, h.n, h.max)
	}
}

func TestSpread(t *testing.T) {
	if got, want := spreadOf([]float64{4, 1, 3, 2, 5}), (spread{2, 3, 4}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
	if got, want := spreadOf([]float64{1, 2}), (spread{1.25, 1.5, 1.75}); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestParseAnswer(t *testing.T) {
	const plain = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
	for _, whole := range []string{plain, chunked} {
		for n := range len(whole) {
			if body, size, err := parseAnswer([]byte(whole[:n])); size != 0 || err != nil {
				t.Fatalf("%q: got %q, %d, %v, want to wait for more", whole[:n], body, size, err)
			}
		}
		body, size, err := parseAnswer([]byte(whole + "HTTP"))
		if string(body) != "hello" || size != len(whole) || err != nil {
			t.Errorf("%q: got %q, %d, %v", whole, body, size, err)
		}
	}
	for _, bad := range []string{"HTTP/1.1 502 Bad Gateway\r\n\r\n", strings.Replace(chunked, "0\r\n", "1\r\n", 1)} {
		if _, _, err := parseAnswer([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

func TestParseFrame(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 1000} {
		frame := textFrame(strings.Repeat("x", n))
		for cut := range len(frame) {
			if _, _, size := parseFrame(frame[:cut]); size != 0 {
				t.Fatalf("%d bytes of a frame of %d: got one of %d", cut, len(frame), size)
			}
		}
		opcode, payload, size := parseFrame(append(frame, 0x81))
		if opcode != opText || len(payload) != n || size != len(frame) {
			t.Errorf("got opcode %d, %d bytes, size %d, want %d bytes", opcode, len(payload), size, n)
		}
	}
}

func TestCrowdHearsEveryMessageOfAJoinedFrame(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	defer writer.Close()
	sent := time.Unix(0, 1_700_000_000_000_000_000)
	push := fmt.Sprintf(`{"push":{"channel":"site","pub":{"data":"%0*d000"}}}`, stampSize, sent.UnixNano())
	c := &crowd{}
	c.hear(&member{fd: int(writer.Fd())}, opText, []byte("{}\n"+push+"\n"+push), sent.Add(time.Second))
	if c.heard != 2 || c.latency.n != 2 || c.latency.max != time.Second {
		t.Errorf("heard %d messages, %d with a time, the slowest after %v, want 2, 2 and 1s", c.heard, c.latency.n, c.latency.max)
	}
	if err := reader.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	pong, got := maskedFrame(opText, []byte("{}")), make([]byte, 64)
	if n, err := reader.Read(got); err != nil || !bytes.Equal(got[:n], pong) {
		t.Errorf("a ping was answered with %q, %v, want %q", got[:n], err, pong)
	}
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"))
	f.Add([]byte("\x81\x7e\x00\x05hello"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, size, _ := parseAnswer(b); size > len(b) {
			t.Errorf("an answer of %d bytes in %d", size, len(b))
		}
		if _, _, size := parseFrame(b); size > len(b) {
			t.Errorf("a frame of %d bytes in %d", size, len(b))
		}
	})
}

func TestRatiosAreOfPairsAndTheWorseQuartileDecides(t *testing.T) {
	r := newRecorder(&options{}, &bytes.Buffer{})
	r.begin("echo")
	for i, pair := range [][3]float64{{130, 100, 10}, {260, 200, 20}, {130, 100, 10}, {100, 100, 10}, {130, 100, 10}} {
		r.add("16 clients", "wsfpm", i, values{"per_second": pair[0]})
		r.add("16 clients", "nginx", i, values{"per_second": pair[1]})
		r.add("16 clients", "nginx, kept connections", i, values{"per_second": pair[2]})
	}
	verdicts := comparisonsOf(r)
	if len(verdicts) != 1 {
		t.Fatalf("got %v, want one verdict", verdicts)
	}
	if v := verdicts[0]; v.Over != "nginx" || v.Median != 1.3 || v.Low != 1.3 || !v.Met {
		t.Errorf("got %+v, want 1.3 over nginx", v)
	}
	r.add("16 clients", "wsfpm", 5, values{"per_second": 100})
	r.add("16 clients", "nginx", 5, values{"per_second": 100})
	if v := comparisonsOf(r)[0]; v.Median != 1.3 || v.Met {
		t.Errorf("got %+v, want it missed by the lower quartile", v)
	}
}

func TestPeerThatStarvesClientsIsNotTheBetterOne(t *testing.T) {
	r := newRecorder(&options{}, &bytes.Buffer{})
	r.begin("echo")
	r.add("64 clients", "wsfpm", 0, values{"per_second": 125})
	r.add("64 clients", "nginx", 0, values{"per_second": 100, "starved": 0})
	r.add("64 clients", "nginx, kept connections", 0, values{"per_second": 1000, "starved": 40})
	if v := comparisonsOf(r)[0]; v.Over != "nginx" {
		t.Errorf("got %+v, want nginx", v)
	}
}

func TestUpdateFigures(t *testing.T) {
	path := filepath.Join(t.TempDir(), "README.md")
	if err := updateFigures(path, "x"); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Fatal("a README was made")
	}
	for before, want := range map[string]string{
		"# a\n": "# a\n",
		"a\n" + figuresBegin + "\nold\n" + figuresEnd + "\nz\n": "a\n" + figuresBegin + "\nnew\n" + figuresEnd + "\nz\n",
		figuresEnd + figuresBegin:                               figuresEnd + figuresBegin,
	} {
		if err := os.WriteFile(path, []byte(before), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := updateFigures(path, "new\n"); err != nil {
			t.Fatal(err)
		}
		if got, _ := os.ReadFile(path); string(got) != want {
			t.Errorf("%q: got %q, want %q", before, got, want)
		}
	}
}

func TestParseWrk(t *testing.T) {
	v, err := parseWrk(`Running 2s test @ http://127.0.0.1:1/echo.php
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency   106.18us  330.76us   8.40ms   97.50%
    Req/Sec    13.69k     2.49k   17.17k    57.99%
  Latency Distribution
     50%   65.00us
     75%   73.00us
     90%   90.00us
     99%    1.13ms
  28613 requests in 2.10s, 6.71MB read
Requests/sec:  13623.41
Transfer/sec:      3.20MB
`)
	if err != nil || v["per_second"] != 13623.41 || v["p50_us"] != 65 || v["p99_us"] != 1130 {
		t.Errorf("got %v, %v", v, err)
	}
}

func TestThousands(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", -999: "-999"} {
		if got := thousands(n); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// comparisonsOf are the verdicts on ratios.
func comparisonsOf(r *recorder) (list []verdict) {
	for _, v := range r.judge() {
		if v.Over != "" {
			list = append(list, v)
		}
	}
	return list
}
