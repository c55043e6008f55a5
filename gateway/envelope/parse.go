package envelope

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxID is the maximum length of the id of a client's message.
const MaxID = 64

// Input is a message of a client.
type Input struct {
	ID   string // "" none
	Body []byte // the payload as PHP receives it
}

// Parse reads a client's text message, {"data":…} or {"id":"k7","data":…}. A payload that is
// a string becomes its text, any other value its compact JSON. The result may use the
// memory of text, which is invalid afterwards. The error is for the client's developer.
func Parse(text []byte) (in Input, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return in, notEnvelope(d, err)
	}
	var data json.RawMessage
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return in, notEnvelope(d, err)
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return in, notEnvelope(d, err)
		}
		switch {
		case name == "data" && data == nil:
			data = value
		case name == "id" && in.ID == "":
			if in.ID, err = parseID(value); err != nil {
				return in, err
			}
		case name == "data", name == "id":
			return in, fmt.Errorf("%q stands twice in the envelope", name)
		default:
			return in, fmt.Errorf("unknown field %.40q in the envelope: want data, or id and data", name)
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return in, notEnvelope(d, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return in, errors.New(`text after the envelope: want one {"data":…} a message`)
	}
	if data == nil {
		return in, errors.New(`no "data" in the envelope: want {"data":…} or {"id":"k7","data":…}`)
	}
	in.Body, err = body(text[:0], data)
	return in, err
}

// notEnvelope is the error of a text that is not a JSON object.
func notEnvelope(d *json.Decoder, err error) error {
	if err == nil {
		return errors.New(`not an object: wsfpm.v1 wants {"data":…} or {"id":"k7","data":…}`)
	}
	return fmt.Errorf(`not JSON after byte %d: wsfpm.v1 wants {"data":…} or {"id":"k7","data":…}`, d.InputOffset())
}

// parseID reads the id of a message.
func parseID(value []byte) (id string, err error) {
	if json.Unmarshal(value, &id) != nil || !isID(id) {
		return "", fmt.Errorf(`the id of the envelope: want a string of 1 to %d letters, digits, "_" and "-"`, MaxID)
	}
	return id, nil
}

func isID(s string) bool {
	return s != "" && len(s) <= MaxID && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

// body puts a payload into memory, which has room for it: neither form is longer than the
// value.
func body(memory []byte, value json.RawMessage) ([]byte, error) {
	if value[0] == '"' {
		var s string
		if err := json.Unmarshal(value, &s); err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		return append(memory, s...), nil
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	return append(memory, compact.Bytes()...), nil
}
