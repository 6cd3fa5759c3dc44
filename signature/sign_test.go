// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"usbagent/test/need"
)

const passphrase = "correct horse"

// keyFiles are private keys in every form that people have, made by openssl
// from the test keys.
func keyFiles(t *testing.T) map[string][]byte {
	t.Helper()
	dir := t.TempDir()
	run := func(args ...string) []byte { return mustRun(nil, "openssl", args...) }
	der := func(file string) []byte {
		b, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	files := map[string][]byte{}
	for _, k := range []string{"rsa2048-1", "rsa3072", "rsa4096", "p256-1", "p384", "p521", "p224"} {
		f := key(k).file
		p8 := run("pkey", "-in", f)
		files[k+" PKCS#8"] = p8
		files[k+" PKCS#8 DER"] = run("pkey", "-in", f, "-outform", "DER")
		files[k+" traditional"] = run("pkey", "-in", f, "-traditional")
		files[k+" CRLF"] = bytes.ReplaceAll(p8, []byte("\n"), []byte("\r\n"))
		files[k+" text before"] = run("pkey", "-in", f, "-text")
	}
	for _, k := range []string{"rsa2048-1", "p256-1"} {
		f := key(k).file
		for name, args := range map[string][]string{
			"aes-128": {"-v2", "aes-128-cbc"}, "aes-192": {"-v2", "aes-192-cbc"}, "aes-256": {"-v2", "aes-256-cbc"}, "des3": {"-v2", "des3"},
			"SHA-1": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA1"}, "SHA-512": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"},
			"SHA-224": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA224"}, "SHA-384": {"-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA384"},
			"scrypt": {"-scrypt"}, "many rounds": {"-v2", "aes-256-cbc", "-iter", "100000"},
		} {
			pem := run(append([]string{"pkcs8", "-topk8", "-in", f, "-passout", "pass:" + passphrase}, args...)...)
			files[k+" encrypted "+name] = pem
		}
		run("pkcs8", "-topk8", "-in", f, "-passout", "pass:"+passphrase, "-outform", "DER", "-out", filepath.Join(dir, "enc.der"))
		files[k+" encrypted DER"] = der("enc.der")
		for _, cipher := range []string{"-aes128", "-aes256", "-des3"} {
			files[k+" encrypted traditional"+cipher] = run("pkey", "-in", f, "-traditional", cipher, "-passout", "pass:"+passphrase)
		}
	}
	files["p256-1 SEC 1 with parameters"] = append(run("ecparam", "-name", "prime256v1"), run("ec", "-in", key("p256-1").file)...)
	return files
}

// TestSignWithEveryKindOfKey signs with each key file; the reference command
// and Verify accept what is made.
func TestSignWithEveryKindOfKey(t *testing.T) {
	t.Parallel()
	need.Tool(t, "openssl")
	certs := map[string][]byte{}
	for name, file := range keyFiles(t) {
		k, _, _ := strings.Cut(name, " ")
		if certs[k] == nil {
			certs[k] = leafDef("Signer "+k, k, ca).der()
		}
		asked := 0
		sk, err := ParseSigningKey(file, func() ([]byte, error) { asked++; return []byte(passphrase), nil })
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if encrypted := strings.Contains(name, "encrypted"); encrypted != (asked == 1) {
			t.Errorf("%s: asked %d times for the passphrase", name, asked)
		}
		board, _ := ParseKeyring(ring)
		p7s, err := Sign(script, SignOptions{Key: sk, Certificate: pemOf(certs[k]), Keyring: board})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if ok, said := reference(t, vcase{keyring: ring, content: script, p7s: p7s}); !ok {
			t.Errorf("%s: the reference rejects what was made: %s", name, said)
		}
		if strings.Contains(name, "encrypted") {
			_, err := ParseSigningKey(file, func() ([]byte, error) { return []byte("wrong"), nil })
			if ReasonOf(err) != BadPassphrase {
				t.Errorf("%s with a wrong passphrase: %v", name, err)
			}
			if _, err := ParseSigningKey(file, nil); ReasonOf(err) != BadPassphrase {
				t.Errorf("%s without a passphrase: %v", name, err)
			}
			broken := errors.New("no terminal")
			if _, err := ParseSigningKey(file, func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
				t.Errorf("%s without a terminal: %v", name, err)
			}
		}
	}
}

// TestSignRefuses what a board could not verify.
func TestSignRefuses(t *testing.T) {
	need.Tool(t, "openssl")
	read := func(name string) []byte { b, _ := os.ReadFile(key(name).file); return b }
	for name, want := range map[string]Reason{"ed25519": Unsupported, "ed448": Unsupported, "rsa1024": WeakKey, "rsa512": WeakKey, "brainpool": Unsupported, "secp256k1": Unsupported, "p256explicit": Unsupported, "dsa": Unsupported, "rsapss": Unsupported} {
		if _, err := ParseSigningKey(read(name), nil); ReasonOf(err) != want {
			t.Errorf("key %s: %v, want %q", name, err, want)
		}
	}
	for name, b := range map[string][]byte{"empty": nil, "text": []byte("hello"), "certificate": ring, "DER certificate": caDER, "broken": pemBlockOf("PRIVATE KEY", []byte("x")), "public": pemBlockOf("PUBLIC KEY", key("p256-1").spki)} {
		if _, err := ParseSigningKey(b, nil); ReasonOf(err) != BadKey {
			t.Errorf("key file %s: %v", name, err)
		}
	}
	if _, err := ParseSigningKey(make([]byte, MaxKeySize+1), nil); ReasonOf(err) != TooLarge {
		t.Errorf("huge key file: %v", err)
	}
	sk, err := ParseSigningKey(read("p256-2"), nil)
	if err != nil {
		t.Fatal(err)
	}
	board, _ := ParseKeyring(ring)
	stranger, _ := ParseKeyring(pemOf(caDef("Stranger", "p256-5").der()))
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), ski("p256-3"), aki("p256-1"))
	low := leafDef("Low", "p256-2", inter).der()
	for _, c := range []struct {
		name string
		o    SignOptions
		want Reason
	}{
		{"good", SignOptions{Key: sk, Certificate: pemOf(leafDER), Keyring: board}, ""},
		{"good, DER certificate", SignOptions{Key: sk, Certificate: leafDER}, ""},
		{"without the board's keyring", SignOptions{Key: sk, Certificate: pemOf(leafDER)}, ""},
		{"no key", SignOptions{Certificate: pemOf(leafDER)}, BadKey},
		{"no certificate", SignOptions{Key: sk}, NoCertificate},
		{"another's certificate", SignOptions{Key: sk, Certificate: ring}, KeyMismatch},
		{"TLS certificate", SignOptions{Key: sk, Certificate: pemOf(leafDef("TLS", "p256-2", ca).with(extUsage(false, ekuServerAuth)).der())}, PurposeMismatch},
		{"TLS certificate for a board with purpose any", SignOptions{Key: sk, Certificate: pemOf(leafDef("TLS", "p256-2", ca).with(extUsage(false, ekuServerAuth)).der()), Verify: Options{Purpose: AnyUse}}, ""},
		{"code signing certificate for codesign", SignOptions{Key: sk, Certificate: pemOf(leafDef("Code", "p256-2", ca).with(extUsage(false, ekuCodeSign)).der()), Keyring: board, Verify: Options{Purpose: CodeSign}}, ""},
		{"plain certificate for codesign", SignOptions{Key: sk, Certificate: pemOf(leafDER), Verify: Options{Purpose: CodeSign}}, PurposeMismatch},
		{"encryption certificate", SignOptions{Key: sk, Certificate: pemOf(leafDef("Enc", "p256-2", ca).extOnly(keyUsage(0x20)).der())}, PurposeMismatch},
		{"keyring of others", SignOptions{Key: sk, Certificate: pemOf(leafDER), Keyring: stranger}, UntrustedIssuer},
		{"chain missing", SignOptions{Key: sk, Certificate: pemOf(low), Keyring: board}, UntrustedIssuer},
		{"chain", SignOptions{Key: sk, Certificate: pemOf(low), Chain: pemOf(inter.der()), Keyring: board}, ""},
		{"chain with the root and the signer", SignOptions{Key: sk, Certificate: pemOf(low), Chain: pemOf(low, inter.der(), caDER), Keyring: board}, ""},
		{"chain broken", SignOptions{Key: sk, Certificate: pemOf(low), Chain: []byte("hello"), Keyring: board}, NoCertificate},
		{"pinned to another", SignOptions{Key: sk, Certificate: pemOf(leafDER), Keyring: board, Verify: Options{Signers: []Fingerprint{{1}}}}, Pinned},
	} {
		p7s, err := Sign(script, c.o)
		if ReasonOf(err) != c.want {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
		if err == nil && c.o.Keyring != nil && c.o.Verify.Purpose == "" {
			if ok, said := reference(t, vcase{keyring: ring, content: script, p7s: p7s}); !ok {
				t.Errorf("%s: the reference rejects what was made: %s", c.name, said)
			}
		}
		if err != nil && p7s != nil {
			t.Errorf("%s: a signature beside an error", c.name)
		}
	}
}

// TestSigningKeyTellsNothing: a key in a message shows nothing of itself.
func TestSigningKeyTellsNothing(t *testing.T) {
	b, _ := os.ReadFile(key("p256-1").file)
	sk, err := ParseSigningKey(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{sk.String(), fmt.Sprintf("%v", sk)} {
		if text != "signing key (*ecdsa.PublicKey)" {
			t.Errorf("%q", text)
		}
	}
}
