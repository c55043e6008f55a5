package recording

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// version is that of the form of recordings.
const version = 1

// mostLine is the longest line of a recording, in bytes: an answer and what PHP was told, as
// JSON.
const mostLine = 64 << 20

// Head is the first line of a recording.
type Head struct {
	Version int       `json:"recording"`
	Of      string    `json:"of"` // see [Choice.String]
	Began   time.Time `json:"began"`
	Bodies  bool      `json:"bodies"`
}

// Tail is a line of a recording that is no event.
type Tail struct {
	Dropped int64  `json:"dropped,omitempty"` // events that are missing here
	End     string `json:"end,omitempty"`     // why the recording ends
}

// Head returns the first line of the recording.
func (c *Choice) Head() Head {
	return Head{version, c.String(), time.Now().UTC(), c.Bodies}
}

// Reader reads a recording.
type Reader struct {
	Head
	Tail // of the lines so far; Dropped is their sum

	lines *bufio.Scanner
	n     int
}

// NewReader reads the first line of a recording.
func NewReader(from io.Reader) (*Reader, error) {
	r := &Reader{lines: bufio.NewScanner(from)}
	r.lines.Buffer(nil, mostLine)
	line, err := r.next()
	if err == io.EOF {
		return nil, errors.New("the file is empty: want a recording of wsfpm record")
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(line, &r.Head); err != nil || r.Version == 0 {
		return nil, errors.New("line 1 is not that of a recording: want a file of wsfpm record")
	}
	if r.Version != version {
		return nil, fmt.Errorf("the recording has the form %d, and this wsfpm knows %d", r.Version, version)
	}
	return r, nil
}

// Next returns the next event, or io.EOF after the last one.
func (r *Reader) Next() (*Entry, error) {
	for {
		line, err := r.next()
		if err != nil {
			return nil, err
		}
		var read struct {
			Tail
			Entry
		}
		if err := json.Unmarshal(line, &read); err != nil {
			return nil, fmt.Errorf("line %d: %w", r.n, err)
		}
		r.Dropped += read.Dropped
		if read.End != "" {
			r.End = read.End
		}
		switch read.Event {
		case "connect", "message", "disconnect":
			return &read.Entry, nil
		case "":
			if read.Dropped == 0 && read.End == "" {
				return nil, fmt.Errorf("line %d is neither an event nor the end", r.n)
			}
		default:
			return nil, fmt.Errorf("line %d: there is no event %.40q", r.n, read.Event)
		}
	}
}

// next returns the next line that is not blank. It is valid until the next call.
func (r *Reader) next() ([]byte, error) {
	for r.lines.Scan() {
		r.n++
		if line := bytes.TrimSpace(r.lines.Bytes()); len(line) > 0 {
			return line, nil
		}
	}
	if err := r.lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", r.n+1, err)
	}
	return nil, io.EOF
}
