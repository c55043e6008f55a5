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

// assets are the extensions of files that are served. All others, such as logs,
// databases, dumps, archives, JSON and text, may be private data in a project's folder.
var assets = map[string]bool{
	".html": true, ".htm": true, ".css": true, ".js": true, ".mjs": true, ".map": true, ".wasm": true, ".webmanifest": true,
	".png": true, ".jpg": true, ".jpeg": true, ".gif": true, ".svg": true, ".webp": true, ".avif": true, ".ico": true,
	".woff": true, ".woff2": true, ".ttf": true, ".otf": true,
	".mp3": true, ".ogg": true, ".mp4": true, ".webm": true,
}

// noPage is the answer for files that are not served, whether they exist or not.
const noPage = "There is no such page. wsfpm dev, and wsfpm serve --web, serve html, css, js, mjs, map, wasm, webmanifest, pictures, fonts, sound and video by their usual extensions, and run *.php outside of vendor and node_modules."

// webHandler serves the pages of one folder.
type webHandler struct {
	network, address string
	root             string // as configured, perhaps a symbolic link that deploys switch
	stderr           func(page string, text []byte)
}

// webPage is a file of the folder.
type webPage struct {
	root string // the folder, without symbolic links
	name string // the file below it
}

// WebHandler serves the pages of an application in development: the page assets below
// root (styles, scripts, pictures, …), and *.php files, which it runs on the
// application server at network and address through gofast's client. It is not for
// production: every page opens a connection, and uploads and PHP's error text are held
// in memory. The error text of a page is passed to stderr, with the path of the page's
// script, on the goroutine of its request; nil drops it.
//
// A folder is served by its index.html or index.php. Files outside root, names that
// begin with a dot, and PHP files of packages (below vendor or node_modules) are not
// served. A symbolic link is followed if it is relative and both its name and its
// target may be served in the same way. There is no PATH_INFO. A page that fails is a
// 502.
func WebHandler(network, address, root string, stderr func(page string, text []byte)) http.Handler {
	if abs, err := filepath.Abs(root); err == nil {
		root = abs
	}
	if stderr == nil {
		stderr = func(string, []byte) {}
	}
	return &webHandler{network: network, address: address, root: root, stderr: stderr}
}

func (h *webHandler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	real, err := filepath.EvalSymlinks(h.root)
	if err != nil {
		real = h.root
	}
	root, err := os.OpenRoot(real)
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
	kind := notServed
	if err == nil {
		kind = kindOf(name)
	}
	switch file, err := filepath.EvalSymlinks(filepath.Join(real, name)); {
	case err != nil || kind == notServed || kind != kindOf(strings.TrimPrefix(file, real+"/")):
		http.Error(w, noPage, http.StatusNotFound)
	case kind == script:
		h.page(w, r, webPage{real, name})
	default:
		http.ServeFileFS(w, r, root.FS(), name)
	}
}

// fileKind is how a file is served.
type fileKind int

const (
	notServed fileKind = iota
	script
	asset
)

// kindOf returns the kind of a file by its path below the folder. PHP files of packages
// are not run: some execute arbitrary requests.
func kindOf(name string) fileKind {
	path, ext := "/"+name, filepath.Ext(name)
	switch {
	case strings.Contains(path, "/."):
		return notServed
	case assets[strings.ToLower(ext)]:
		return asset
	case ext == ".php" && !strings.Contains(path, "/vendor/") && !strings.Contains(path, "/node_modules/"):
		return script
	}
	return notServed
}

// errFolder: the path of a folder lacks its final slash.
var errFolder = errors.New("a folder")

// find returns the file for a URL path, or an error if none is served.
func find(root fs.FS, urlPath string) (string, error) {
	if !strings.HasPrefix(urlPath, "/") || strings.Contains(urlPath, "/.") || strings.ContainsAny(urlPath, "\x00\\") {
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

// page runs a PHP file. The request's body is read first, since PHP needs its length.
func (h *webHandler) page(w http.ResponseWriter, r *http.Request, file webPage) {
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
	if err := h.serveScript(late, page, file.params(page)); err != nil && !late.begun {
		clear(w.Header())
		http.Error(w, "the page could not be run: "+err.Error(), http.StatusBadGateway)
		return
	}
	late.begin()
}

// pageHeader drops headers that must not become parameters: Proxy (httpoxy), and names
// with an underscore, which could be mistaken for another header.
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

// params returns the parameters that gofast lacks or sets wrongly.
func (p webPage) params(r *http.Request) map[string]string {
	params := map[string]string{
		"SCRIPT_FILENAME": filepath.Join(p.root, filepath.FromSlash(p.name)),
		"SCRIPT_NAME":     "/" + p.name,
		"DOCUMENT_URI":    "/" + p.name,
		"DOCUMENT_ROOT":   p.root,
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

// lateWriter delays the status until the body or the end, since gofast writes a status
// of its own before it returns an error.
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

// begin writes the status.
func (w *lateWriter) begin() {
	if !w.begun && w.status >= 200 {
		w.to.WriteHeader(w.status)
	}
	w.begun = true
}
