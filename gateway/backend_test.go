package gateway

import (
	"testing"

	"github.com/coder/websocket"

	"wsfpm/test/fcgitest"
)

func TestFatalErrorBehindMuchStderrRefuses(t *testing.T) {
	h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		for range 200 {
			w.Stderr("PHP message: PHP Deprecated:  Creation of dynamic property Foo::$bar is deprecated in /srv/vendor/foo.php on line 12; ")
		}
		w.Stderr("PHP message: PHP Fatal error:  Uncaught Error: Call to undefined function check_login() in /srv/ws.php:3\nStack trace:\n#0 {main}\n  thrown in /srv/ws.php on line 3")
		w.Stdout("Content-Type: text/html\r\n\r\n")
	})
	c, answer, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil {
		_ = c.CloseNow()
		t.Errorf("accepted with %s a client whose connect script had died", answer.Status)
	}
}
