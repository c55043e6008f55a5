package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"
	"unicode/utf8"

	"go.uber.org/zap"

	"wsfpm/gateway/bus"
	"wsfpm/gateway/config"
	"wsfpm/gateway/redisurl"
	"wsfpm/session"
)

// pushTime bounds a push in total.
const pushTime = 10 * time.Second

// maxInput bounds standard input, in bytes.
const maxInput = 16 << 20

// pushCmd is wsfpm push.
type pushCmd struct {
	settings
	Address string  `arg:"" optional:"" help:"conn:<id>, user:<name>, channel:<name> or all."`
	Data    *string `arg:"" optional:"" help:"Text to send; - reads standard input. Write -- before one that begins with a hyphen."`
	Base64  bool    `name:"base64" help:"DATA is base64 and is sent as a binary message."`
	Durable bool    `help:"Store the push in the log first: clients that are away get it when they come back."`
	JSON    string  `name:"json" placeholder:"COMMAND" help:"Send a command, or a list of them, instead of ADDRESS and DATA; - reads standard input."`
}

// Help is shown by wsfpm push --help.
func (pushCmd) Help() string {
	return `Prints the number of receivers: through Redis that of processes (for conn:,
user: and channel: those with such a client), through the admin listener that of
connections. Exit code 1 if there are none. With --durable it prints the id of what
was stored. If nothing names a gateway it is that of
` + shippedConfig + `.`
}

// Run sends the push and prints the number of receivers.
func (p *pushCmd) Run() error {
	body, err := p.body(os.Stdin)
	if err != nil {
		return err
	}
	cfg, err := p.load()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), pushTime)
	defer cancel()
	if p.Durable {
		if body, err = body.stored(); err != nil {
			return err
		}
	}
	chosen := cfg.Redis.URL == redisurl.Embedded && strings.HasSuffix(cfg.Redis.Listen, ":0")
	switch {
	case cfg.Redis.URL != "" && !chosen && !p.onlyAdmin():
		return pushBoth(ctx, cfg, body)
	case cfg.Admin != "":
		return pushAdmin(ctx, cfg, body)
	case chosen: // and admin is off
		return fmt.Errorf("redis.listen is %q, so the gateway chose a port that is unknown here: give --redis redis://HOST:PORT with the value of embedded_redis in the log line \"started\", or set a port in redis.listen", cfg.Redis.Listen)
	}
	return errors.New("no gateway given: use --config FILE, --redis URL or --admin ADDRESS")
}

// onlyAdmin reports whether the command line names the admin listener and no Redis: then it goes
// before the Redis of the configuration.
func (p *pushCmd) onlyAdmin() bool { return p.Admin != nil && *p.Admin != "" && p.Redis == nil }

// load loads the configuration. If flags and environment name no gateway, it is that of the
// gateway installed on this machine.
func (p *pushCmd) load() (*config.Config, error) {
	from := p.source()
	from.NoRoutes = true
	cfg, err := config.Load(from)
	if err != nil || cfg.Redis.URL != "" || cfg.Admin != "" || from.File != "" {
		return cfg, err
	}
	if from.File = installed(); from.File == "" {
		return cfg, nil
	}
	return config.Load(from)
}

// push is one text for one address, or JSON commands.
type push struct {
	address string // "" if there are only commands
	text    []byte
	command []byte // JSON
}

// body reads the arguments.
func (p *pushCmd) body(stdin io.Reader) (push, error) {
	if p.JSON != "" {
		return p.commands(stdin)
	}
	if p.Address == "" || p.Data == nil {
		return push{}, errors.New(`want ADDRESS and DATA, such as: wsfpm push user:42 "hello", or --json COMMAND`)
	}
	to, err := session.ParseAddress(p.Address)
	if err != nil {
		return push{}, err
	}
	data := []byte(*p.Data)
	if *p.Data == "-" {
		if data, err = readAll(stdin); err != nil {
			return push{}, err
		}
	}
	if p.Base64 {
		if data, err = base64.StdEncoding.DecodeString(strings.TrimSpace(string(data))); err != nil {
			return push{}, fmt.Errorf("DATA: %w", err)
		}
	} else if !utf8.Valid(data) {
		return push{}, errors.New("DATA is not UTF-8, which a text message must be: give it as --base64")
	}
	command, err := session.Command{To: []session.Address{to}, Message: session.NewMessage(p.Base64, data)}.Encode()
	if err != nil || p.Base64 {
		return push{command: command}, err
	}
	return push{address: to.String(), text: data, command: command}, nil
}

// commands validates commands before they are sent, since a gateway that receives an
// invalid one only logs it.
func (p *pushCmd) commands(stdin io.Reader) (push, error) {
	if p.Address != "" || p.Base64 {
		return push{}, errors.New("--json stands alone: put addresses and data into the command")
	}
	body := []byte(p.JSON)
	if p.JSON == "-" {
		var err error
		if body, err = readAll(stdin); err != nil {
			return push{}, err
		}
	}
	if _, _, err := session.Decode(body, session.FromPush); err != nil {
		return push{}, err
	}
	return push{command: body}, nil
}

func readAll(stdin io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(stdin, maxInput+1))
	if err == nil && len(data) > maxInput {
		err = fmt.Errorf("standard input has more than %d bytes", maxInput)
	}
	return data, err
}

// pushRedis publishes a plain text on the address's own channel, anything else on the
// channel for commands.
func pushRedis(ctx context.Context, cfg config.Redis, p push) error {
	name, payload := "command", p.command
	if p.address != "" {
		name, payload = p.address, p.text
		if int64(len(payload)) > int64(cfg.PushLimit) {
			return fmt.Errorf("DATA has %d bytes, and redis.push_limit is %v: gateways would drop it", len(payload), cfg.PushLimit)
		}
	}
	heard, err := bus.Send(ctx, busConfig(cfg, zap.NewNop()), name, payload)
	if err != nil {
		return err
	}
	if heard == 0 {
		return fmt.Errorf("no subscribers on %s%s", cfg.Prefix[0], name)
	}
	fmt.Printf("received by %d process%s\n", heard, plural(heard, "es"))
	return nil
}

// pushAdmin sends the push to one gateway's POST /push.
func pushAdmin(ctx context.Context, cfg *config.Config, p push) error {
	response, err := operator{cfg.Admin, cfg.AdminToken}.ask(ctx, http.MethodPost, "/push", p.command)
	if err != nil {
		return fmt.Errorf("push through the admin listener: %w", err)
	}
	defer response.Body.Close()
	return readDelivered(response)
}

// readDelivered reads the answer of POST /push.
func readDelivered(response *http.Response) error {
	var answer struct {
		Delivered int64    `json:"delivered"`
		IDs       []string `json:"ids"`
		Error     string   `json:"error"`
	}
	err := json.NewDecoder(io.LimitReader(response.Body, maxInput)).Decode(&answer)
	printStored(answer.IDs)
	switch {
	case response.StatusCode != http.StatusOK && answer.Error != "":
		return fmt.Errorf("the admin listener answered %s: %s", response.Status, answer.Error)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("the admin listener answered %s", response.Status)
	case err != nil:
		return errors.New(`read the admin listener's answer: not {"delivered": N}: another server may be listening there`)
	case answer.Delivered == 0 && len(answer.IDs) > 0:
		return nil // who is away gets it later
	case answer.Delivered == 0:
		return errors.New("no receivers: no connection has such an address")
	}
	fmt.Printf("received by %d connection%s\n", answer.Delivered, plural(answer.Delivered, "s"))
	return nil
}

// plural returns ending unless n is 1.
func plural(n int64, ending string) string {
	if n == 1 {
		return ""
	}
	return ending
}
