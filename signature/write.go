// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"sort"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// makeSignature writes a detached SignedData with one signer (RFC 5652, 5.1), in DER,
// as PKCS#7 has it: versions 1, the content's type data, the signer named by issuer
// and serial number, its certificate and those of chain, and three signed attributes:
// the content's type, its digest, and the time at.
func makeSignature(content []byte, key *SigningKey, own *cert, chain *Keyring, at time.Time) ([]byte, error) {
	hash := key.digest()
	attributes, err := signedAttributes(hashed(hash, content), at)
	if err != nil {
		return nil, err
	}
	// Signed is the set, whatever tag it has in the message (RFC 5652, 5.4).
	set, err := element(cbasn1.SET, attributes)
	if err != nil {
		return nil, err
	}
	value, err := key.signer.Sign(rand.Reader, hashed(hash, set), hash)
	if err != nil {
		return nil, err
	}
	certificates := bytes.Clone(own.raw)
	if chain != nil {
		for _, c := range chain.certs {
			if !bytes.Equal(c.raw, own.raw) {
				certificates = append(certificates, c.raw...)
			}
		}
	}
	tag0 := cbasn1.Tag(0).Constructed().ContextSpecific()
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		addOID(b, oidSignedData)
		b.AddASN1(tag0, func(b *cryptobyte.Builder) {
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1Int64(1)
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) { addAlgorithm(b, digestOID(hash)) })
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oidData) })
				b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(certificates) })
				b.AddASN1(cbasn1.SET, func(b *cryptobyte.Builder) {
					b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
						b.AddASN1Int64(1)
						b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
							b.AddBytes(own.issuer.raw)
							b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(own.serial) })
						})
						addAlgorithm(b, digestOID(hash))
						b.AddASN1(tag0, func(b *cryptobyte.Builder) { b.AddBytes(attributes) })
						addAlgorithm(b, key.algorithm())
						b.AddASN1OctetString(value)
					})
				})
			})
		})
	})
	return b.Bytes()
}

// signedAttributes returns the attributes (RFC 5652, 11.1 to 11.3) in the order
// that DER demands of a set, without the set's header.
func signedAttributes(digest []byte, at time.Time) ([]byte, error) {
	var list [][]byte
	for _, a := range []struct {
		oid   string
		value func(b *cryptobyte.Builder)
	}{
		{oidContentType, func(b *cryptobyte.Builder) { addOID(b, oidData) }},
		{oidMessageDigest, func(b *cryptobyte.Builder) { b.AddASN1OctetString(digest) }},
		{oidSigningTime, func(b *cryptobyte.Builder) { addTime(b, at.UTC()) }},
	} {
		var b cryptobyte.Builder
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addOID(b, a.oid)
			b.AddASN1(cbasn1.SET, a.value)
		})
		der, err := b.Bytes()
		if err != nil {
			return nil, err
		}
		list = append(list, der)
	}
	sort.Slice(list, func(i, k int) bool { return bytes.Compare(list[i], list[k]) < 0 })
	return bytes.Join(list, nil), nil
}

// addTime writes a time as RFC 5652, 11.3 demands: UTCTime while that has a year for it.
func addTime(b *cryptobyte.Builder, at time.Time) {
	if at.Year() < 2050 {
		b.AddASN1UTCTime(at)
		return
	}
	b.AddASN1GeneralizedTime(at)
}

// addAlgorithm writes an AlgorithmIdentifier without parameters.
func addAlgorithm(b *cryptobyte.Builder, oid string) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addOID(b, oid) })
}

func addOID(b *cryptobyte.Builder, oid string) {
	b.AddASN1(cbasn1.OBJECT_IDENTIFIER, func(b *cryptobyte.Builder) { b.AddBytes([]byte(oid)) })
}

func element(tag cbasn1.Tag, content []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(tag, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	return b.Bytes()
}

func hashed(hash crypto.Hash, content []byte) []byte {
	h := newDigest(hash)
	h.Write(content)
	return h.Sum(nil)
}

// digestOID is the name of a digest that keys sign with.
func digestOID(hash crypto.Hash) string {
	switch hash {
	case crypto.SHA512:
		return oidSHA512
	case crypto.SHA384:
		return oidSHA384
	}
	return oidSHA256
}

// algorithm is the name of the key's kind with the digest that suits it.
func (k *SigningKey) algorithm() string {
	if _, ok := k.signer.Public().(*ecdsa.PublicKey); !ok {
		return oidRSASHA256
	}
	switch k.digest() {
	case crypto.SHA512:
		return oidECDSA512
	case crypto.SHA384:
		return oidECDSA384
	}
	return oidECDSA256
}
