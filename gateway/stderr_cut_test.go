package gateway

import (
	"testing"
	"time"

	"github.com/coder/websocket"

	"wsfpm/fcgi/fcgitest"
)

// A fatal error lets nobody in, also when PHP's words come in two pieces around
// the first short wait on a new connection.
func TestFatalErrorInTwoPiecesLetsNobodyIn(t *testing.T) {
	const text = "PHP message: PHP Fatal error:  Uncaught Exception in x.php:1"
	h := startServer(t, func(w *fcgitest.Writer, r *fcgitest.Request) {
		record := append([]byte{1, fcgitest.Stderr, 0, 1, 0, byte(len(text)), 0, 0}, text...)
		w.Raw(record[:20])
		time.Sleep(100 * time.Millisecond)
		w.Raw(record[20:])
		w.Stdout("Status: 200 OK\r\n\r\n")
	})
	for i := range 2 { // the first finds out about the probe
		conn, _, err := websocket.Dial(t.Context(), h.url+"/", nil)
		if err == nil {
			t.Errorf("client %d was let in", i)
			conn.CloseNow()
		}
		time.Sleep(2500 * time.Millisecond) // fpm.idle_timeout: the next one has a new connection
	}
}
