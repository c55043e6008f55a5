package conformance

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"net/http"
)

const (
	// rsv1 marks the first frame of a compressed message (RFC 7692, 6).
	rsv1 = 0x40
	// flushed ends what a compressor has flushed, and is not sent (RFC 7692,
	// 7.2.1).
	flushed = "\x00\x00\xff\xff"
	// last is an empty block that says it is the last.
	last = "\x01\x00\x00\xff\xff"
)

// openPacked connects, does a handshake that offers compression, and holds the
// server to the answer: "" is none. Only then may compressed messages come.
func openPacked(address, path, offer, answer string) (*client, error) {
	c, err := connect(address)
	if err != nil {
		return nil, err
	}
	if err = c.send([]byte(good(path, "Sec-WebSocket-Extensions: "+offer) + "\r\n")); err == nil {
		err = c.agree(answer)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	c.deflate = answer != ""
	return c, nil
}

// agree reads an answer that must accept the handshake, and this extension.
func (c *client) agree(answer string) error {
	resp, err := c.answer()
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the handshake was answered with %d", resp.StatusCode)
	}
	lines := resp.Header.Values("Sec-WebSocket-Extensions")
	if len(lines) > 1 || resp.Header.Get("Sec-WebSocket-Extensions") != answer {
		return fmt.Errorf("extensions are %q, want %q", lines, answer)
	}
	return nil
}

// pack compresses a message on its own, at a level of compress/flate.
func pack(payload string, level int) string {
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		panic(err) // levels are constants
	}
	_, _ = io.WriteString(w, payload) // into memory
	_ = w.Flush()
	return string(bytes.TrimSuffix(b.Bytes(), []byte(flushed)))
}

// unpack undoes pack without a window from earlier messages, which the answer
// to every offer rules out. The data must end where the payload does.
func unpack(payload string) (string, error) {
	in := bytes.NewReader([]byte(payload + flushed + last))
	data, err := io.ReadAll(flate.NewReader(in))
	if err != nil {
		return "", fmt.Errorf("inflate %d bytes: %w", len(payload), err)
	}
	if in.Len() > 0 {
		return "", fmt.Errorf("compressed data ends %d bytes early", in.Len())
	}
	return string(data), nil
}

// pieces are one message in frames of size bytes. The first byte of the first
// has RSV1 when the payload is compressed.
func pieces(first byte, payload string, size int) [][]byte {
	var frames [][]byte
	for at := 0; at == 0 || at < len(payload); at += size {
		end := min(at+size, len(payload))
		if end == len(payload) {
			first |= fin
		}
		frames = append(frames, frame(first, payload[at:end]))
		first = continuation
	}
	return frames
}
