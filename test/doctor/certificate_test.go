package doctor

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// authority is a private CA with an intermediate one.
type authority struct {
	root, issuer       *x509.Certificate
	rootKey, issuerKey *ecdsa.PrivateKey
	file               string // the root's certificate
}

func newAuthority(t *testing.T, dir string) *authority {
	t.Helper()
	a := &authority{file: filepath.Join(dir, "ca.pem")}
	ca := func(name string) *x509.Certificate {
		return &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(10, 0, 0)}
	}
	a.rootKey = newKey(t)
	a.root = sign(t, ca("Test Root"), nil, a.rootKey, a.rootKey)
	a.issuerKey = newKey(t)
	a.issuer = sign(t, ca("Test Issuer"), a.root, a.issuerKey, a.rootKey)
	writePEM(t, a.file, "CERTIFICATE", a.root.Raw)
	return a
}

// issue writes NAME.pem with its chain, NAME-alone.pem without it, NAME-key.pem, and
// NAME-both.pem with chain and key, into a folder.
func (a *authority) issue(t *testing.T, dir, name, host string, from, until time.Time) {
	t.Helper()
	key := newKey(t)
	leaf := sign(t, &x509.Certificate{SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: from, NotAfter: until}, a.issuer, key, a.issuerKey)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	at := func(suffix string) string { return filepath.Join(dir, name+suffix+".pem") }
	writePEM(t, at(""), "CERTIFICATE", leaf.Raw, a.issuer.Raw)
	writePEM(t, at("-alone"), "CERTIFICATE", leaf.Raw)
	writePEM(t, at("-key"), "PRIVATE KEY", private)
	var both []byte
	for _, part := range []string{"", "-key"} {
		text, err := os.ReadFile(at(part))
		if err != nil {
			t.Fatal(err)
		}
		both = append(both, text...)
	}
	if err := os.WriteFile(at("-both"), both, 0o644); err != nil {
		t.Fatal(err)
	}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// sign signs a certificate; without a parent it signs itself.
func sign(t *testing.T, c, parent *x509.Certificate, key, by *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	if parent == nil {
		parent = c
	}
	raw, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func writePEM(t *testing.T, file, kind string, blocks ...[]byte) {
	t.Helper()
	var text []byte
	for _, block := range blocks {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: block})...)
	}
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
}
