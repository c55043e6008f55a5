package fcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"
)

const (
	webTimeout = 30 * time.Second // for one page
	webMaxBody = 64 << 20         // bytes of an upload
)

// webHandler serves the pages of one folder.
type webHandler struct {
	network, address string
	root             string
}

// WebHandler serves the files below root, and runs the *.php among them on the
// application server at network and address through gofast's client: the pages of
// an application, for development. It is not for production: every
// page opens a connection, uploads are held in memory, and PHP's error text is not
// kept.
//
// Folders are served by their index.html or index.php. Nothing outside root is
// served, symbolic links that lead there are not followed, and names that begin
// with a dot do not exist. There is no PATH_INFO. A page that fails is a 502.
func WebHandler(network, address, root string) http.Handler {
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	return &webHandler{network: network, address: address, root: root}
}

func (h *webHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	root, err := os.OpenRoot(h.root)
	if err != nil {
		http.Error(w, "the folder of pages cannot be read", http.StatusInternalServerError)
		return
	}
	defer root.Close()
	name, err := find(root.FS(), r.URL.Path)
	if err == errFolder {
		to := url.URL{Path: "./" + path.Base(r.URL.Path) + "/", RawQuery: r.URL.RawQuery}
		http.Redirect(w, r, to.String(), http.StatusMovedPermanently)
		return
	}
	if err != nil {
		http.NotFound(w, r)
		return
	}
	switch ext := strings.ToLower(path.Ext(name)); {
	case path.Ext(name) == ".php":
		h.page(w, r, name)
	case strings.HasPrefix(ext, ".ph"), ext == ".inc": // source text, never shown
		http.NotFound(w, r)
	default:
		http.ServeFileFS(w, r, root.FS(), name)
	}
}

// errFolder: the path of a folder lacks its slash.
var errFolder = errors.New("a folder")

// find returns the file for a URL path, or an error when there is none to show.
func find(root fs.FS, urlPath string) (string, error) {
	if !strings.HasPrefix(urlPath, "/") || strings.Contains(urlPath, "/.") ||
		strings.ContainsAny(urlPath, "\x00\\") {
		return "", fs.ErrNotExist
	}
	name := path.Clean(urlPath)[1:]
	if name == "" {
		name = "."
	}
	info, err := fs.Stat(root, name)
	if err != nil {
		return "", err
	}
	if info.Mode().IsRegular() {
		if strings.HasSuffix(urlPath, "/") {
			return "", fs.ErrNotExist
		}
		return name, nil
	}
	if !info.IsDir() {
		return "", fs.ErrNotExist
	}
	if !strings.HasSuffix(urlPath, "/") {
		return "", errFolder
	}
	for _, index := range []string{"index.html", "index.php"} {
		file := path.Join(name, index)
		if info, err := fs.Stat(root, file); err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", fs.ErrNotExist
}

// page runs a PHP file. Its body is read first: PHP cannot wait for a body of
// unknown length.
func (h *webHandler) page(w http.ResponseWriter, r *http.Request, name string) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, webMaxBody))
	if err != nil {
		status := http.StatusBadRequest
		if tooBig := (*http.MaxBytesError)(nil); errors.As(err, &tooBig) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), webTimeout)
	defer cancel()
	page := r.Clone(ctx)
	page.Body = io.NopCloser(bytes.NewReader(body))
	page.ContentLength = int64(len(body))
	page.Header = pageHeader(r.Header)

	late := &lateWriter{to: w}
	if err := h.serveScript(late, page, h.pageParams(page, name)); err != nil && !late.begun {
		clear(w.Header())
		http.Error(w, "the page could not be run: "+err.Error(), http.StatusBadGateway)
		return
	}
	late.begin()
}

// pageHeader leaves out what must not become a parameter: Proxy (httpoxy), and
// names with an underscore, which could pass for another header.
func pageHeader(from http.Header) http.Header {
	h := make(http.Header, len(from))
	for name, values := range from {
		if name == "Proxy" || strings.Contains(name, "_") {
			continue
		}
		h[name] = values
	}
	if cookies := h["Cookie"]; len(cookies) > 1 {
		h["Cookie"] = []string{strings.Join(cookies, "; ")}
	}
	return h
}

// pageParams are the parameters that gofast does not know or gets wrong.
func (h *webHandler) pageParams(r *http.Request, name string) map[string]string {
	params := map[string]string{
		"SCRIPT_FILENAME": filepath.Join(h.root, filepath.FromSlash(name)),
		"SCRIPT_NAME":     "/" + name,
		"DOCUMENT_URI":    "/" + name,
		"DOCUMENT_ROOT":   h.root,
		"REQUEST_SCHEME":  "http",
		"SERVER_SOFTWARE": "wsfpm",
		"SERVER_ADDR":     "127.0.0.1",
		"SERVER_PORT":     "80",
	}
	if r.TLS != nil {
		params["REQUEST_SCHEME"], params["SERVER_PORT"] = "https", "443"
	}
	if local, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if host, port, err := net.SplitHostPort(local.String()); err == nil {
			params["SERVER_ADDR"], params["SERVER_PORT"] = host, port
		}
	}
	if _, _, err := net.SplitHostPort(r.RemoteAddr); err != nil { // a unix socket
		params["REMOTE_ADDR"], params["REMOTE_PORT"] = "127.0.0.1", "0"
	}
	return params
}

// lateWriter holds the status back until there is a body, or an end, since gofast
// writes a status of its own before it returns an error.
type lateWriter struct {
	to     http.ResponseWriter
	status int
	begun  bool
}

func (w *lateWriter) Header() http.Header { return w.to.Header() }

func (w *lateWriter) WriteHeader(status int) { w.status = status }

func (w *lateWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.to.Write(b)
}

// begin sends the status.
func (w *lateWriter) begin() {
	if !w.begun && w.status >= 200 {
		w.to.WriteHeader(w.status)
	}
	w.begun = true
}
