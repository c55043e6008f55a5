package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"wsfpm/gateway/config"
)

// shippedConfig is the configuration of an installed gateway. Tests have another.
var shippedConfig = "/etc/wsfpm/wsfpm.toml"

// installed returns the configuration of the gateway installed on this machine, "" without one.
func installed() string {
	if _, err := os.Stat(shippedConfig); err != nil {
		return ""
	}
	return shippedConfig
}

// operator asks one gateway, on its admin listener or its control socket.
type operator struct {
	address string // unix:/path or host:port
	token   string // "" none
}

// ask sends a request, with a body of JSON unless that is nil. The caller closes the answer's
// body.
func (o operator) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, "http://localhost"+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if o.token != "" {
		request.Header.Set("Authorization", "Bearer "+o.token)
	}
	network, address := "tcp", o.address
	if file, ok := strings.CutPrefix(o.address, "unix:"); ok {
		network, address = "unix", file
	}
	var d net.Dialer
	transport := &http.Transport{
		DisableKeepAlives: true,
		DialContext:       func(ctx context.Context, _, _ string) (net.Conn, error) { return d.DialContext(ctx, network, address) },
	}
	return transport.RoundTrip(request)
}

// stream asks for lines, see request.
func (o operator) stream(ctx context.Context, path string) (io.ReadCloser, error) {
	return o.request(ctx, http.MethodGet, path)
}

// request sends a request without a body. Anything but 200 with JSON is an error with what the
// gateway says.
func (o operator) request(ctx context.Context, method, path string) (io.ReadCloser, error) {
	response, err := o.ask(ctx, method, path, nil)
	if errors.Is(err, os.ErrPermission) {
		return nil, fmt.Errorf("%w: the control socket is for root and the gateway's user: use sudo, or --admin ADDRESS", err)
	}
	if err != nil {
		return nil, fmt.Errorf("ask the gateway at %s: %w", o.address, err)
	}
	kind := response.Header.Get("Content-Type")
	if response.StatusCode == http.StatusOK && (kind == "application/x-ndjson" || kind == "application/json") {
		return response.Body, nil
	}
	defer response.Body.Close()
	var said struct {
		Error string `json:"error"`
	}
	_ = json.NewDecoder(io.LimitReader(response.Body, maxInput)).Decode(&said) // "" then
	return nil, fmt.Errorf("the gateway at %s answered %s: %s", o.address, response.Status, cmp.Or(said.Error, "it is not wsfpm, or an older one"))
}

// operatorSettings are the flags of commands that look at a running gateway.
type operatorSettings struct {
	settings
	Control *string `placeholder:"ADDRESS" help:"control: unix:/path, for root and the gateway's user."`
}

// load loads the configuration. Without flags that say otherwise it is that of the gateway
// installed on this machine.
func (s *operatorSettings) load() (*config.Config, error) {
	if s.Config == "" && s.Control == nil && s.Admin == nil {
		s.Config = installed()
	}
	from := s.source()
	from.NoRoutes = true
	set(from, "control", s.Control)
	return config.Load(from)
}

// choose returns where to ask: the control socket, else the admin listener.
func (s *operatorSettings) choose(cfg *config.Config) (operator, error) {
	switch {
	case cfg.Control != "" && (s.Admin == nil || s.Control != nil):
		return operator{cfg.Control, ""}, nil
	case cfg.Admin != "":
		return operator{cfg.Admin, cfg.AdminToken}, nil
	}
	return operator{}, errors.New("no gateway given: use --config FILE, --control unix:/path or --admin ADDRESS (WSFPM_ADMIN_TOKEN has its token)")
}

// gateway returns where to ask.
func (s *operatorSettings) gateway() (operator, error) {
	cfg, err := s.load()
	if err != nil {
		return operator{}, err
	}
	return s.choose(cfg)
}
