// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"os"
	"testing"
	"time"

	"go.mozilla.org/pkcs7"
)

// TestWrittenAsByPKCS7: what is written is what go.mozilla.org/pkcs7 writes, byte by
// byte where the key signs the same twice; else pkcs7 takes it for good.
func TestWrittenAsByPKCS7(t *testing.T) {
	names := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: pkcs7.OIDDigestAlgorithmSHA256, crypto.SHA384: pkcs7.OIDDigestAlgorithmSHA384, crypto.SHA512: pkcs7.OIDDigestAlgorithmSHA512,
	}
	chain, err := ParseKeyring(ring)
	if err != nil {
		t.Fatal(err)
	}
	for name, same := range map[string]bool{"rsa2048-1": true, "rsa4096": true, "p224": false, "p256-1": false, "p384": false, "p521": false} {
		for _, with := range []*Keyring{nil, chain} {
			sk, own := signerOf(t, name)
			for range 5 { // both within one second
				begun := time.Now()
				made, err := makeSignature(script, sk, own, with, begun)
				if err != nil {
					t.Fatal(err)
				}
				read, err := pkcs7.Parse(made)
				if err != nil {
					t.Fatalf("%s: pkcs7 cannot read it: %v", name, err)
				}
				read.Content = script
				if err := read.Verify(); err != nil {
					t.Errorf("%s: pkcs7: %v", name, err)
				}
				sd, err := pkcs7.NewSignedData(script)
				if err != nil {
					t.Fatal(err)
				}
				sd.SetDigestAlgorithm(names[sk.digest()])
				leaf, err := x509.ParseCertificate(own.raw)
				if err != nil {
					t.Fatal(err)
				}
				if err := sd.AddSigner(leaf, sk.signer, pkcs7.SignerInfoConfig{}); err != nil {
					t.Fatal(err)
				}
				if with != nil {
					for _, c := range with.certs {
						sd.AddCertificate(&x509.Certificate{Raw: c.raw})
					}
				}
				sd.Detach()
				theirs, err := sd.Finish()
				if err != nil {
					t.Fatal(err)
				}
				if time.Now().Unix() != begun.Unix() {
					continue
				}
				if same && !bytes.Equal(made, theirs) {
					t.Errorf("%s: written\n%x, by pkcs7\n%x", name, made, theirs)
				}
				break
			}
		}
	}
}

// TestSigningTime: the time is UTCTime up to 2049 (RFC 5652, 11.3), and either form
// is read again.
func TestSigningTime(t *testing.T) {
	sk, own := signerOf(t, "p256-1")
	k, _ := ParseKeyring(ring)
	for at, want := range map[time.Time]string{
		time.Date(2049, 12, 31, 23, 59, 59, 0, time.UTC):                        "\x17\x0d491231235959Z",
		time.Date(2050, 1, 1, 0, 0, 0, 0, time.UTC):                             "\x18\x0f20500101000000Z",
		time.Date(2026, 1, 1, 1, 0, 0, 0, time.FixedZone("an hour east", 3600)): "\x17\x0d260101000000Z",
	} {
		made, err := makeSignature(script, sk, own, nil, at)
		if err != nil || !bytes.Contains(made, []byte(want)) {
			t.Errorf("%v: %v, or not %q in it", at, err, want)
		}
		if _, err := Verify(k, NewContent("autorun.sh", script), made, Options{}); err != nil {
			t.Errorf("%v: %v", at, err)
		}
	}
}

// TestSerialNumberAsItIs: whatever a certificate's serial number is, the signer is
// named by the same bytes.
func TestSerialNumberAsItIs(t *testing.T) {
	for _, serial := range []string{"\x00", "\x7f", "\x00\x80", "\xff", "\x80", "\xfe\xff"} {
		sk, own := signerOf(t, "p256-1")
		own.serial = []byte(serial)
		made, err := makeSignature(script, sk, own, nil, time.Now())
		if err != nil || !bytes.Contains(made, append(bytes.Clone(own.issuer.raw), tlv(0x02, []byte(serial))...)) {
			t.Errorf("%x: %v, or it is not in the signature", serial, err)
		}
	}
}

// signerOf is the test key of that name and a certificate for it.
func signerOf(t *testing.T, name string) (*SigningKey, *cert) {
	t.Helper()
	file, err := os.ReadFile(key(name).file)
	if err != nil {
		t.Fatal(err)
	}
	sk, err := ParseSigningKey(file, nil)
	if err != nil {
		t.Fatal(err)
	}
	own, err := parseCert(leafDef("Signer "+name, name, ca).der())
	if err != nil {
		t.Fatal(err)
	}
	return sk, own
}
