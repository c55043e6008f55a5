package answer

import (
	"errors"
	"fmt"
	"strings"

	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

// publish is the value of WS-Publish: the addresses that get the body.
type publish struct {
	named      bool // the header is present, perhaps without an address
	to, except []session.Address
	durable    *bool // "durable" or "fast"; nil: the route decides
}

// parse parses a line's addresses and, after semicolons, "except=self", "durable" or "fast". The
// list may be empty.
func (p *publish) parse(value string) error {
	p.named = true
	addresses, parameters, _ := strings.Cut(value, ";")
	if trim(addresses) != "" {
		list, err := session.ParseAddresses(addresses)
		if err != nil {
			return fmt.Errorf("WS-Publish: %w", err)
		}
		p.to = append(p.to, list...)
	}
	for parameter := range strings.SplitSeq(parameters, ";") {
		if err := p.parameter(trim(parameter)); err != nil {
			return err
		}
	}
	if len(p.to)+len(p.except) > session.MaxAddresses {
		return fmt.Errorf("WS-Publish: more than %d addresses", session.MaxAddresses)
	}
	return nil
}

// parameter parses one parameter after the addresses, which may be blank.
func (p *publish) parameter(text string) error {
	if text == "" {
		return nil
	}
	if durable := text == "durable"; durable || text == "fast" {
		if p.durable != nil && *p.durable != durable {
			return errors.New("WS-Publish: both durable and fast: want one of them")
		}
		p.durable = &durable
		return nil
	}
	whom, found := strings.CutPrefix(text, "except=")
	if !found {
		return fmt.Errorf("WS-Publish: %q after the addresses: want except=self, durable or fast", excerpt.Of(text))
	}
	a, err := session.Self, error(nil)
	if whom != "self" {
		a, err = session.ParseAddress(whom)
	}
	if err != nil {
		return fmt.Errorf("WS-Publish: except: %w", err)
	}
	p.except = append(p.except, a)
	return nil
}
