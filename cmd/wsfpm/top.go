package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"wsfpm/cmd/wsfpm/table"
	"wsfpm/gateway/live"
)

// topCmd is wsfpm top.
type topCmd struct {
	operatorSettings
	Every time.Duration `default:"2s" help:"The time between two looks, 1s to 1m."`
}

// Help is shown by wsfpm top --help.
func (topCmd) Help() string {
	return `Shows what a running gateway does: workers of PHP-FPM in use, p50 and p99 of
waiting for one and of running by script, busiest users and addresses, clients that
read too slowly, Redis, the log, and what failed. Ctrl-C ends it. Without flags it
asks the gateway of ` + shippedConfig + `. Not on a terminal
it prints one look and ends.`
}

// The commands of a terminal (xterm, DEC private modes): another screen without cursor and
// without line wrap, and back.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l"
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Run shows figures until a signal, or until the gateway ends.
func (c *topCmd) Run() (err error) {
	gateway, err := c.gateway()
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	lines, err := gateway.stream(ctx, "/figures?every="+c.Every.String())
	if err != nil {
		return err
	}
	defer lines.Close()
	screen := isTerminal(os.Stdout)
	if screen {
		fmt.Print(enterScreen, "\x1b[Hwsfpm top: the first figures come after ", c.Every)
		defer fmt.Print(leaveScreen)
	}
	var failures table.Failures
	return ended(ctx, eachLine(lines, func(line []byte) error {
		var f live.Figures
		if err := json.Unmarshal(line, &f); err != nil {
			return fmt.Errorf("read figures: %w", err)
		}
		failures.Add(f.Failures)
		if !screen {
			_, err := fmt.Println(strings.Join(table.Lines(&f, failures, 80, 200), "\n"))
			stop()
			return err
		}
		width, height := size(os.Stdout)
		lines := table.Lines(&f, failures, width, height)
		rest := ""
		if len(lines) < height {
			rest = "\r\n\x1b[J" // on the last line it would scroll
		}
		_, err := fmt.Print("\x1b[H\x1b[K", strings.Join(lines, "\r\n\x1b[K"), rest)
		return err
	}))
}

// size returns the columns and lines of a terminal.
func size(f *os.File) (width, height int) {
	w, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || w.Col == 0 || w.Row == 0 {
		return 80, 24
	}
	return int(w.Col), int(w.Row)
}
