package answer

import (
	"fmt"
	"strings"

	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// Resume is the value of WS-Resume, on connect: which of the messages that the client missed
// it may get.
type Resume struct {
	Named bool
	Never bool             // none of them
	After session.Position // those after this position
}

// join parses channels and, after a semicolon, "live", which applies to all of this line.
func (h *Head) join(header, value string) error {
	names, parameter, found := strings.Cut(value, ";")
	if parameter = trim(parameter); found && parameter != "live" {
		return fmt.Errorf("%s: %q after the channels: want live", header, excerpt.Of(parameter))
	}
	before := len(h.Own.Join)
	err := appendNames(&h.Own.Join, header, trim(names), false)
	if found {
		h.Live = append(h.Live, h.Own.Join[before:]...)
	}
	return err
}

// appendNames parses a comma-separated list of channels, which may be empty.
func appendNames(list *[]string, header, value string, star bool) error {
	if value == "" {
		return nil
	}
	for name := range strings.SplitSeq(value, ",") {
		name = trim(name)
		if star && name == "*" {
			*list = append(*list, name)
			continue
		}
		if err := session.CheckName(name); err != nil {
			return fmt.Errorf("%s: %w", header, err)
		}
		*list = append(*list, name)
	}
	return nil
}

func (h *Head) resume(value string) (err error) {
	h.Resume.Named = true
	if h.Resume.Never = value == "no"; !h.Resume.Never {
		h.Resume.After, err = session.ParsePosition(value)
	}
	if err != nil {
		return fmt.Errorf(`WS-Resume: %w, or "no"`, err)
	}
	return nil
}
