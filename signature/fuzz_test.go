// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"os"
	"testing"
)

// corpusSeeds calls add with every case of the corpus, and fails when there are
// none.
func corpusSeeds(f *testing.F, add func(c vcase)) {
	n := 0
	for _, class := range corpusClasses {
		class.make(func(c vcase) {
			if c.content == nil {
				c.content = script
			}
			if len(c.p7s)+len(c.keyring) < 64<<10 {
				n++
				add(c)
			}
		})
	}
	if n < minCorpus {
		f.Fatalf("%d seeds", n)
	}
}

// FuzzVerify looks for a signature that is accepted though nobody made it: with
// the corpus's own keyring, only the contents that its keys ever signed can be
// good, whatever the signature says.
func FuzzVerify(f *testing.F) {
	signed := map[[32]byte]bool{}
	corpusSeeds(f, func(c vcase) {
		f.Add(c.content, c.p7s)
		if c.want == "" {
			signed[[32]byte(digestOf(crypto.SHA256, c.content))] = true
		}
	})
	for _, p7s := range nastyMessages() {
		f.Add(script, p7s)
	}
	k, err := ParseKeyring(ring)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, content, p7s []byte) {
		v, err := Verify(k, NewContent("x", content), p7s, Options{})
		switch {
		case err == nil && !signed[v.SHA256()]:
			t.Fatalf("accepted: %q", content)
		case err != nil && (v != nil || ReasonOf(err) == "" || ReasonOf(err) == Internal || err.Error() == ""):
			t.Fatalf("an error without reason: %v", err)
		}
		b, err := VerifyBundle(k, p7s, Options{CheckCRL: true, AllowPartialChain: true, Purpose: AnyUse})
		if ReasonOf(err) == Internal {
			t.Fatal(err)
		}
		if err == nil && b.Manifest == nil && len(b.Sum) != b.Hash.Size() {
			t.Fatalf("a bundle without content: %+v", b)
		}
	})
}

// FuzzParseKeyring checks that a keyring survives being written out again.
func FuzzParseKeyring(f *testing.F) {
	corpusSeeds(f, func(c vcase) { f.Add(c.keyring) })
	for name, b := range nastyKeyrings() {
		if len(b) < 64<<10 {
			f.Add(b)
		}
		_ = name
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		k, err := ParseKeyring(b)
		if err != nil {
			if ReasonOf(err) == "" || ReasonOf(err) == Internal || k != nil {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		var ders [][]byte
		for _, c := range k.certs {
			ders = append(ders, c.raw)
			if c.trusted != nil {
				return
			}
		}
		again, err := ParseKeyring(pemOf(ders...))
		if err != nil || !again.Equal(k) || !k.Equal(again) {
			t.Fatalf("not the same again: %v", err)
		}
		k.CheckAnchor(Options{})
		Confusions(b)
		Verify(k, NewContent("x", script), message(script, leafDER, "p256-2"), Options{CheckCRL: true})
	})
}

// FuzzParseSigningKey: a key file of any kind gives a key or a reason.
func FuzzParseSigningKey(f *testing.F) {
	files, err := os.ReadDir("testdata/keys")
	if err != nil || len(files) < 10 {
		f.Fatal("no seeds", err)
	}
	for _, e := range files {
		b, _ := os.ReadFile("testdata/keys/" + e.Name())
		f.Add(b)
	}
	f.Add(mustRun(nil, "openssl", "pkcs8", "-topk8", "-in", key("p256-1").file, "-v2", "aes-256-cbc", "-iter", "10", "-passout", "pass:x"))
	f.Add(mustRun(nil, "openssl", "pkcs8", "-topk8", "-in", key("p256-1").file, "-scrypt", "-scrypt_N", "16", "-passout", "pass:x"))
	f.Add(mustRun(nil, "openssl", "pkey", "-in", key("p256-1").file, "-traditional", "-aes128", "-passout", "pass:x"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if costly(b) {
			return
		}
		k, err := ParseSigningKey(b, func() ([]byte, error) { return []byte("x"), nil })
		if (k == nil) == (err == nil) || ReasonOf(err) == Internal || err != nil && ReasonOf(err) == "" {
			t.Fatalf("%v, %v", k, err)
		}
	})
}

// costly keeps the fuzzer from asking for millions of rounds, which an owner's
// own key file may ask for.
func costly(b []byte) bool {
	return bytes.Contains(b, []byte(oidPBKDF2)) && bytes.Contains(b, []byte{2, 4}) || bytes.Contains(b, []byte("ENCRYPTED PRIVATE KEY"))
}

// FuzzWalkDER: what the walk accepts is a whole tree, so the editing tools take
// it apart and put it together again without change.
func FuzzWalkDER(f *testing.F) {
	corpusSeeds(f, func(c vcase) { f.Add(c.p7s) })
	f.Fuzz(func(t *testing.T, b []byte) {
		if d, err := definite(b); err == nil {
			if again, err := definite(d); err != nil || !bytes.Equal(again, d) {
				t.Fatalf("rewritten twice: %v", err)
			}
		}
		if walkDER(b) != nil || b[0]&0x20 == 0 {
			return
		}
		if !bytes.Equal(reassemble(b), b) {
			t.Fatalf("not the same again: %x", b)
		}
	})
}

func reassemble(e []byte) []byte {
	if e[0]&0x20 == 0 {
		return e
	}
	var parts [][]byte
	for _, c := range children(e) {
		parts = append(parts, reassemble(c))
	}
	return tlv(e[0], parts...)
}
