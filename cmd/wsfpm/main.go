// Command wsfpm holds WebSocket connections for a PHP-FPM pool: a PHP script is
// called once per event, and its output is the reply.
//
//	wsfpm dev      runs a project on this machine, with its own PHP-FPM
//	wsfpm serve    runs the gateway
//	wsfpm check    validates the configuration
//	wsfpm doctor   looks at a gateway through its proxies
//	wsfpm config   prints the configuration keys
//	wsfpm call     runs a script for one event
//	wsfpm push     sends a message to clients
//	wsfpm record   writes down events of a running gateway
//	wsfpm replay   runs recorded events again
//	wsfpm tail     shows the events of a running gateway
//	wsfpm top      shows figures of a running gateway
//	wsfpm admin    prints the address of the operators' page
//	wsfpm version  prints the version
//
// Reading order: main.go (command line), serve.go (start, reload, drain), listen.go (sockets),
// operators.go (their listeners), logger.go, access.go and line_writer.go (logs); dev.go, check.go, doctor.go, config.go,
// call.go and replay.go with trial.go, push.go, operator.go with record.go, tail.go, top.go and admin.go, version.go.
package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
)

// Exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
)

// cli is the command line.
type cli struct {
	Dev     devCmd     `cmd:"" help:"Run a project on this machine: its script, its pages, a PHP-FPM and a Redis."`
	Serve   serveCmd   `cmd:"" help:"Run the gateway."`
	Check   checkCmd   `cmd:"" help:"Validate the configuration and print a summary."`
	Doctor  doctorCmd  `cmd:"" help:"Look at a gateway through its proxies, and say what to change."`
	Config  configCmd  `cmd:"" help:"Print every key of the configuration with its default, or what differs from the defaults."`
	Call    callCmd    `cmd:"" help:"Run a script for one event, without a socket, and say what the gateway would do."`
	Record  recordCmd  `cmd:"" help:"Write down the events of one user, connection or route of a running gateway."`
	Replay  replayCmd  `cmd:"" help:"Run the events of a recording again, and show what differs."`
	Push    pushCmd    `cmd:"" help:"Send a message to clients, through Redis or the admin listener."`
	Tail    tailCmd    `cmd:"" help:"Show each event of a running gateway as it happens."`
	Top     topCmd     `cmd:"" help:"Show what a running gateway does: workers, scripts, users, slow readers, failures."`
	Admin   adminCmd   `cmd:"" help:"Print the address of the operators' page, with a token that opens it once."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

func main() {
	parser, err := kong.New(&cli{}, kong.Name("wsfpm"),
		kong.Description("WebSockets for PHP-FPM. Flags override the environment (WSFPM_REDIS_URL), which overrides the file, which overrides the defaults."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}))
	if err != nil {
		panic(err) // the structs above are wrong
	}
	var command *kong.Context
	if err = checkText(os.Args[1:]); err == nil {
		command, err = parser.Parse(os.Args[1:])
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "wsfpm: %s\nTry: wsfpm --help\n", redisurl.Redact(strings.ReplaceAll(err.Error(), "\n", " ")))
		os.Exit(exitUsage)
	}
	if err := command.Run(); err != nil {
		code := exitFailed
		if own := (exit{}); errors.As(err, &own) {
			code = own.code
		}
		if err.Error() != "" {
			printError(err)
		}
		os.Exit(code)
	}
}

// checkText refuses arguments that are not UTF-8: kong would replace the bytes, and a message, for
// instance, would be sent as another one.
func checkText(args []string) error {
	for i, arg := range args {
		if !utf8.ValidString(arg) {
			return fmt.Errorf("argument %d is not UTF-8: %q", i+1, arg[:min(len(arg), 60)])
		}
	}
	return nil
}

// printError prints why a command failed. The process exits even if the reader of
// stderr has stopped reading.
func printError(err error) {
	printed := make(chan struct{})
	go func() { // ends with the process at the latest
		fmt.Fprintf(os.Stderr, "wsfpm: %s\n", redisurl.Redact(err.Error()))
		close(printed)
	}()
	select {
	case <-printed:
	case <-time.After(logFlush):
	}
}

// settings are the flags that name the sources of the configuration.
type settings struct {
	Config string            `short:"c" placeholder:"FILE" env:"WSFPM_CONFIG" help:"Configuration file."`
	Redis  *string           `placeholder:"URL" help:"redis.url: redis://host:6379/0, embedded, or empty for none."`
	Admin  *string           `placeholder:"ADDRESS" help:"admin: unix:/path or 127.0.0.1:8081."`
	Set    map[string]string `mapsep:"none" placeholder:"KEY=VALUE" help:"Any key with a single value, such as limits.burst=50; may be repeated."`
}

// source returns the configuration's source, without the flags that only some
// commands have.
func (s *settings) source() config.Source {
	from := config.Source{File: s.Config, Environ: os.Environ(), Flags: map[string]string{}}
	maps.Copy(from.Flags, s.Set)
	set(from, "redis.url", s.Redis)
	set(from, "admin", s.Admin)
	return from
}

// set passes a flag on if it was given.
func set(to config.Source, key string, value *string) {
	if value != nil {
		to.Flags[key] = *value
	}
}

// gatewaySettings add the flags with which the gateway runs without a file.
type gatewaySettings struct {
	settings
	Listen   *string  `placeholder:"ADDRESS" help:"listen: 127.0.0.1:8080, unix:/path or systemd."`
	FPM      *string  `name:"fpm" placeholder:"ADDRESS" help:"fpm.default.address: unix:/run/php/php8.2-fpm.sock or tcp:127.0.0.1:9000."`
	Script   string   `placeholder:"FILE" help:"PHP script that answers every path, in place of the file's routes."`
	Web      string   `placeholder:"DIR" help:"Serve the page assets and PHP files of a folder to everything but WebSocket handshakes; for development."`
	WebHosts []string `name:"web-host" placeholder:"NAME" help:"Answer browsers under this host name too while --web is given, besides localhost and addresses; may be repeated."`
}

func (s *gatewaySettings) source() config.Source {
	from := s.settings.source()
	from.Script, from.Web, from.WebHosts = s.Script, s.Web, s.WebHosts
	set(from, "listen", s.Listen)
	set(from, "fpm.default.address", s.FPM)
	return from
}
