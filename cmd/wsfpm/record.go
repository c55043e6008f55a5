package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/terminal"
	"wsfpm/gateway/recording"
	"wsfpm/session"
)

// recordCmd is wsfpm record.
type recordCmd struct {
	operatorSettings
	Of     string        `arg:"" help:"user:<name>, conn:<id>, or the path of a route with record = true."`
	File   string        `arg:"" help:"The new file."`
	For    time.Duration `default:"10m" placeholder:"TIME" help:"How long, 24h at most."`
	Bodies bool          `help:"Record what messages say, too."`
}

// Help is shown by wsfpm record --help.
func (recordCmd) Help() string {
	return `Writes events of a running gateway into a new file, one JSON object a line, for
wsfpm replay: until the time is over, 100 MiB are reached, or Ctrl-C. Cookies,
Authorization, the values of the query, the state, and all other headers and parameters
that may be secret are never in it; what messages say only with --bodies. It needs the
control socket. Each use leaves a line in the gateway's log.

  wsfpm record user:42 --for 2m --bodies ann.ndjson`
}

// Run records until the end of the time, a signal, or the end of the gateway.
func (c *recordCmd) Run() (err error) {
	choice, err := c.choice()
	if err != nil {
		return err
	}
	gateway, err := c.gateway()
	if err != nil {
		return err
	}
	if !strings.HasPrefix(gateway.address, "unix:") || gateway.token != "" {
		return errors.New("recording needs the control socket: use --control unix:/path, or a configuration with control")
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	to, err := os.OpenFile(c.File, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, os.ErrExist) {
		return fmt.Errorf("%s is there already, and no file is replaced: choose another name", c.File)
	}
	if err != nil {
		return err
	}
	lines, err := gateway.stream(ctx, "/record?"+choice.Query().Encode())
	if err != nil {
		return errors.Join(err, to.Close(), os.Remove(c.File))
	}
	defer lines.Close()
	fmt.Fprintf(os.Stderr, "recording %s for %v into %s; Ctrl-C ends it\n", terminal.Escape(choice.String()), choice.For, terminal.Escape(c.File))
	copied, err := copyRecording(lines, to)
	if ctx.Err() != nil {
		copied.End, err = "ended by a signal", nil
	}
	fmt.Fprintf(os.Stderr, "%d events, %d missing: %s\n", max(0, copied.events), copied.Dropped, copied.End)
	return errors.Join(err, to.Close())
}

// choice reads the arguments.
func (c *recordCmd) choice() (recording.Choice, error) {
	choice := recording.Choice{For: c.For, Bodies: c.Bodies}
	if strings.HasPrefix(c.Of, "/") || c.Of == "*" {
		choice.Route = c.Of
		return choice, nil
	}
	address, err := session.ParseAddress(c.Of)
	if err != nil {
		return choice, fmt.Errorf("%w; a route begins with /", err)
	}
	switch address.Kind {
	case session.KindUser:
		choice.User = address.Name
	case session.KindConn:
		choice.Connection = address.Name
	default:
		return choice, fmt.Errorf("%s: want user:<name>, conn:<id>, or the path of a route", terminal.Escape(c.Of))
	}
	return choice, nil
}

// copied is what is in a recording.
type copied struct {
	recording.Tail
	events int
}

// copyRecording copies whole lines into a file, within the bound of a recording, with the
// characters that a terminal could take for a command as escapes of JSON.
func copyRecording(from io.Reader, to io.Writer) (c copied, err error) {
	lines := bufio.NewReader(from)
	c.events = -1 // the first line is none
	for size := 0; ; {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			c.End = "the gateway has ended the recording"
			return c, errors.New("the gateway has stopped, or this reader was too slow")
		}
		line = terminal.JSON(line)
		if size += len(line); size > 2*recording.MostBytes {
			return c, errors.New("the gateway sends more than a recording may have")
		}
		if _, err := to.Write(line); err != nil {
			return c, err
		}
		var tail recording.Tail
		switch {
		case !bytes.HasPrefix(line, []byte(`{"dropped"`)) && !bytes.HasPrefix(line, []byte(`{"end"`)):
			c.events++
		case json.Unmarshal(line, &tail) == nil:
			c.Dropped += tail.Dropped
			c.End = tail.End
		}
		if c.End != "" {
			return c, nil
		}
	}
}
