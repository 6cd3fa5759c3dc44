// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"usbagent/test/need"
)

// smallMessage is a signature of few bytes: no attributes, short names.
func smallMessage() (keyring, p7s []byte) {
	root := certDef{subject: dn("CN=R"), key: "p256-1", serial: integer(1), ext: [][]byte{basic(true, -1)}}
	low := certDef{subject: dn("CN=S"), key: "p256-2", serial: integer(2), issuer: root.subject, by: "p256-1", ext: [][]byte{keyUsage(usageSignature)}}
	der := low.der()
	return pemOf(root.der()), messageDef{certs: [][]byte{der}, signers: [][]byte{signerDef{cert: der, key: "p256-2", content: script, noAttrs: true}.der()}}.der()
}

// both runs the reference and us on many variants of one signature, on several
// processors, and calls judge with both verdicts.
func both(t *testing.T, keyring []byte, variants [][]byte, judge func(i int, ours error, ref bool)) {
	t.Helper()
	need.Tool(t, "openssl")
	k, err := ParseKeyring(keyring)
	if err != nil {
		t.Fatal(err)
	}
	next := make(chan int)
	var wg sync.WaitGroup
	var mu sync.Mutex
	for range 3 {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "keyring.pem"), keyring, 0o600)
		os.WriteFile(filepath.Join(dir, "content"), script, 0o600)
		wg.Go(func() {
			for i := range next {
				if err := os.WriteFile(filepath.Join(dir, "content.p7s"), variants[i], 0o600); err != nil {
					t.Error(err)
					continue
				}
				ref, _ := runReference(t, dir, Options{})
				_, ours := Verify(k, NewContent("x", script), variants[i], Options{})
				mu.Lock()
				judge(i, ours, ref)
				mu.Unlock()
			}
		})
	}
	for i := range variants {
		next <- i
	}
	close(next)
	wg.Wait()
}

// TestCutAtEveryByte: a signature that is not whole is none.
func TestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	good := message(script, leafDER, "p256-2")
	var variants [][]byte
	for n := range len(good) {
		variants = append(variants, good[:n])
	}
	both(t, ring, variants, func(i int, ours error, ref bool) {
		if ReasonOf(ours) != NotDER || ref {
			t.Errorf("cut after %d bytes: %v, reference %v", i, ours, ref)
		}
	})
}

// TestEveryFlippedBit flips each bit of a small signature. What is still
// accepted must be accepted by the reference too; what only the reference
// accepts must fall under a row of docs/signatures.md, which the reasons here
// stand for.
func TestEveryFlippedBit(t *testing.T) {
	t.Parallel()
	keyring, good := smallMessage()
	var variants [][]byte
	for i := range len(good) * 8 {
		v := slices.Clone(good)
		v[i/8] ^= 1 << (i % 8)
		variants = append(variants, v)
	}
	rows := map[Reason]string{
		Malformed: "s-parameters s-contradiction", Unsupported: "s-algorithms s-contradiction", NotDER: "s-ber", WeakDigest: "s-weak-digest",
	}
	accepted, stricter := 0, map[Reason][]int{}
	both(t, keyring, variants, func(i int, ours error, ref bool) {
		switch {
		case ours == nil && !ref:
			t.Errorf("bit %d of byte %d (%02x): accepted, the reference rejects", i%8, i/8, good[i/8])
		case ours == nil:
			accepted++
		case ref && rows[ReasonOf(ours)] == "":
			t.Errorf("bit %d of byte %d (%02x): the reference accepts: %v", i%8, i/8, good[i/8], ours)
		case ref:
			stricter[ReasonOf(ours)] = append(stricter[ReasonOf(ours)], i)
		}
	})
	t.Logf("%d bits: %d harmless for both, stricter than the reference: %v", len(variants), accepted, stricter)
}
