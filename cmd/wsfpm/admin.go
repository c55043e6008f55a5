package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"wsfpm/gateway/config"
)

// ticketTime bounds asking for a ticket.
const ticketTime = 10 * time.Second

// adminCmd is wsfpm admin.
type adminCmd struct{ operatorSettings }

// Help is shown by wsfpm admin --help.
func (adminCmd) Help() string {
	return `Prints the address of the operators' page of a running gateway, with a token that
opens it once, within five minutes. The page shows connections, messages, PHP-FPM's
pools and failures as they happen, and looks a user, channel or connection up.
Without flags it is the gateway of ` + shippedConfig + `.`
}

// Run asks for a ticket and prints where to use it.
func (c *adminCmd) Run() error {
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if cfg.Admin == "" {
		return errors.New(`the page is on the admin listener, which is off: set admin = "127.0.0.1:8081"`)
	}
	gateway, err := c.choose(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), ticketTime)
	defer cancel()
	body, err := gateway.request(ctx, http.MethodPost, "/ticket")
	if err != nil {
		return err
	}
	defer body.Close()
	var said struct {
		Ticket string `json:"ticket"`
	}
	if err := json.NewDecoder(io.LimitReader(body, maxInput)).Decode(&said); err != nil {
		return fmt.Errorf("read the token: %w", err)
	}
	fmt.Println(pageAt(cfg, said.Ticket))
	return nil
}

// pageAt describes where the page is, from this machine and from another one.
func pageAt(cfg *config.Config, ticket string) string {
	const local = "8081"
	if file, isUnix := strings.CutPrefix(cfg.Admin, "unix:"); isUnix {
		return fmt.Sprintf("From your machine:\n  ssh -L %s:%s THIS-SERVER\nthen open, within five minutes:\n  http://localhost:%s/#token=%s", local, file, local, ticket)
	}
	host, port, _ := net.SplitHostPort(cfg.Admin) // checked by package config
	if ip := net.ParseIP(host); ip == nil || ip.IsLoopback() || ip.IsUnspecified() {
		host = "localhost"
	}
	url := "http://" + net.JoinHostPort(host, port) + "/#token=" + ticket
	return fmt.Sprintf("%s\nIt opens once, within five minutes. From another machine, first:  ssh -L %s:%s THIS-SERVER", url, port, net.JoinHostPort(host, port))
}
