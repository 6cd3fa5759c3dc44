// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"time"
)

// SignOptions say who signs and how.
type SignOptions struct {
	Key         *SigningKey
	Certificate []byte   // the signer's certificate, PEM or DER
	Chain       []byte   // further certificates to put into the signature, PEM; may be nil
	Verify      Options  // what the board will demand; the result is checked against it
	Keyring     *Keyring // the board's keyring, when it is at hand: the result must verify with it
}

// Sign makes the detached signature of content, the DER that goes into
// FILE.p7s. The digest follows the key: SHA-256, or SHA-384 and SHA-512 for
// P-384 and P-521.
//
// It refuses what the board could not verify: Ed25519 and short RSA keys, a key
// that does not belong to the certificate, a certificate for another purpose.
// Before it returns, it verifies what it made, with o.Keyring where that is
// given. Content is read, not kept.
func Sign(content []byte, o SignOptions) ([]byte, error) {
	p7s, err := safely(func() ([]byte, error) { return sign(content, o) })
	if err != nil {
		return nil, during("sign", err)
	}
	return p7s, nil
}

func sign(content []byte, o SignOptions) ([]byte, error) {
	own, err := signerCertificate(o)
	if err != nil {
		return nil, err
	}
	var chain *Keyring
	if len(bytes.TrimSpace(o.Chain)) > 0 {
		if chain, err = parseKeyring(o.Chain); err != nil {
			return nil, fail(ReasonOf(err), "chain: "+TextOf(err))
		}
	}
	p7s, err := makeSignature(content, o.Key, own, chain, time.Now())
	if err != nil {
		return nil, &Error{Reason: Unsupported, Text: "make the signature: " + err.Error(), Err: err}
	}
	return p7s, checkMade(content, p7s, own, o)
}

// signerCertificate reads the signer's certificate and refuses one that does
// not fit the key or the purpose.
func signerCertificate(o SignOptions) (*cert, error) {
	if o.Key == nil {
		return nil, fail(BadKey, "no signing key")
	}
	own, err := readOneCertificate(o.Certificate)
	if err != nil {
		return nil, fail(ReasonOf(err), "certificate: "+TextOf(err))
	}
	if err := usable(own); err != nil {
		return nil, err
	}
	pub, ok := o.Key.signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !pub.Equal(own.key.value) {
		return nil, fail(KeyMismatch, "the key does not belong to the certificate "+quoteSubject(own))
	}
	if err := o.Verify.Purpose.check(own, false); err != nil {
		return nil, err
	}
	return own, nil
}

// readOneCertificate reads the first certificate of a PEM file, or a DER one.
func readOneCertificate(b []byte) (*cert, error) {
	if len(b) > 0 && b[0] == 0x30 {
		return parseCert(b)
	}
	k, err := parseKeyring(b)
	if err != nil {
		return nil, err
	}
	return k.certs[0], nil
}

// digest is the digest that suits the key.
func (k *SigningKey) digest() crypto.Hash {
	if pub, ok := k.signer.Public().(*ecdsa.PublicKey); ok {
		switch bits := pub.Curve.Params().BitSize; {
		case bits > 384:
			return crypto.SHA512
		case bits > 256:
			return crypto.SHA384
		}
	}
	return crypto.SHA256
}

// checkMade verifies what was made: with the board's keyring, or, where that is
// not at hand, with the signer's own certificate as trust.
func checkMade(content, p7s []byte, own *cert, o SignOptions) error {
	k, opts := o.Keyring, o.Verify
	if k == nil {
		k, opts = &Keyring{certs: []*cert{own}}, Options{Purpose: o.Verify.Purpose, AllowPartialChain: true}
	}
	if _, err := verify(k, NewContent("content", content), p7s, opts); err != nil {
		return &Error{Reason: ReasonOf(err), Text: "a board with this keyring would refuse the signature: " + TextOf(err), Err: err}
	}
	return nil
}

// usableForSigning refuses keys whose signatures the board cannot verify.
func usableForSigning(key any) (crypto.Signer, error) {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() < MinRSABits {
			return nil, fail(WeakKey, "the RSA key is shorter than 2048 bits")
		}
		return k, nil
	case *ecdsa.PrivateKey:
		return k, nil
	case crypto.Signer:
		return nil, fail(Unsupported, "this is an Ed25519 key (or another kind that openssl smime cannot verify): use RSA or ECDSA")
	}
	return nil, fail(Unsupported, "this kind of key cannot sign: use RSA or ECDSA")
}
