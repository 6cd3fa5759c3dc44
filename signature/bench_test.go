// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"usbagent/test/need"
)

var benchKeys = []struct{ name, key string }{{"RSA-2048", "rsa2048-1"}, {"RSA-4096", "rsa4096"}, {"P-256", "p256-2"}}

var benchSizes = []struct {
	name string
	n    int
}{{"1kB", 1 << 10}, {"1MB", 1 << 20}, {"64MB", 64 << 20}}

// benchCase is a keyring, content and signature for one benchmark.
func benchCase(keyName string, size int) (keyring, content, p7s []byte) {
	root := caDef("Bench root", keyName)
	if keyName == "p256-2" {
		root = caDef("Bench root", "p256-1")
	}
	low := leafDef("Bench signer", keyName, root).der()
	content = make([]byte, size)
	copy(content, script)
	return pemOf(root.der()), content, message(content, low, keyName)
}

// BenchmarkVerify is the whole work on bytes in memory: keyring, hashes,
// structure, chain and signature.
func BenchmarkVerify(b *testing.B) {
	for _, k := range benchKeys {
		for _, s := range benchSizes {
			b.Run(k.name+"/"+s.name, func(b *testing.B) {
				keyring, content, p7s := benchCase(k.key, s.n)
				b.SetBytes(int64(s.n))
				b.ReportAllocs()
				for b.Loop() {
					ring, err := ParseKeyring(keyring)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := Verify(ring, NewContent("x", content), p7s, Options{}); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSign makes and checks a signature.
func BenchmarkSign(b *testing.B) {
	for _, k := range benchKeys {
		b.Run(k.name, func(b *testing.B) {
			pem, _ := os.ReadFile(key(k.key).file)
			sk, err := ParseSigningKey(pem, nil)
			if err != nil {
				b.Fatal(err)
			}
			cert := pemOf(leafDef("Bench signer", k.key, ca).der())
			for b.Loop() {
				if _, err := Sign(script, SignOptions{Key: sk, Certificate: cert}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkProcess compares whole processes on the same files: the reference
// command, and "usbagent verify".
func BenchmarkProcess(b *testing.B) {
	need.Tool(b, "openssl")
	dir := b.TempDir()
	agent := filepath.Join(dir, "usbagent")
	if out, err := exec.Command("go", "build", "-ldflags", "-s -w", "-o", agent, "usbagent/cmd/usbagent").CombinedOutput(); err != nil {
		b.Fatalf("build usbagent: %v\n%s", err, out)
	}
	for _, k := range benchKeys {
		for _, s := range benchSizes {
			keyring, content, p7s := benchCase(k.key, s.n)
			at := func(name string) string { return filepath.Join(dir, name) }
			os.WriteFile(at("keyring.pem"), keyring, 0o600)
			os.WriteFile(at("file"), content, 0o600)
			os.WriteFile(at("file.p7s"), p7s, 0o600)
			for _, c := range []struct {
				name string
				args []string
			}{
				{"openssl", []string{"openssl", "smime", "-verify", "-no_check_time", "-inform", "DER", "-CAfile", at("keyring.pem"), "-content", at("file"), "-in", at("file.p7s"), "-out", os.DevNull}},
				{"usbagent", []string{agent, "verify", "--keyring", at("keyring.pem"), at("file")}},
			} {
				b.Run(fmt.Sprintf("%s/%s/%s", k.name, s.name, c.name), func(b *testing.B) {
					for b.Loop() {
						if out, err := exec.Command(c.args[0], c.args[1:]...).CombinedOutput(); err != nil {
							b.Fatalf("%v\n%s", err, out)
						}
					}
				})
			}
		}
	}
}
