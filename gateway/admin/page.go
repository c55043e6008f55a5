package admin

import (
	"embed"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"

	"wsfpm/gateway"
	"wsfpm/gateway/excerpt"
	"wsfpm/session"
)

//go:embed page
var page embed.FS

// pageFiles are the files of the page, by path. They hold no data and are open to browsers.
var pageFiles = map[string]string{
	"/": "page/index.html", "/page.js": "page/page.js", "/page.css": "page/page.css", "/icon.svg": "page/icon.svg",
}

// sessionPaths are the paths that the session of a browser opens.
var sessionPaths = []string{"/figures", "/events", "/page/find", "/page/push"}

// mostFound bounds the connections that a look-up shows.
const mostFound = 100

// policy is the page's Content-Security-Policy (CSP, level 3, and Trusted Types).
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"

// file sends a file of the page.
func (o Options) file(w http.ResponseWriter, r *http.Request) {
	for name, value := range map[string]string{
		"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
		"Cross-Origin-Resource-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-cache",
	} {
		w.Header().Set(name, value)
	}
	http.ServeFileFS(w, r, page, pageFiles[r.URL.Path])
}

// fromPage lets only requests of the page itself through: Origin, if there is one, is the
// listener's own, and the browser says so too (Fetch Metadata). A browser that does not say
// is refused: over plain HTTP it speaks of localhost and IP addresses of loopback only.
func fromPage(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		own := origin == "http://"+r.Host || origin == "https://"+r.Host || origin == "" && r.Method == http.MethodGet
		if !own || r.Header.Get("Sec-Fetch-Site") != "same-origin" {
			Problem(w, http.StatusForbidden, "this is for the page of this listener alone: open it as http://localhost, such as with ssh -L, or by https")
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		next(w, r)
	}
}

// ticket returns a one-time token for a browser.
func (o Options) ticket(w http.ResponseWriter, r *http.Request) {
	if fromBrowser(r) {
		Problem(w, http.StatusForbidden, "a ticket is asked for by wsfpm admin, not by a page")
		return
	}
	o.Logger.Info("control", zap.String("what", "make a ticket for the page"), zap.String("remote", r.RemoteAddr))
	answer(w, http.StatusOK, map[string]string{"ticket": o.Sessions.Ticket()})
}

// openSession exchanges a ticket for a session.
func (o Options) openSession(w http.ResponseWriter, r *http.Request) {
	session := o.Sessions.open(bearer(r))
	if session == "" {
		Problem(w, http.StatusUnauthorized, "the token was used, or is too old: run wsfpm admin again")
		return
	}
	o.Logger.Info("control", zap.String("what", "open the page"), zap.String("remote", r.RemoteAddr))
	answer(w, http.StatusOK, map[string]string{"session": session})
}

// found is the answer to a look-up.
type found struct {
	Found []gateway.Connection `json:"found"`
	More  bool                 `json:"more,omitempty"`
}

// find shows the connections of an address.
func (o Options) find(w http.ResponseWriter, r *http.Request) {
	of, err := session.ParseAddress(r.URL.Query().Get("of"))
	if err == nil && of.Kind == session.KindAll {
		err = fmt.Errorf("want user:<name>, channel:<name> or conn:<id or its end>")
	}
	if err != nil {
		Problem(w, http.StatusBadRequest, err.Error())
		return
	}
	o.audit(r, "look up", of.String())
	said := found{Found: []gateway.Connection{}}
	for c := range o.Gateway.Connections() {
		if !isOf(&c, of) {
			continue
		}
		if said.More = len(said.Found) == mostFound; said.More {
			break
		}
		said.Found = append(said.Found, c)
	}
	answer(w, http.StatusOK, said)
}

// pagePush carries out commands of the page.
func (o Options) pagePush(w http.ResponseWriter, r *http.Request) {
	commands, ok := readCommands(w, r)
	if !ok {
		return
	}
	for i := range commands {
		what := "send"
		if commands[i].Close != nil {
			what = "close"
		}
		for _, to := range commands[i].To {
			o.audit(r, what, to.String())
		}
		for _, path := range commands[i].Purge {
			o.audit(r, "purge", path)
		}
	}
	o.carryOut(w, r, commands)
}

func isOf(c *gateway.Connection, of session.Address) bool {
	switch of.Kind {
	case session.KindUser:
		return c.User == of.Name
	case session.KindChannel:
		return slices.Contains(c.Channels, of.Name)
	}
	return strings.HasSuffix(c.ID, of.Name)
}

// audit logs what an operator does to whom by the page.
func (o Options) audit(r *http.Request, what, whom string) {
	o.Logger.Info("control", zap.String("what", what), zap.String("whom", excerpt.Of(whom)), zap.String("remote", r.RemoteAddr))
}
