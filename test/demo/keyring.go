// SPDX-License-Identifier: GPL-3.0-or-later

//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"strings"
)

// describeKeyring says what a keyring file is and whom it trusts.
func describeKeyring(path string) string {
	kind := "a regular file"
	if target, err := os.Readlink(path); err == nil {
		kind = "a link to " + target
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return kind + " without a certificate"
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%s, trusts %q (SHA-256 %.6x…)", kind, certificate.Subject.CommonName, sha256.Sum256(block.Bytes))
}

// command runs a program and tells what it said where it fails.
func command(ctx context.Context, name string, args ...string) error {
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out)
	}
	return nil
}
