// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"fmt"
	"math/big"
	"slices"
	"testing"
)

// rsaKey makes a key whose modulus has so many bits, and whose exponent is e.
func rsaKey(t *testing.T, bits int, e int64) *rsa.PrivateKey {
	t.Helper()
	for {
		p, err := rand.Prime(rand.Reader, (bits+1)/2)
		if err != nil {
			t.Fatal(err)
		}
		q, err := rand.Prime(rand.Reader, bits/2)
		if err != nil {
			t.Fatal(err)
		}
		n := new(big.Int).Mul(p, q)
		one := big.NewInt(1)
		phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(big.NewInt(e), phi)
		if d != nil && n.BitLen() == bits && p.Cmp(q) != 0 {
			return &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e)}, D: d, Primes: []*big.Int{p, q}}
		}
	}
}

// What the library says is what we say, of good signatures and of those that
// whoever has the private key made of anything else.
func TestPKCS1v15LikeTheLibrary(t *testing.T) {
	for _, c := range []struct {
		bits int
		e    int64
	}{{2048, 65537}, {2048, 3}, {2049, 65537}, {2055, 17}, {3072, 65537}, {4096, 1<<31 - 1}} {
		t.Run(fmt.Sprintf("%d bits, exponent %d", c.bits, c.e), func(t *testing.T) {
			key := rsaKey(t, c.bits, c.e)
			pub := &key.PublicKey
			raw := func(em []byte) []byte { // the private operation, of anything
				s := new(big.Int).SetBytes(em)
				return s.Exp(s, key.D, key.N).FillBytes(make([]byte, pub.Size()))
			}
			for _, h := range digests {
				if c.bits != 2048 && h != crypto.SHA256 {
					continue
				}
				digest := make([]byte, h.Size())
				rand.Read(digest)
				em := encodePKCS1v15(pub.Size(), h, digest)
				sig := raw(em)
				compareRSA(t, pub, h, digest, sig, true)
				own, err := rsa.SignPKCS1v15(nil, key, h, digest)
				if err != nil || !bytes.Equal(own, sig) {
					t.Fatalf("%v: the library signs in another way: %v", h, err)
				}
				for _, other := range digests {
					if other != h {
						compareRSA(t, pub, other, digest, sig, false)
						compareRSA(t, pub, other, make([]byte, other.Size()), sig, false)
					}
				}
				compareRSA(t, pub, h, digest[1:], sig, false)
				compareRSA(t, pub, h, append(digest, 0), sig, false)
				compareRSA(t, pub, h, nil, sig, false)
				compareRSA(t, pub, h, digest, nil, false)
				compareRSA(t, pub, h, digest, sig[1:], false)
				compareRSA(t, pub, h, digest, append([]byte{0}, sig...), false)
				compareRSA(t, pub, h, digest, append(slices.Clone(sig), 0), false)
				compareRSA(t, pub, h, digest, make([]byte, len(sig)), false)
				compareRSA(t, pub, h, digest, bytes.Repeat([]byte{0xff}, len(sig)), false)
				if more := new(big.Int).Add(new(big.Int).SetBytes(sig), pub.N); more.BitLen() <= 8*len(sig) {
					compareRSA(t, pub, h, digest, more.FillBytes(make([]byte, len(sig))), false) // the same number, modulo N
				}
				for i := range em { // every byte of what is signed counts
					if bent := slices.Clone(em); i > 0 && (i%7 == 1 || i > len(em)-len(digest)-25) {
						bent[i] ^= 1 << (i % 8)
						compareRSA(t, pub, h, digest, raw(bent), false)
					}
				}
				info := em[bytes.IndexByte(em[2:], 0)+3:]
				for _, text := range [][]byte{
					slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, 8), []byte{0}, info, make([]byte, len(em)-len(info)-11)), // what follows is not free
					slices.Concat([]byte{0, 2}, em[2:]), // encryption's padding
					slices.Concat([]byte{0, 1}, make([]byte, len(em)-len(info)-3), []byte{0}, info),
					slices.Concat(make([]byte, len(em)-len(info)), info),
					slices.Concat(em[:2], em[3:], em[:1]),
				} {
					compareRSA(t, pub, h, digest, raw(text), false)
				}
				bare := slices.Concat([]byte{byte(tagSequence), info[1] - 2, byte(tagSequence), info[3] - 2}, info[4:len(info)-len(digest)-4], info[len(info)-len(digest)-2:])
				compareRSA(t, pub, h, digest, raw(slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, len(em)-len(bare)-3), []byte{0}, bare)), false) // no NULL
			}
			compareRSA(t, pub, crypto.SHA1, make([]byte, 20), make([]byte, pub.Size()), false)
		})
	}
}

func compareRSA(t *testing.T, pub *rsa.PublicKey, h crypto.Hash, digest, sig []byte, want bool) {
	t.Helper()
	library := rsa.VerifyPKCS1v15(pub, h, digest, sig) == nil
	if got := verifyPKCS1v15(pub, h, digest, sig); got != library || got != want {
		t.Fatalf("%v, %d bytes of signature: we say %v, the library %v, want %v", h, len(sig), got, library, want)
	}
}

// A modulus that cannot hold what is signed is no reason to stop.
func TestPKCS1v15TooSmall(t *testing.T) {
	digest := make([]byte, crypto.SHA512.Size())
	for _, size := range []int{0, 1, 10, 61, 93} {
		if em := encodePKCS1v15(size, crypto.SHA512, digest); em != nil {
			t.Errorf("%d bytes: %x", size, em)
		}
	}
	if em := encodePKCS1v15(94, crypto.SHA512, digest); len(em) != 94 {
		t.Errorf("94 bytes: %x", em)
	}
}
