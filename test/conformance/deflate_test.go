package conformance

import (
	"fmt"
	"net/http"
	"testing"
)

// offers are ways to ask for permessage-deflate (RFC 7692, 7.1).
func offers() []string {
	return []string{
		"permessage-deflate",
		"permessage-deflate; client_no_context_takeover; server_no_context_takeover",
		"permessage-deflate; client_max_window_bits=9; server_max_window_bits=9",
		"permessage-deflate; client_max_window_bits; server_max_window_bits=15",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=15",
		"permessage-deflate; server_no_context_takeover; server_max_window_bits=9, permessage-deflate; server_no_context_takeover, permessage-deflate",
	}
}

// deflateSizeCases and deflateParameterCases wait for compression: five kinds
// of text and seven offers, each in eighteen sizes and cuts. A case without run
// counts as not implemented.
func deflateSizeCases() (cases []testCase) {
	for i := range 5 * 18 {
		cases = append(cases, testCase{id: fmt.Sprintf("12.%d.%d", i/18+1, i%18+1), about: "compressed messages"})
	}
	return cases
}

func deflateParameterCases() (cases []testCase) {
	for i := range 7 * 18 {
		cases = append(cases, testCase{id: fmt.Sprintf("13.%d.%d", i/18+1, i%18+1), about: offers()[i/18]})
	}
	return cases
}

// TestCompressionIsDeclined: as long as wsfpm does not compress, an offer is
// answered without it, and messages go on as they are (RFC 7692, 5).
func TestCompressionIsDeclined(t *testing.T) {
	forEachTarget(t, wide, func(t *testing.T, at *target) {
		for _, offer := range offers() {
			c := at.connect(t)
			_ = c.send([]byte(good("/echo", "Sec-WebSocket-Extensions: "+offer) + "\r\n")) // seen in the answer
			resp, err := c.answer()
			if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
				t.Fatalf("%s: got %v, %v, want 101", offer, resp, err)
			}
			if got := resp.Header.Values("Sec-WebSocket-Extensions"); len(got) > 0 {
				t.Errorf("%s: the answer has %q", offer, got)
			}
			if r := echo(text, 1000, 0).run(c); r.verdict != ok {
				t.Errorf("%s: %v: %s", offer, r.verdict, r.why)
			}
		}
		c := at.open(t, "/echo")
		if r := (script{steps: sent(frame(fin|0x40|text, "compressed")), end: fails(1002)}).run(c); r.verdict != ok {
			t.Errorf("a compressed frame that nobody agreed on: %v: %s", r.verdict, r.why)
		}
	})
}
