package fcgi

import (
	"bytes"
	"fmt"
	"net"
	"net/http"

	"github.com/yookoala/gofast"
)

// Params returns the CGI parameters of r for a script, as gofast's NewFileEndpoint sets them.
// No request is sent. Only this file uses gofast.
//
// The map holds all headers of the client, such as HTTP_PROXY: the caller must
// sanitize it.
func Params(r *http.Request, script string) (params map[string]string, err error) {
	keep := func(_ gofast.Client, req *gofast.Request) (*gofast.ResponsePipe, error) {
		params = req.Params
		return nil, nil
	}
	_, err = gofast.NewFileEndpoint(script)(keep)(nil, gofast.NewRequest(r))
	return params, err
}

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
