// SPDX-License-Identifier: GPL-3.0-or-later

package signature_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/autorun"
	"usbagent/keyring"
	"usbagent/signature"
	"usbagent/test/need"
)

// uses is one signer's work with the real tools: a keyring, what rauc bundle
// writes, and files signed with openssl.
type uses struct {
	t   *testing.T
	dir string
	k   *signature.Keyring
	ca  []byte
}

func newUses(t *testing.T) *uses {
	need.RAUC(t)
	u := &uses{t: t, dir: t.TempDir()}
	u.run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/O=Use/CN=Use CA", "-days", "1000")
	u.run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "key.pem", "-out", "csr.pem", "-subj", "/CN=Use signer")
	u.run("openssl", "x509", "-req", "-in", "csr.pem", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", "5", "-days", "1000", "-out", "cert.pem")
	u.ca = u.read("ca.pem")
	var err error
	if u.k, err = signature.ParseKeyring(u.ca); err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *uses) run(name string, args ...string) []byte {
	u.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = u.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		u.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return out
}

func (u *uses) read(name string) []byte {
	u.t.Helper()
	b, err := os.ReadFile(filepath.Join(u.dir, name))
	if err != nil {
		u.t.Fatal(err)
	}
	return b
}

func (u *uses) write(name string, b []byte) { os.WriteFile(filepath.Join(u.dir, name), b, 0o644) }

// sign signs as the board's documentation says.
func (u *uses) sign(content []byte) []byte {
	u.t.Helper()
	u.write("file", content)
	u.run("openssl", "smime", "-sign", "-binary", "-in", "file", "-signer", "cert.pem", "-inkey", "key.pem", "-outform", "DER", "-out", "file.p7s")
	return u.read("file.p7s")
}

// bundle makes a bundle with rauc and returns its content and its CMS.
func (u *uses) bundle(format string) (content, cms []byte) {
	u.t.Helper()
	in := filepath.Join(u.dir, "in-"+format)
	os.Mkdir(in, 0o755)
	os.WriteFile(filepath.Join(in, "rootfs.img"), bytes.Repeat([]byte("0123456789abcdef usbagent "), 3000), 0o644)
	u.write("in-"+format+"/manifest.raucm", []byte("[update]\ncompatible=$(reboot)\nversion=1\n[bundle]\nformat="+format+"\n[image.rootfs]\nfilename=rootfs.img\n"))
	os.WriteFile(filepath.Join(in, "noise"), noise(64<<10), 0o644)
	u.run("rauc", "--cert", "cert.pem", "--key", "key.pem", "--keyring", "ca.pem", "bundle", "in-"+format, format+".raucb")
	b := u.read(format + ".raucb")
	n := int(binary.BigEndian.Uint64(b[len(b)-8:]))
	return b[:len(b)-8-n], b[len(b)-8-n : len(b)-8]
}

func noise(n int) []byte {
	b := make([]byte, n)
	v := uint32(1)
	for i := range b {
		v = v*1664525 + 1013904223
		b[i] = byte(v >> 24)
	}
	return b
}

// asScript is what the board does with a pair called autorun.sh: the signature,
// then the look at the content.
func (u *uses) asScript(content, p7s []byte) error {
	v, err := signature.Verify(u.k, signature.NewContent("autorun.sh", bytes.Clone(content)), p7s, signature.Options{})
	if err != nil {
		return err
	}
	if err := autorun.CheckScript(v.Bytes()); err != nil {
		return err
	}
	if _, err := keyring.Check(v.Bytes(), keyring.Rules{}); err == nil {
		return errors.New("a keyring")
	}
	return nil
}

// asKeyring is what the board does with a pair called fwupdate-keyring.pem.
func (u *uses) asKeyring(content, p7s []byte) error {
	if _, err := keyring.Check(content, keyring.Rules{RequireAnchor: true}); err != nil {
		return err
	}
	_, err := signature.Verify(u.k, signature.NewContent("fwupdate-keyring.pem", bytes.Clone(content)), p7s, signature.Options{})
	return err
}

// TestOneSignatureOneUse: with the real tools, nothing that was signed for one
// use passes for another.
func TestOneSignatureOneUse(t *testing.T) {
	u := newUses(t)
	plain, plainCMS := u.bundle("plain")
	_, verityCMS := u.bundle("verity")
	b, err := signature.VerifyBundle(u.k, verityCMS, signature.Options{})
	if err != nil || !bytes.Contains(b.Manifest, []byte("compatible=$(reboot)")) {
		t.Fatalf("the verity bundle: %v", err)
	}
	hereDocument := []byte("#!/bin/sh\ncat > /tmp/ca.pem <<END\n" + string(u.ca) + "END\nreboot\n")
	commented := []byte("# a comment\n" + string(u.ca) + "reboot\n")
	withCommand := append(bytes.Clone(u.ca), "$(reboot)\n"...)
	for _, c := range []struct {
		name    string
		use     func(content, p7s []byte) error
		content []byte
		p7s     []byte
		want    any // a signature.Reason, an error or a word of the text
	}{
		{"a verity bundle's manifest as script", u.asScript, b.Manifest, verityCMS, signature.EmbeddedContent},
		{"a verity bundle's manifest as keyring", u.asKeyring, b.Manifest, verityCMS, signature.NoCertificate},
		{"a plain bundle's file system as script", u.asScript, plain, plainCMS, "squashfs"},
		{"a plain bundle's file system as keyring", u.asKeyring, plain, plainCMS, signature.BadPEM},
		{"a script with a certificate in a here-document as keyring", u.asKeyring, hereDocument, u.sign(hereDocument), keyring.ErrScript},
		{"a script without #! as keyring", u.asKeyring, commented, u.sign(commented), keyring.ErrText},
		{"a keyring with a command as keyring", u.asKeyring, withCommand, u.sign(withCommand), keyring.ErrText},
		{"a keyring as script", u.asScript, u.ca, u.sign(u.ca), "PEM"},
		{"a keyring with a command as script", u.asScript, withCommand, u.sign(withCommand), "PEM"},
	} {
		err := c.use(c.content, c.p7s)
		ok := err != nil
		switch want := c.want.(type) {
		case signature.Reason:
			ok = signature.ReasonOf(err) == want
		case error:
			ok = errors.Is(err, want)
		case string:
			ok = err != nil && strings.Contains(err.Error(), want)
		}
		if !ok {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
	// What an old board would make of them is said to the one who signs.
	for name, content := range map[string][]byte{"here-document": hereDocument, "script without #!": append(bytes.Clone(u.ca), "cat /etc/passwd | sh\n"...), "file system": plain, "manifest": b.Manifest} {
		if len(signature.Confusions(content)) == 0 {
			t.Errorf("nothing is said about signing: %s", name)
		}
	}
}

// TestUsualFilesPass: every style of keyring that people really have, and
// self-extracting scripts.
func TestUsualFilesPass(t *testing.T) {
	u := newUses(t)
	u.write("db", nil)
	u.write("ca.cnf", []byte("[ca]\ndefault_ca=c\n[c]\ndatabase=db\ndefault_md=sha256\ndefault_crl_days=30\n"))
	u.run("openssl", "ca", "-config", "ca.cnf", "-gencrl", "-cert", "ca.pem", "-keyfile", "ca.key", "-out", "crl.pem")
	u.run("openssl", "pkcs12", "-export", "-in", "ca.pem", "-nokeys", "-out", "ca.p12", "-passout", "pass:")
	for name, k := range map[string][]byte{
		"bare":           u.ca,
		"text":           u.run("openssl", "x509", "-in", "ca.pem", "-text"),
		"bag attributes": u.run("openssl", "pkcs12", "-in", "ca.p12", "-nokeys", "-passin", "pass:"),
		"comments":       append([]byte("# Vendor CA 2025\n\n"), u.ca...),
		"CRL":            append(bytes.Clone(u.ca), u.read("crl.pem")...),
		"CRL with text":  append(bytes.Clone(u.ca), u.run("openssl", "crl", "-in", "crl.pem", "-text")...),
		"trusted":        u.run("openssl", "x509", "-in", "ca.pem", "-trustout", "-addtrust", "emailProtection"),
		"two":            append(bytes.Clone(u.ca), u.read("cert.pem")...),
		"CRLF":           bytes.ReplaceAll(u.ca, []byte("\n"), []byte("\r\n")),
		"BOM":            append([]byte("\xef\xbb\xbf"), u.ca...),
	} {
		if err := u.asKeyring(k, u.sign(k)); err != nil {
			t.Errorf("keyring %s: %v", name, err)
		}
		if said := signature.Confusions(k); said != nil {
			t.Errorf("keyring %s: %v", name, said)
		}
		if err := u.asScript(k, u.sign(k)); err == nil {
			t.Errorf("keyring %s passes as a script, too", name)
		}
	}
	makeself := append([]byte("#!/bin/sh\n# This script was generated using Makeself 2.4.5\noffset=`head -n 3 \"$0\" | wc -c`\n"), noise(100_000)...)
	for name, s := range map[string][]byte{
		"plain":                []byte("#!/bin/sh\nreboot\n"),
		"no #!":                []byte("reboot\n"),
		"BOM":                  []byte("\xef\xbb\xbf#!/bin/sh\nreboot\n"),
		"makeself":             makeself,
		"here-document":        []byte("#!/bin/sh\ncat >ca.pem <<END\n" + string(u.ca) + "END\n"),
		"here-document, no #!": []byte("# installs a CA\ncat >ca.pem <<END\n" + string(u.run("openssl", "x509", "-in", "ca.pem", "-text")) + "END\n"),
		"indented":             []byte("#!/bin/sh\ncat <<-END\n\t" + strings.ReplaceAll(string(u.ca), "\n", "\n\t") + "\nEND\n"),
	} {
		if err := u.asScript(s, u.sign(s)); err != nil {
			t.Errorf("script %s: %v", name, err)
		}
		if said := signature.Confusions(s); said != nil && !strings.HasPrefix(name, "here-document") {
			t.Errorf("script %s: %v", name, said)
		}
	}
}
