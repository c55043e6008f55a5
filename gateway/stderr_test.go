package gateway

import (
	"testing"

	"github.com/coder/websocket"

	"wsfpm/fcgi/fcgitest"
)

func TestFatalErrorBehindMuchStderrRefuses(t *testing.T) {
	h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		for range 200 {
			w.Stderr("PHP message: PHP Deprecated:  Creation of dynamic property Foo::$bar is deprecated in /srv/vendor/foo.php on line 12\n")
		}
		w.Stderr("PHP message: PHP Fatal error:  Uncaught Error: Call to undefined function check_login()")
		w.Stdout("Content-Type: text/html\r\n\r\n")
	})
	c, answer, err := websocket.Dial(t.Context(), h.url, nil)
	if err == nil {
		_ = c.CloseNow()
		t.Errorf("accepted with %s a client whose connect script had died", answer.Status)
	}
}
