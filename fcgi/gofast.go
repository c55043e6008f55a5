package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"

	"github.com/yookoala/gofast"
)

// Middleware is gofast's type. A middleware may change the parameters of a request.
// Only this file uses gofast.
type Middleware = gofast.Middleware

// Params returns the CGI parameters of r for a script: those of gofast's
// NewFileEndpoint, changed by mw in order. No request is sent: the client passed to a
// middleware returns an error for every request, and the response is empty. Params
// returns an error if a middleware does not pass the request on, or panics.
//
// The map holds all headers of the client, such as HTTP_PROXY: the caller must
// sanitize it.
func Params(r *http.Request, script string, mw ...Middleware) (params map[string]string, err error) {
	defer func() {
		if v := recover(); v != nil {
			params, err = nil, fmt.Errorf("fcgi: a middleware panicked: %v", v)
		}
	}()
	terminal := func(_ gofast.Client, req *gofast.Request) (*gofast.ResponsePipe, error) {
		params = req.Params
		empty := gofast.NewResponsePipe()
		empty.Close()
		return empty, nil
	}
	chain := gofast.Chain(append([]Middleware{gofast.NewFileEndpoint(script)}, mw...)...)
	if _, err := chain(terminal)(noClient{}, gofast.NewRequest(r)); err != nil {
		return nil, fmt.Errorf("fcgi: a middleware refused the request: %w", err)
	}
	if params == nil {
		return nil, errors.New("fcgi: a middleware did not pass the request on")
	}
	return params, nil
}

// noClient is the client of a middleware chain that only produces parameters.
type noClient struct{}

func (noClient) Do(*gofast.Request) (*gofast.ResponsePipe, error) {
	return nil, errors.New("no requests are sent while parameters are produced")
}

func (noClient) Close() error { return nil }

// serveScript runs one PHP page with gofast's client on its own connection. Overlay
// overrides gofast's parameters.
func (h *webHandler) serveScript(w http.ResponseWriter, r *http.Request, overlay map[string]string) error {
	dialer := net.Dialer{Timeout: webTimeout}
	nc, err := dialer.DialContext(r.Context(), h.network, h.address)
	if err != nil {
		return err
	}
	// gofast's Client.Close races with the goroutines of Do: close the connection
	// instead.
	defer nc.Close()
	client, err := gofast.SimpleClientFactory(func() (net.Conn, error) { return nc, nil })()
	if err != nil {
		return err
	}
	session := gofast.Chain(gofast.BasicParamsMap, gofast.MapHeader)(
		func(c gofast.Client, req *gofast.Request) (*gofast.ResponsePipe, error) {
			for name, value := range overlay {
				req.Params[name] = value
			}
			return gofast.BasicSession(c, req)
		})
	pipe, err := session(client, gofast.NewRequest(r))
	if err != nil {
		return err
	}
	var stderr bytes.Buffer
	defer func() {
		if stderr.Len() > 0 {
			h.stderr(overlay["SCRIPT_FILENAME"], stderr.Bytes())
		}
	}()
	if err := pipe.WriteTo(w, &stderr); err != nil {
		return fmt.Errorf("%w (stderr: %.500q)", err, stderr.String())
	}
	return nil
}
