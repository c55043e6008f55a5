package stack

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority is a private certificate authority.
type Authority struct {
	File string         // its certificate in PEM form
	Pool *x509.CertPool // of it alone

	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// PrivateCA makes an authority, valid for an hour.
func PrivateCA(t T, name string) *Authority {
	t.Helper()
	a := &Authority{dir: TempDir(t), Pool: x509.NewCertPool()}
	template := &x509.Certificate{Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	a.File, _, a.key = a.sign(t, "ca", template)
	a.Pool.AddCert(a.cert)
	return a
}

// Issue makes a certificate for hosts, which may be addresses, and its key. It ends at a time.
func (a *Authority) Issue(t T, until time.Time, hosts ...string) (certFile, keyFile string) {
	t.Helper()
	template := &x509.Certificate{Subject: pkix.Name{CommonName: "server"}, NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: until}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
			continue
		}
		template.DNSNames = append(template.DNSNames, host)
	}
	certFile, keyFile, _ = a.sign(t, "server", template)
	return certFile, keyFile
}

// sign writes a certificate and its key. The first one is that of the authority itself.
func (a *Authority) sign(t T, name string, template *x509.Certificate) (certFile, keyFile string, key *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatalf("make a key: %v", err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		t.Fatalf("make a number: %v", err)
	}
	parent, by := a.cert, a.key
	if parent == nil {
		parent, by = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, by)
	if err != nil {
		t.Fatalf("make a certificate: %v", err)
	}
	if a.cert == nil {
		if a.cert, err = x509.ParseCertificate(der); err != nil {
			t.Fatalf("read the certificate: %v", err)
		}
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatalf("write the key: %v", err)
	}
	base := filepath.Join(a.dir, name+"-"+template.SerialNumber.Text(36))
	return writePEM(t, base+".pem", "CERTIFICATE", der), writePEM(t, base+"-key.pem", "PRIVATE KEY", private), key
}

func writePEM(t T, file, kind string, der []byte) string {
	t.Helper()
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o644); err != nil {
		t.Fatalf("write %s: %v", file, err)
	}
	return file
}
