// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"math/big"

	public "usbagent/internal/rsa"
)

// verifyPKCS1v15 reports what rsa.VerifyPKCS1v15 does, an RSASSA-PKCS1-v1_5
// signature being good (RFC 8017, 8.2.2). The latter's arithmetic keeps numbers
// secret, and takes six times as long on ARMv7 (docs/performance.md); here is
// nothing that is secret. What the signature has to contain is put together and
// compared whole, so that no byte of it is free.
func verifyPKCS1v15(pub *rsa.PublicKey, h crypto.Hash, digest, sig []byte) bool {
	want := encodePKCS1v15(pub.Size(), h, digest)
	s := new(big.Int).SetBytes(sig)
	if want == nil || len(sig) != len(want) || s.Cmp(pub.N) >= 0 {
		return false
	}
	s = public.VP1(pub.N, pub.E, s)
	return bytes.Equal(s.FillBytes(make([]byte, len(want))), want)
}

// encodePKCS1v15 is EMSA-PKCS1-v1_5 (RFC 8017, 9.2), in size bytes: nil where
// these do not suffice, or where the digest is none of h's.
func encodePKCS1v15(size int, h crypto.Hash, digest []byte) []byte {
	for oid, known := range digests {
		if known != h || len(digest) != h.Size() {
			continue
		}
		algorithm := appendElement(appendElement(nil, byte(tagOID), []byte(oid)), byte(tagNull), nil)
		info := appendElement(appendElement(nil, byte(tagSequence), algorithm), byte(tagOctetString), digest)
		info = appendElement(nil, byte(tagSequence), info)
		pad := size - len(info) - 3
		if pad < 8 {
			return nil
		}
		return append(append(append([]byte{0, 1}, bytes.Repeat([]byte{0xff}, pad)...), 0), info...)
	}
	return nil
}
