// SPDX-License-Identifier: GPL-3.0-or-later

package autorun

import (
	"bytes"
	"compress/gzip"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

// A script with its payload behind it, as makeself and others make them.
const selfExtracting = "#!/bin/sh\n# This script was generated using Makeself 2.4.5\ntail -n+6 \"$0\" | tar xz\nexit\n__ARCHIVE__\n\x1f\x8b\x08\x00\x00\x00payload"

var scripts = map[string]string{
	"empty":                "",
	"one line":             "echo hello",
	"shebang":              "#!/bin/sh\necho\n",
	"Windows line ends":    "#!/bin/sh\r\necho\r\n",
	"byte order mark":      "\xef\xbb\xbf#!/bin/sh\necho\n",
	"self-extracting":      selfExtracting,
	"NUL in second line":   "echo\n\x00\n",
	"Latin-1":              "# Gr\xfc\xdfe\necho\n",
	"certificate inside":   "cat >/etc/ca.pem <<E\n-----BEGIN CERTIFICATE-----\nE\n",
	"certificate below #!": "#!/bin/sh\n# a CA\ncat >/etc/ca.pem <<E\nCertificate:\n-----BEGIN CERTIFICATE-----\nE\n",
	"comments only":        "# nothing\n\n# to do",
	"program of that name": "Certificate: x\n",
	"MZ variable":          "MZ=1; echo $MZ\n",
	"begins with a number": "0a\n",
	"hash only":            "#\n",
	"blanks only":          " \n\t\r\n\v\f",
	"hard blank behind":    "Certificate:\u00a0\n",
	"certificate, but #!":  "#!/bin/sh\nCertificate:\n",
}

func TestCheckScriptAccepts(t *testing.T) {
	for name, script := range scripts {
		if err := CheckScript([]byte(script)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// notScripts: what it is, and the reason and kind that are expected.
func notScripts(t testing.TB) map[string]struct{ content, reason, kind string } {
	key, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, _ := x509.MarshalPKCS8PrivateKey(private)
	var gz bytes.Buffer
	gzip.NewWriter(&gz).Close()
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
	return map[string]struct{ content, reason, kind string }{
		"gzip":                {gz.String(), "binary", "gzip data"},
		"public key":          {string(der), "binary", "DER (a certificate, key or signature)"},
		"long DER":            {"0\x82\x05\x001234", "binary", "DER (a certificate, key or signature)"},
		"BER":                 {"0\x80\x06\x09", "binary", "DER (a certificate, key or signature)"},
		"squashfs":            {"hsqs\x05\x00", "binary", "a squashfs image (or a RAUC bundle)"},
		"zstd":                {"\x28\xb5\x2f\xfd\x04", "binary", "zstd data"},
		"bzip2":               {"BZh91AY&SY\x00", "binary", "bzip2 data"},
		"zip":                 {"PK\x03\x04\n\x00", "binary", "a zip archive"},
		"PE":                  {"MZ\x90\x00\x03", "binary", "a Windows program"},
		"polyglot PE":         {"MZqFpD='\n" + strings.Repeat(" ", 0x3c-9) + "\x40\x00\x00\x00PE\x00\x00", "binary", "a Windows program"},
		"UTF-16":              {"\xff\xfee\x00c\x00h\x00o\x00", "binary", "UTF-16 text"},
		"private key":         {text, "pem", "PEM (a certificate, key or keyring)"},
		"keyring with mark":   {"\xef\xbb\xbf\r\n\t -----BEGIN CERTIFICATE-----\n", "pem", "PEM (a certificate, key or keyring)"},
		"keyring, comments":   {"# Vendor CA 2025\r\n\r\n#\n  # 2\n-----BEGIN CERTIFICATE-----\n", "pem", "PEM (a certificate, key or keyring)"},
		"keyring, x509 -text": {"Certificate:\n    Data:\n", "pem", "PEM (a certificate, key or keyring)"},
		"keyring, pkcs12":     {"# mine\nBag Attributes\r\n    friendlyName: x\r\n", "pem", "PEM (a certificate, key or keyring)"},
		"keyring, one line":   {"Server certificate \t\v\f\r", "pem", "PEM (a certificate, key or keyring)"},
		"NUL":                 {"echo \x00\n", "nul", ""},
		"NUL without line":    {strings.Repeat("a", 100) + "\x00", "nul", ""},
	}
}

func TestCheckScriptRefuses(t *testing.T) {
	for name, c := range notScripts(t) {
		var not *NotScript
		if err := CheckScript([]byte(c.content)); !errors.As(err, &not) || not.Reason != c.reason || not.Kind != c.kind {
			t.Errorf("%s: %v, want %s %s", name, err, c.reason, c.kind)
		}
	}
}

// What the tools of this machine make.
func TestCheckScriptRefusesRealFiles(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, []byte("echo\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	kinds := map[string]string{"elf": "an ELF program", "tar": "a tar archive", "xz": "xz data", "bzip2": "bzip2 data", "gzip": "gzip data"}
	for name, kind := range kinds {
		var content []byte
		switch name {
		case "elf":
			content, err = os.ReadFile(self)
		case "tar":
			content, err = exec.Command(need.Tool(t, "tar"), "-C", dir, "-cO", "plain").Output()
		default:
			content, err = exec.Command(need.Tool(t, name), "-c", plain).Output()
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var not *NotScript
		// A tar archive has a NUL in its first line, but is told by name.
		if err := CheckScript(content); !errors.As(err, &not) || not.Kind != kind {
			t.Errorf("%s: %v, want %s", name, err, kind)
		}
	}
}

func FuzzCheckScript(f *testing.F) {
	for _, script := range scripts {
		f.Add([]byte(script))
	}
	for _, c := range notScripts(f) {
		f.Add([]byte(c.content))
	}
	for _, m := range magics {
		f.Add([]byte(m.begin + "\n"))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		err := CheckScript(b)
		first, _, _ := bytes.Cut(b, []byte("\n"))
		if err == nil && (bytes.IndexByte(first, 0) >= 0 || bytes.HasPrefix(b, []byte("-----BEGIN")) || bytes.HasPrefix(b, []byte("\x7fELF"))) {
			t.Errorf("accepted %q", first)
		}
		// A line of harmless text before it makes a script of anything.
		if err := CheckScript(append([]byte("#!/bin/sh\n"), b...)); err != nil {
			t.Errorf("refused as self-extracting script: %v", err)
		}
	})
}
