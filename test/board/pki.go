// SPDX-License-Identifier: GPL-3.0-or-later

package board

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"
)

// Signer is a certificate and its key as PEM files, ready for openssl and rauc.
type Signer struct{ Cert, Key string }

// PKI is who signs what on the tests' sticks. The vendor's CA is the one the
// board leaves the factory with.
type PKI struct {
	dir string
	// VendorCA and CustomerCA are keyring files.
	VendorCA, CustomerCA, StrangerCA string
	// Vendor and Customer sign keyrings and scripts. Their certificates ended
	// in 2002: no time is ever checked. Stranger is known to no board.
	Vendor, Customer, Stranger Signer
	// VendorImages and CustomerImages sign bundles: RAUC does check times, so
	// they are valid for as long as a board's clock can be wrong.
	VendorImages, CustomerImages Signer
}

// openPKI names the files that makePKI wrote to dir.
func openPKI(dir string) PKI {
	at := func(name string) string { return filepath.Join(dir, name) }
	signer := func(name string) Signer { return Signer{at(name + ".pem"), at(name + ".key")} }
	return PKI{
		dir: dir, VendorCA: at("vendor-ca.pem"), CustomerCA: at("customer-ca.pem"), StrangerCA: at("stranger-ca.pem"),
		Vendor: signer("vendor"), Customer: signer("customer"), Stranger: signer("stranger"),
		VendorImages: signer("vendor-images"), CustomerImages: signer("customer-images"),
	}
}

// makePKI generates three CAs with their signers.
func makePKI(dir string) error {
	long := [2]time.Time{time.Unix(0, 0), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC)}
	past := [2]time.Time{time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2002, 1, 1, 0, 0, 0, 0, time.UTC)}
	for i, owner := range []string{"vendor", "customer", "stranger"} {
		ca := &x509.Certificate{
			SerialNumber: big.NewInt(int64(i + 1)), Subject: pkix.Name{Organization: []string{"Test " + owner}, CommonName: owner + " CA"},
			NotBefore: long[0], NotAfter: long[1], IsCA: true, BasicConstraintsValid: true,
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		}
		caKey, err := issue(filepath.Join(dir, owner+"-ca"), ca, ca, nil)
		if err != nil {
			return err
		}
		for j, use := range []string{"", "-images"} {
			valid := past
			if use != "" {
				valid = long
			}
			leaf := &x509.Certificate{
				SerialNumber: big.NewInt(int64(10*i + 100 + j)), Subject: pkix.Name{Organization: []string{"Test " + owner}, CommonName: owner + use + " signer"},
				NotBefore: valid[0], NotAfter: valid[1], KeyUsage: x509.KeyUsageDigitalSignature,
				ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection},
			}
			if _, err := issue(filepath.Join(dir, owner+use), leaf, ca, caKey); err != nil {
				return err
			}
		}
	}
	return nil
}

// issue writes path.pem and path.key; a nil parentKey means self-signed.
func issue(path string, c, parent *x509.Certificate, parentKey *rsa.PrivateKey) (*rsa.PrivateKey, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	if parentKey == nil {
		parentKey = key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	return key, os.WriteFile(path+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), 0o600)
}

// Sign writes path.p7s with openssl, the reference, and not with our
// own code: the board must take what integrators have always made.
func (s Signer) Sign(path string) error {
	return command(nil, "openssl", "smime", "-sign", "-binary", "-outform", "DER",
		"-signer", s.Cert, "-inkey", s.Key, "-in", path, "-out", path+".p7s")
}

// Bundle is what a RAUC bundle is made from.
type Bundle struct {
	Signer     Signer
	Format     string // "plain", "verity"
	Version    string
	Compatible string // "" is the board's
	Image      string // file system image for the class "rootfs"
}

// Compatible is the board's RAUC compatible string.
const Compatible = "chargebyte-tarragon"

// Write makes the bundle at path with the host's rauc.
func (b Bundle) Write(path string) error {
	dir, err := os.MkdirTemp("", "bundle")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if b.Compatible == "" {
		b.Compatible = Compatible
	}
	manifest := fmt.Sprintf("[update]\ncompatible=%s\nversion=%s\n\n[bundle]\nformat=%s\n\n[image.rootfs]\nfilename=rootfs.ext4\n",
		b.Compatible, b.Version, b.Format)
	content := filepath.Join(dir, "content")
	if err := writeFile(filepath.Join(content, "manifest.raucm"), []byte(manifest), 0o644); err != nil {
		return err
	}
	if err := copySparse(filepath.Join(content, "rootfs.ext4"), b.Image); err != nil {
		return err
	}
	out := filepath.Join(dir, "out.raucb")
	if err := command(nil, "rauc", "bundle", "--cert", b.Signer.Cert, "--key", b.Signer.Key, content, out); err != nil {
		return err
	}
	return copySparse(path, out)
}
