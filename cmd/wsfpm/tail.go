package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/signal"
	"strings"

	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/dev"
	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway/live"
	"wsfpm/session"
)

// maxLine bounds a line of events or figures, in bytes.
const maxLine = 1 << 20

// tailCmd is wsfpm tail.
type tailCmd struct {
	operatorSettings
	Of     []string `arg:"" optional:"" name:"of" help:"user:<name>, channel:<name>, conn:<id or its end>, or a route such as /ws; of several all must hold, one of each kind."`
	Kind   string   `placeholder:"KIND" help:"connect, message, disconnect, or handshake: refused before PHP was called."`
	From   string   `placeholder:"IP" help:"Events of this client address."`
	Failed bool     `help:"Only what failed or was refused."`
	Bodies bool     `help:"Show what messages say, by the control socket. Each use leaves a line in the gateway's log."`
	JSON   bool     `name:"json" help:"Print the lines of GET /events instead."`
}

// Help is shown by wsfpm tail --help.
func (tailCmd) Help() string {
	return `Shows each event of a running gateway when it is over: the end of the
connection's id, how long PHP ran, how long it waited for a worker, and what the
answer did. Ctrl-C ends it. Without flags it asks the gateway of
` + shippedConfig + `.

  wsfpm tail --failed
  wsfpm tail user:42
  wsfpm tail /ws/chat channel:lobby`
}

// Run prints events until a signal, or until the gateway ends.
func (c *tailCmd) Run() error {
	query, err := c.query()
	if err != nil {
		return err
	}
	gateway, err := c.gateway()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	lines, err := gateway.stream(ctx, "/events?"+query.Encode())
	if err != nil {
		return err
	}
	defer lines.Close()
	if c.JSON {
		return ended(ctx, copyJSON(lines, os.Stdout))
	}
	printer := dev.NewPrinter(os.Stdout, hasColor(os.Stdout))
	return ended(ctx, eachLine(lines, func(line []byte) error {
		var r live.Record
		if err := json.Unmarshal(line, &r); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		printer.Record(&r)
		return nil
	}))
}

// query reads the arguments.
func (c *tailCmd) query() (url.Values, error) {
	f := live.Filter{Kind: c.Kind, Address: c.From, Failed: c.Failed}
	for _, text := range c.Of {
		place, value, err := placeOf(&f, text)
		if err != nil {
			return nil, err
		}
		if *place != "" && *place != value {
			return nil, fmt.Errorf("%s: all filters must hold, and another of its kind is there: want one user, channel, connection and route at most", terminal.Escape(text))
		}
		*place = value
	}
	query := f.Query()
	if c.Bodies {
		query.Set("bodies", "1")
	}
	return query, nil
}

// placeOf returns where a filter has what an argument names.
func placeOf(f *live.Filter, text string) (place *string, value string, err error) {
	if strings.HasPrefix(text, "/") {
		return &f.Route, text, nil
	}
	address, err := session.ParseAddress(text)
	if err != nil {
		return nil, "", fmt.Errorf("%w; a route begins with /", err)
	}
	switch address.Kind {
	case session.KindUser:
		return &f.User, address.Name, nil
	case session.KindChannel:
		return &f.Channel, address.Name, nil
	case session.KindConn:
		return &f.Connection, address.Name, nil
	}
	return nil, "", fmt.Errorf("%s: without an argument all events are shown", terminal.Escape(text))
}

// copyJSON copies lines, with the characters that a terminal could take for a command as
// escapes of JSON.
func copyJSON(from io.Reader, to io.Writer) error {
	return eachLine(from, func(line []byte) error {
		_, err := to.Write(append(terminal.JSON(line), '\n'))
		return err
	})
}

// eachLine calls use with each line, and returns its error or that of reading.
func eachLine(from io.Reader, use func(line []byte) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxLine)
	for lines.Scan() {
		if err := use(lines.Bytes()); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, unix.ECONNRESET) {
		return err
	}
	return errors.New("the gateway has ended the stream: it has stopped, or this reader was too slow")
}

// ended returns nil when the reading ended by a signal.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}
