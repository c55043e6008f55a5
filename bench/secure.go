package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"path/filepath"
	"sync"
	"time"
)

// smallBuffers are the lines that make a quiet client cheaper for nginx. The
// headers of a connect script's answer must fit into proxy_buffer_size.
const smallBuffers = "client_header_buffer_size 2k; ssl_buffer_size 4k; proxy_buffer_size 2k; proxy_buffers 4 2k;"

// warmUps is how many clients come before nginx is measured: a worker that has
// just started has not touched its own memory yet.
const warmUps = 64

// idleBuffers measures nginx's memory for an idle client, and its CPU for a
// handshake, with and without TLS, as shipped and with small buffers.
func (l *lab) idleBuffers(r *recorder) error {
	gateway, err := l.startGateway(gatewayOptions{name: "wsfpm-buffers"})
	if err != nil {
		return err
	}
	for _, o := range []proxyOptions{
		{name: "no TLS"}, {name: "no TLS, small buffers", extra: smallBuffers},
		{name: "TLS", tls: true}, {name: "TLS, small buffers", tls: true, extra: smallBuffers},
	} {
		front, err := l.startProxy(gateway, o)
		if err != nil {
			return err
		}
		if err := l.idleOf(r, front, o); err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		front.stop()
	}
	return nil
}

func (l *lab) idleOf(r *recorder, front *server, o proxyOptions) error {
	first, err := openIdle(warmUps, front.address, o.tls)
	defer closeIdle(first)
	if err != nil {
		return err
	}
	before, err := residentAll(front)
	if err != nil {
		return err
	}
	n := l.o.proxied / 2
	m := newMeter(front.pids(), nil)
	m.start()
	conns, err := openIdle(n, front.address, o.tls)
	defer closeIdle(conns)
	if err != nil {
		return err
	}
	u := m.stop()
	after, err := residentAll(front)
	if err != nil {
		return err
	}
	r.add("nginx with idle clients", o.name, 0, values{
		"nginx_rss_bytes": float64(after[0]-before[0]) / float64(n), "nginx_cpu_a_handshake_us": micros(u.front, int64(n)),
	})
	return nil
}

// openIdle opens connections that are never read again: they live for as long
// as wsfpm waits for a pong.
func openIdle(n int, address string, secure bool) (conns []*webSocket, err error) {
	headers := browserHeaders(1 << 10)
	conns = make([]*webSocket, n)
	errs := make([]error, n)
	var opening sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range n {
		slots <- struct{}{}
		opening.Go(func() {
			conns[i], errs[i] = dialFront(address, fmt.Sprintf("/ws/member?u=%d", i), headers, secure)
			<-slots
		})
	}
	opening.Wait()
	open := conns[:0]
	for i, c := range conns {
		if errs[i] != nil {
			err = errs[i]
			continue
		}
		open = append(open, c)
	}
	return open, err
}

func closeIdle(conns []*webSocket) {
	for _, c := range conns {
		c.close()
	}
}

// dialFront connects to nginx and shakes hands. The certificate is the lab's
// own, and is not checked.
func dialFront(address, path, headers string, secure bool) (*webSocket, error) {
	s, err := dial("tcp", address, 0)
	if err != nil {
		return nil, err
	}
	if secure {
		s.conn = tls.Client(s.conn, &tls.Config{InsecureSkipVerify: true})
	}
	w := &webSocket{s}
	if err := w.handshake(address, path, headers); err != nil {
		w.close()
		return nil, fmt.Errorf("handshake of %s: %w", path, err)
	}
	return w, nil
}

// certify writes a key and a certificate for a day, on the curve P-256, and
// returns nginx's lines for them.
func (l *lab) certify() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour)}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return "", err
	}
	secret, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return "", err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate})
	text = append(text, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})...)
	_, err = l.write("tls.pem", string(text))
	file := filepath.Join(l.dir, "tls.pem")
	return "ssl_certificate " + file + "; ssl_certificate_key " + file + ";", err
}
