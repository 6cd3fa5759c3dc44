// SPDX-License-Identifier: GPL-3.0-or-later

// Package pki makes certificate authorities and signatures with the openssl
// command, for tests and the demonstration: what anybody has at his desk.
package pki

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// PKI is a certificate authority and a signer below it, as files.
type PKI struct {
	Keyring string // the authority's certificate, PEM: what a board trusts
	Cert    string // the signer's certificate, PEM
	Key     string // the signer's key, PEM
}

// New makes a PKI in dir with openssl. name becomes part of the subjects.
func New(dir, name string) (*PKI, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make PKI: %w", err)
	}
	at := func(file string) string { return filepath.Join(dir, file) }
	key := []string{"-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"}
	steps := [][]string{
		append([]string{"req", "-x509", "-days", "3650", "-subj", "/CN=" + name + " CA",
			"-keyout", at("ca.key"), "-out", at("ca.pem")}, key...),
		append([]string{"req", "-subj", "/CN=" + name + " signer",
			"-keyout", at("signer.key"), "-out", at("signer.csr")}, key...),
		{"x509", "-req", "-days", "3650", "-in", at("signer.csr"), "-out", at("signer.pem"),
			"-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial"},
	}
	for _, args := range steps {
		if out, err := exec.Command("openssl", args...).CombinedOutput(); err != nil {
			return nil, fmt.Errorf("make PKI: openssl %s: %w: %s", args[0], err, out)
		}
	}
	return &PKI{Keyring: at("ca.pem"), Cert: at("signer.pem"), Key: at("signer.key")}, nil
}

// Sign writes FILE.p7s beside file, in the documented form, with openssl.
func (p *PKI) Sign(file string) error {
	out, err := exec.Command("openssl", "smime", "-sign", "-binary", "-outform", "DER", "-md", "sha256",
		"-in", file, "-signer", p.Cert, "-inkey", p.Key, "-out", file+".p7s").CombinedOutput()
	if err != nil {
		return fmt.Errorf("sign %s: %w: %s", file, err, out)
	}
	return nil
}
