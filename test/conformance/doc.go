// Package conformance holds wsfpm against RFC 6455 from outside, over TCP,
// with a client that makes its frames by hand and so can make wrong ones.
//
// Its cases are arranged and numbered after the matrix that implementers of
// WebSocket know: framing, pings, reserved bits and opcodes, fragments, UTF-8,
// closing, sizes, compression (RFC 7692). Every case ends with a verdict: OK,
// NON-STRICT, INFORMATIONAL, UNIMPLEMENTED or FAILED. Beyond that matrix stand
// tests of the handshake, of limits, and of clients that mean harm or break.
//
// All of it runs twice: against a gateway in this process over a scripted
// FastCGI server, and with WSFPM_INTEGRATION=1 against the real binary and
// PHP-FPM. The verdicts are written to build/conformance.md.
//
// Reading order: verdict_test.go, client_test.go, script_test.go,
// suite_test.go, target_test.go, and the groups.
package conformance
