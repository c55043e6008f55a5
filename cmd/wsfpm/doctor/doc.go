// Package doctor looks at a gateway as its clients do, through the proxies in front of it,
// and from the inside, for wsfpm doctor. Each check has one result with what to change.
//
//	results, err := doctor.Run(ctx, doctor.Options{URL: "wss://example.com/ws/chat"})
//	err = doctor.Print(os.Stdout, results)
//
// No script of the site runs for a check: without the control socket a handshake names a
// version of the protocol that every server refuses (RFC 6455, 4.2.2), and with it the
// gateway answers the handshake itself, see [gateway.Selftest].
//
// Reading order: doctor.go (checks and results), print.go, dial.go (the way in), front.go (DNS,
// TLS, redirect), upgrade.go (handshakes that are refused), selftest.go (sockets that the
// gateway answers), inside.go and php.go (Redis, PHP, the machine), cures.go (what to paste).
package doctor
