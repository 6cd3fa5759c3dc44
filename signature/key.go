// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MinRSABits is the smallest RSA key that counts. The reference command
	// takes any.
	MinRSABits = 2048
	// MaxRSABits is the largest RSA key, as in OpenSSL.
	MaxRSABits = 16384
)

// publicKey is the key of a certificate. value is nil where unusable or weak
// says why it verifies nothing.
type publicKey struct {
	alg      string // algorithm identifier
	value    crypto.PublicKey
	name     string
	unusable string
	weak     string
}

// readPublicKey takes a SubjectPublicKeyInfo off s. Only a wrong shape is an
// error: OpenSSL, too, reads certificates whose key it cannot use.
func readPublicKey(s *cryptobyte.String) (publicKey, error) {
	var spki cryptobyte.String
	var bits []byte
	if !s.ReadASN1(&spki, tagSequence) {
		return publicKey{}, fail(Malformed, "certificate without a public key")
	}
	alg, ok := readAlgorithm(&spki)
	if !ok || !spki.ReadASN1BitStringAsBytes(&bits) || !spki.Empty() {
		return publicKey{}, fail(Malformed, "certificate with a broken public key")
	}
	k := publicKey{alg: alg.oid}
	switch alg.oid {
	case oidRSA:
		k.readRSA(alg, bits)
	case oidEC:
		k.readEC(alg, bits)
	case oidEd25519:
		k.name = "Ed25519"
		if alg.params == nil && len(bits) == ed25519.PublicKeySize {
			k.value = ed25519.PublicKey(bits)
		} else {
			k.unusable = "its Ed25519 key is malformed"
		}
	default:
		k.name = keyNames[alg.oid]
		if k.name == "" {
			k.name = dotted(alg.oid)
		}
		k.unusable = "its key is of a kind that usbagent cannot use (" + k.name + ")"
	}
	return k, nil
}

// knownKeys are the kinds of keys of which it is known which signatures they
// can have made.
var knownKeys = map[string]bool{oidRSA: true, oidRSAPSS: true, oidEC: true, oidEd25519: true, oidEd448: true, oidDSA: true}

var keyNames = map[string]string{oidEd448: "Ed448", oidDSA: "DSA", oidRSAPSS: "RSA-PSS"}

func (k *publicKey) readRSA(alg algorithm, bits []byte) {
	k.name = "RSA"
	s := cryptobyte.String(bits)
	var body cryptobyte.String
	n, e := new(big.Int), new(big.Int)
	if walkDER(bits) != nil || !alg.plain() || !s.ReadASN1(&body, tagSequence) ||
		!body.ReadASN1Integer(n) || !body.ReadASN1Integer(e) || !body.Empty() || n.Sign() <= 0 || e.Sign() <= 0 {
		k.unusable = "its RSA key is malformed"
		return
	}
	k.name = fmt.Sprintf("RSA %d", n.BitLen())
	switch {
	case n.BitLen() < MinRSABits:
		k.weak = fmt.Sprintf("its RSA key has %d bits, %d are needed", n.BitLen(), MinRSABits)
	case n.BitLen() > MaxRSABits:
		k.unusable = fmt.Sprintf("its RSA key has %d bits, at most %d can be used", n.BitLen(), MaxRSABits)
	case e.BitLen() > 31 || e.Bit(0) == 0 || e.Cmp(big.NewInt(3)) < 0 || n.Bit(0) == 0:
		k.unusable = "its RSA key has an exponent or modulus that cannot be used"
	default:
		k.value = &rsa.PublicKey{N: n, E: int(e.Int64())}
	}
}

var curves = map[string]elliptic.Curve{
	oidP224: elliptic.P224(), oidP256: elliptic.P256(), oidP384: elliptic.P384(), oidP521: elliptic.P521(),
}

func (k *publicKey) readEC(alg algorithm, bits []byte) {
	k.name = "EC"
	s := cryptobyte.String(alg.params)
	oid, ok := readOID(&s)
	if !ok {
		k.unusable = "its elliptic curve is given by parameters instead of a name"
		return
	}
	curve := curves[oid]
	if curve == nil {
		k.name = "EC " + dotted(oid)
		k.unusable = "its key is on an elliptic curve that usbagent cannot use (" + dotted(oid) + ")"
		return
	}
	k.name = curve.Params().Name
	pub, err := ecdsa.ParseUncompressedPublicKey(curve, bits)
	if err != nil && len(bits) > 0 && bits[0] != 4 {
		if x, y := elliptic.UnmarshalCompressed(curve, bits); x != nil {
			//lint:ignore SA1019 there is no other way from a point in compressed form
			pub, err = ecdsa.ParseUncompressedPublicKey(curve, elliptic.Marshal(curve, x, y))
		}
	}
	if err != nil {
		k.unusable = "its key is not a point of its curve"
		return
	}
	k.value = pub
}

// kind returns the key's name for people.
func (k publicKey) kind() string { return k.name }

// fits reports whether a signature of the given algorithm can have been made
// by this kind of key.
func (k publicKey) fits(sigAlg string) bool {
	s, ok := schemes[sigAlg]
	return ok && (s.key == k.alg || s.key == oidRSAPSS && k.alg == oidRSA)
}

// verifyDigest checks a signature over a digest, as a SignerInfo has it.
func (k publicKey) verifyDigest(h crypto.Hash, digest, sig []byte) bool {
	switch pub := k.value.(type) {
	case *rsa.PublicKey:
		return verifyPKCS1v15(pub, h, digest, sig)
	case *ecdsa.PublicKey:
		return ecdsa.VerifyASN1(pub, digest, sig)
	}
	return false
}

// verifySigned checks the signature over the signed part of a certificate or
// CRL.
func (k publicKey) verifySigned(alg algorithm, signed, sig []byte) error {
	s, ok := schemes[alg.oid]
	switch {
	case !ok:
		return fail(Unsupported, "is signed with an algorithm that usbagent cannot check ("+dotted(alg.oid)+")")
	case s.weak != "":
		return fail(WeakDigest, "is signed with "+s.weak+", which is not accepted (use SHA-256 or better)")
	case !k.fits(alg.oid):
		return fail(BadSignature, "is signed with another kind of key than its issuer has")
	}
	good := false
	switch {
	case alg.oid == oidRSAPSS:
		return k.verifyPSS(alg, signed, sig)
	case alg.oid == oidEd25519:
		pub, isEd := k.value.(ed25519.PublicKey)
		good = isEd && alg.params == nil && ed25519.Verify(pub, signed, sig)
	default:
		if !alg.plain() {
			return fail(Malformed, "has a signature algorithm with parameters")
		}
		h := s.digest.New()
		h.Write(signed)
		good = k.verifyDigest(s.digest, h.Sum(nil), sig)
	}
	if !good {
		return fail(BadSignature, "was not signed by its issuer's key")
	}
	return nil
}

// verifyPSS checks an RSASSA-PSS signature (RFC 4055) whose parameters name one
// digest for everything.
func (k publicKey) verifyPSS(alg algorithm, signed, sig []byte) error {
	h, salt, err := readPSS(alg.params)
	if err != nil {
		return err
	}
	pub, ok := k.value.(*rsa.PublicKey)
	d := h.New()
	d.Write(signed)
	if !ok || rsa.VerifyPSS(pub, h, d.Sum(nil), sig, &rsa.PSSOptions{SaltLength: salt}) != nil {
		return fail(BadSignature, "was not signed by its issuer's key")
	}
	return nil
}

func readPSS(params []byte) (crypto.Hash, int, error) {
	bad := fail(Unsupported, "is signed with RSA-PSS parameters that usbagent cannot use")
	s := cryptobyte.String(params)
	var body, hashField, mgfField, saltField cryptobyte.String
	if !s.ReadASN1(&body, tagSequence) || !body.ReadASN1(&hashField, explicit(0)) ||
		!body.ReadASN1(&mgfField, explicit(1)) || !body.ReadASN1(&saltField, explicit(2)) || !body.Empty() {
		return 0, 0, bad // left out means SHA-1
	}
	hash, ok1 := readAlgorithm(&hashField)
	mgf, ok2 := readAlgorithm(&mgfField)
	mgfParams := cryptobyte.String(mgf.params)
	mgfHash, ok3 := readAlgorithm(&mgfParams)
	var salt int
	if !ok1 || !ok2 || !ok3 || !saltField.ReadASN1Integer(&salt) || salt <= 0 || salt > 512 ||
		mgf.oid != oidMGF1 || mgfHash.oid != hash.oid || !hash.plain() || !mgfHash.plain() || digests[hash.oid] == 0 {
		return 0, 0, bad
	}
	return digests[hash.oid], salt, nil
}
