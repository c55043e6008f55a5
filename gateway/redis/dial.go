package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"wsfpm/gateway/redisurl"
)

// dialer returns a dial function that fails once its context has ended; [Line] relies on
// that. With TLS it reads the files of the URL at each connection, so that a renewed
// certificate is used without a restart.
func dialer(secure *redisurl.TLS) func(ctx context.Context, network, addr string) (net.Conn, error) {
	plain := &net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	if secure == nil {
		return plain.DialContext
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := dialTLS(ctx, plain, secure, network, addr)
		var op *net.OpError
		if err != nil && !(errors.As(err, &op) && op.Op == "dial") {
			err = &net.OpError{Op: "dial", Net: network, Addr: peer(addr), Err: explained(err)} // as without TLS
		}
		return conn, err
	}
}

// peer is the address of a server as [net.Addr].
type peer string

func (p peer) Network() string { return "tcp" }
func (p peer) String() string  { return string(p) }

func dialTLS(ctx context.Context, plain *net.Dialer, secure *redisurl.TLS, network, addr string) (net.Conn, error) {
	config, err := tlsConfig(secure, addr)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout) // for both
	defer cancel()
	conn, err := plain.DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	client := tls.Client(conn, config)
	err = client.HandshakeContext(ctx)
	if err == nil {
		return &secured{Conn: client}, nil
	}
	_ = conn.Close() // the handshake's error says why
	if errors.Is(err, context.DeadlineExceeded) {
		err = fmt.Errorf("the TLS handshake had no answer: %s: %w", needsPlain, err)
	}
	return nil, err
}

// tlsConfig returns the settings for a connection to one server. A Sentinel and a Cluster name
// servers by addresses that their certificates need not have: one with a name of the URL is
// good for all of them.
func tlsConfig(secure *redisurl.TLS, addr string) (*tls.Config, error) {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if net.ParseIP(host) != nil {
		config.ServerName = secure.Hosts[0] // an address is not sent (RFC 6066, 3)
	}
	roots, err := authorities(secure.CA)
	if err != nil {
		return nil, err
	}
	if secure.Cert != "" {
		own, err := tls.LoadX509KeyPair(secure.Cert, secure.Key)
		if err != nil {
			return nil, fmt.Errorf("cert and key of redis.url: %w", unnamed(err))
		}
		config.Certificates = []tls.Certificate{own}
	}
	config.InsecureSkipVerify = true // VerifyConnection does it, for several names
	if !secure.SkipVerify {
		names := slices.Concat([]string{host}, secure.Hosts)
		config.VerifyConnection = func(state tls.ConnectionState) error { return verify(state.PeerCertificates, roots, names) }
	}
	return config, nil
}

// authorities reads a file with certificates; nil are the system's.
func authorities(name string) (*x509.CertPool, error) {
	if name == "" {
		return nil, nil
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return nil, fmt.Errorf("cacert of redis.url: %w", unnamed(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New("cacert of redis.url: the file has no certificate in PEM form")
	}
	return pool, nil
}

// unnamed removes the file's name from an error: no parameter of the URL is shown.
func unnamed(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		return path.Err
	}
	return err
}

// verify verifies a server's certificates for the first of names, or any of the others.
func verify(chain []*x509.Certificate, roots *x509.CertPool, names []string) error {
	options := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
	for _, c := range chain[1:] {
		options.Intermediates.AddCert(c)
	}
	if _, err := chain[0].Verify(options); err != nil {
		return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: err}
	}
	var first error
	for _, name := range names {
		err := chain[0].VerifyHostname(name)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return &tls.CertificateVerificationError{UnverifiedCertificates: chain, Err: first}
}

// needsPlain is what to change when a server does not speak TLS.
const needsPlain = "a port without TLS needs redis://"

// explained adds what to change to an error of TLS.
func explained(err error) error {
	var (
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		record    tls.RecordHeaderError
		op        *net.OpError
	)
	advice := ""
	switch {
	case errors.As(err, &authority):
		advice = "add the certificate of its CA to redis.url: rediss://…?cacert=/path/of/ca.pem"
	case errors.As(err, &name):
		advice = "write a name or an address that the certificate has into redis.url"
	case errors.As(err, &record):
		advice = needsPlain
	case errors.As(err, &op) && op.Op == "remote error" && (strings.Contains(op.Err.Error(), "certificate") || strings.Contains(op.Err.Error(), "handshake failure")):
		advice = "Redis wants a certificate of the gateway that it trusts: rediss://…?cert=/path/of/cert.pem&key=/path/of/key.pem, or tls-auth-clients no in redis.conf"
	default:
		return err
	}
	return fmt.Errorf("%w: %s", err, advice)
}

// alertTimeout bounds the wait for the alert of a server that has ended the connection.
const alertTimeout = 100 * time.Millisecond

// secured is a connection with TLS, which explains errors. With TLS 1.3 a server refuses the
// client's certificate after the handshake: the first Read or Write returns that.
type secured struct {
	*tls.Conn
	answered atomic.Bool
}

// SyscallConn lets go-redis see before a command whether the server has closed the idle
// connection, which it does not ask of a [tls.Conn].
func (s *secured) SyscallConn() (syscall.RawConn, error) {
	return s.NetConn().(*net.TCPConn).SyscallConn()
}

// Read is that of [tls.Conn].
func (s *secured) Read(p []byte) (int, error) {
	n, err := s.Conn.Read(p)
	if err != nil {
		return n, explained(err)
	}
	s.answered.Store(true)
	return n, nil
}

// Write is that of [tls.Conn]. Before the first answer there is no other reader.
func (s *secured) Write(p []byte) (int, error) {
	n, err := s.Conn.Write(p)
	if err == nil {
		return n, nil
	}
	if !s.answered.Load() {
		_ = s.SetReadDeadline(time.Now().Add(alertTimeout)) // the connection is lost in any case
		var op *net.OpError
		if _, alert := s.Conn.Read(make([]byte, 1)); errors.As(alert, &op) && op.Op == "remote error" {
			err = alert
		}
	}
	return n, explained(err)
}
