// SPDX-License-Identifier: GPL-3.0-or-later

package keyring

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

	"usbagent/signature"
)

// authority is a self-signed CA that also signs files itself.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

func newAuthority(t testing.TB, name string) *authority {
	t.Helper()
	return issue(t, name, nil)
}

// issue makes a CA below by, or a self-signed one.
func issue(t testing.TB, name string, by *authority) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0), // nobody checks time
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	a := &authority{key: key}
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.pem = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	return a
}

func (a *authority) print() signature.Fingerprint { return fingerprints(parse(a.pem))[0] }

func parse(text []byte) *signature.Keyring {
	k, err := signature.ParseKeyring(text)
	if err != nil {
		panic(err)
	}
	return k
}

// sign returns text as verified bytes, signed by a.
func (a *authority) sign(t testing.TB, text []byte) *signature.Verified {
	t.Helper()
	p7s, err := signature.Sign(text, signature.SignOptions{Key: signature.NewSigningKey(a.key), Certificate: a.pem})
	if err != nil {
		t.Fatal(err)
	}
	v, err := signature.Verify(parse(a.pem), signature.NewContent("fwupdate-keyring.pem", text), p7s, signature.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// board is a directory like /etc/rauc: the keyring is a link to the vendor's CA.
type board struct {
	t      testing.TB
	dir    string
	store  *Store
	vendor *authority
}

func newBoard(t testing.TB) *board { return boardAt(t, t.TempDir()) }

func boardAt(t testing.TB, dir string) *board {
	t.Helper()
	b := &board{t, dir, Open(filepath.Join(dir, "keyring.pem")), newAuthority(t, "Vendor")}
	if err := os.WriteFile(b.path("vendor.pem"), b.vendor.pem, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("vendor.pem", b.path("keyring.pem")); err != nil {
		t.Fatal(err)
	}
	return b
}

func (b *board) path(name string) string { return filepath.Join(b.dir, name) }

// install installs text, signed by a.
func (b *board) install(by *authority, text []byte) (Change, error) {
	b.t.Helper()
	k, err := Check(text, Rules{RequireAnchor: true})
	if err != nil {
		b.t.Fatal(err)
	}
	return b.store.Install(by.sign(b.t, text), k)
}

// state describes what lies under a name: "-> target", the content, or "".
func (b *board) state(name string) string {
	o, err := read(b.path(name))
	if err != nil {
		return ""
	}
	if o.link != "" {
		return "-> " + o.link
	}
	return string(o.data)
}

// expect compares keyring.pem, .previous and .factory, and that nothing else
// was left.
func (b *board) expect(now, previous, factory string) {
	b.t.Helper()
	for name, want := range map[string]string{"keyring.pem": now, "keyring.pem.previous": previous, "keyring.pem.factory": factory} {
		if got := b.state(name); got != want {
			b.t.Errorf("%s is %.60q, want %.60q", name, got, want)
		}
	}
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		b.t.Fatal(err)
	}
	known := map[string]bool{"vendor.pem": true, "keyring.pem": true, "keyring.pem.previous": true, "keyring.pem.factory": true,
		".usbagent-lock-keyring.pem": true, "lost+found": true}
	for _, e := range entries {
		if !known[e.Name()] {
			b.t.Errorf("left behind: %s", e.Name())
		}
	}
	if got := b.state("vendor.pem"); got != string(b.vendor.pem) {
		b.t.Errorf("the vendor's file was changed")
	}
}
