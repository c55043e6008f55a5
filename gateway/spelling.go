package gateway

import "net/http"

// spellings are the names of the handshake's headers as RFC 6455 writes them.
// Case has no meaning in HTTP, but some devices and game engines compare bytes.
var spellings = [...]string{
	"Sec-WebSocket-Accept", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions", "Sec-WebSocket-Version",
}

// speller is a ResponseWriter that gives the answer's headers their RFC's names:
// net/http writes a name as it stands in the map, and http.Header.Set puts it
// there in Go's spelling.
type speller struct{ http.ResponseWriter }

// WriteHeader begins the answer.
func (s speller) WriteHeader(status int) {
	h := s.Header()
	for _, name := range spellings {
		if values := h.Values(name); len(values) > 0 {
			h.Del(name)
			h[name] = values
		}
	}
	s.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController, which takes the socket over.
func (s speller) Unwrap() http.ResponseWriter { return s.ResponseWriter }
