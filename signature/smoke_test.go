// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"usbagent/test/need"
)

// TestSignatureMadeByOpenSSL is the main case: a self-signed CA, a signer below
// it, a signature as the board's documentation tells to make it.
func TestSignatureMadeByOpenSSL(t *testing.T) {
	openssl := need.Tool(t, "openssl")
	dir := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		cmd := exec.Command(openssl, args...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("openssl %v: %v\n%s", args, err, out)
		}
	}
	key, _ := filepath.Abs("testdata/keys/rsa2048-1.pem")
	leafKey, _ := filepath.Abs("testdata/keys/p256-1.pem")
	run("req", "-x509", "-new", "-key", key, "-subj", "/O=Vendor/CN=Vendor CA", "-days", "1", "-out", "ca.pem")
	run("req", "-new", "-key", leafKey, "-subj", "/CN=Signer", "-out", "leaf.csr")
	run("x509", "-req", "-in", "leaf.csr", "-CA", "ca.pem", "-CAkey", key, "-set_serial", "7", "-days", "1", "-out", "leaf.pem")
	script := []byte("#!/bin/sh\necho hello\n")
	os.WriteFile(filepath.Join(dir, "autorun.sh"), script, 0o644)
	run("smime", "-sign", "-binary", "-outform", "DER", "-signer", "leaf.pem", "-inkey", leafKey, "-in", "autorun.sh", "-out", "autorun.sh.p7s")

	pem, _ := os.ReadFile(filepath.Join(dir, "ca.pem"))
	p7s, _ := os.ReadFile(filepath.Join(dir, "autorun.sh.p7s"))
	k, err := ParseKeyring(pem)
	if err != nil {
		t.Fatal(err)
	}
	v, err := Verify(k, NewContent("autorun.sh", script), p7s, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := v.Signer().Subject; got != "CN=Signer" {
		t.Errorf("signer %q", got)
	}
	_, err = Verify(k, NewContent("autorun.sh", append(script, ' ')), p7s, Options{})
	if ReasonOf(err) != WrongContent {
		t.Errorf("changed content: %v", err)
	}
	leaf, _ := os.ReadFile(filepath.Join(dir, "leaf.pem"))
	keyPEM, _ := os.ReadFile(leafKey)
	sk, err := ParseSigningKey(keyPEM, nil)
	if err != nil {
		t.Fatal(err)
	}
	made, err := Sign(script, SignOptions{Key: sk, Certificate: leaf, Keyring: k})
	if err != nil {
		t.Fatal(err)
	}
	os.WriteFile(filepath.Join(dir, "made.p7s"), made, 0o644)
	run("smime", "-verify", "-no_check_time", "-no-CApath", "-inform", "DER", "-CAfile", "ca.pem", "-content", "autorun.sh", "-in", "made.p7s", "-out", "/dev/null")
}
