package bus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"wsfpm/session"
)

// errNotLaravel is returned for a payload that Laravel's redis broadcaster has not written.
var errNotLaravel = errors.New(`not what Laravel's redis broadcaster publishes: want an object with "event", "data" and "socket"`)

// laravelEvent is the message that clients get.
type laravelEvent struct {
	Event   string          `json:"event"`
	Channel string          `json:"channel"`
	Data    json.RawMessage `json:"data"`
}

// fromLaravel converts a payload of Laravel's redis broadcaster on a channel to a command
// without its address: the connection that raised the event is left out.
func fromLaravel(channel, payload string) (c session.Command, err error) {
	var in struct {
		Event  *string         `json:"event"`
		Data   json.RawMessage `json:"data"`
		Socket *string         `json:"socket"`
	}
	if err := json.Unmarshal([]byte(payload), &in); err != nil {
		return c, fmt.Errorf("%w: %w", errNotLaravel, err)
	}
	if in.Event == nil || in.Data == nil {
		return c, errNotLaravel
	}
	data, err := withoutSocket(in.Data)
	if err != nil {
		return c, err
	}
	text, err := jsonText(laravelEvent{*in.Event, channel, data})
	if err != nil {
		return c, err
	}
	c.Message = session.NewMessage(false, text)
	// A page names the connection, in X-Socket-ID: what is no name is no connection's.
	if in.Socket != nil && session.CheckName(*in.Socket) == nil {
		c.Except = []session.Address{session.Conn(*in.Socket)}
	}
	return c, nil
}

// withoutSocket removes the id that Laravel leaves in the data: with it any page can leave
// that connection out of pushes.
func withoutSocket(data json.RawMessage) (json.RawMessage, error) {
	if data[0] != '{' {
		return data, nil
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	if _, found := fields["socket"]; !found {
		return data, nil
	}
	delete(fields, "socket")
	return jsonText(fields)
}

// jsonText returns a value as JSON, with "<" and the like as they are.
func jsonText(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
