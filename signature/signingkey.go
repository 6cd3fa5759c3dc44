// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
)

// SigningKey is a private key that can make signatures the board verifies.
// Its String says nothing about the key itself.
type SigningKey struct {
	signer crypto.Signer
}

// String returns the kind of key, never its value.
func (k *SigningKey) String() string { return fmt.Sprintf("signing key (%T)", k.signer.Public()) }

// NewSigningKey wraps a key that lives elsewhere (a token, an HSM).
func NewSigningKey(s crypto.Signer) *SigningKey { return &SigningKey{signer: s} }

// MaxKeySize bounds a private key file, in bytes.
const MaxKeySize = 1 << 20

// ParseSigningKey reads an RSA or ECDSA private key: PKCS#1, PKCS#8 or SEC 1,
// PEM or DER, encrypted (PKCS#8 PBES2, or the old PEM header) or not. passphrase
// is called at most once, and only for an encrypted key; nil means there is
// none. The bytes it returns are overwritten after use.
//
// Reasons: [BadKey], [BadPassphrase], [Unsupported] (Ed25519 and others that
// the reference command cannot verify), [WeakKey].
func ParseSigningKey(b []byte, passphrase func() ([]byte, error)) (*SigningKey, error) {
	k, err := safely(func() (*SigningKey, error) { return parseSigningKey(b, passphrase) })
	if err != nil {
		return nil, during("read signing key", err)
	}
	return k, nil
}

func parseSigningKey(b []byte, passphrase func() ([]byte, error)) (*SigningKey, error) {
	if len(b) > MaxKeySize {
		return nil, fail(TooLarge, fmt.Sprintf("%d bytes, at most %d are read", len(b), MaxKeySize))
	}
	der, encrypted, err := keyBytes(b, passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(der)
	key, err := parseAnyKey(der)
	if err != nil && encrypted {
		return nil, fail(BadPassphrase, "wrong passphrase, or the key is damaged")
	}
	if kind := foreignKey(der); err != nil && kind != "" {
		return nil, fail(Unsupported, "this is "+kind+", which the board cannot verify: use RSA, or ECDSA on P-256")
	}
	if err != nil {
		return nil, &Error{Reason: BadKey, Text: "not a private key that can be read (PKCS#1, PKCS#8 or SEC 1)", Err: err}
	}
	s, err := usableForSigning(key)
	if err != nil {
		return nil, err
	}
	return &SigningKey{signer: s}, nil
}

// keyBytes returns the DER of the key, decrypted.
func keyBytes(b []byte, passphrase func() ([]byte, error)) (der []byte, encrypted bool, err error) {
	if len(b) > 0 && b[0] == 0x30 {
		if looksEncrypted(b) {
			der, err = decryptPKCS8(b, passphrase)
			return der, true, err
		}
		return bytes.Clone(b), false, nil
	}
	for rest := b; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return nil, false, fail(BadKey, "there is no private key in it")
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			der, err = decryptPKCS8(block.Bytes, passphrase)
			return der, true, err
		case !bytes.HasSuffix([]byte(block.Type), []byte("PRIVATE KEY")):
			continue // EC PARAMETERS, certificates
		//lint:ignore SA1019 such files exist
		case x509.IsEncryptedPEMBlock(block):
			der, err = decryptOldPEM(block, passphrase)
			return der, true, err
		}
		return block.Bytes, false, nil
	}
}

// decryptOldPEM decrypts a key with a DEK-Info header, as openssl genrsa -aes128
// wrote them before version 3.
func decryptOldPEM(block *pem.Block, passphrase func() ([]byte, error)) ([]byte, error) {
	pass, err := ask(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	//lint:ignore SA1019 such files exist
	der, err := x509.DecryptPEMBlock(block, pass)
	if err != nil {
		return nil, &Error{Reason: BadPassphrase, Text: "wrong passphrase, or the key is damaged", Err: err}
	}
	return der, nil
}

// ask gets the passphrase.
func ask(passphrase func() ([]byte, error)) ([]byte, error) {
	if passphrase == nil {
		return nil, fail(BadPassphrase, "the key is encrypted and there is no passphrase")
	}
	pass, err := passphrase()
	if err != nil {
		return nil, &Error{Reason: BadPassphrase, Text: "passphrase: " + err.Error(), Err: err}
	}
	return pass, nil
}

// foreignKey says what kind of key a PKCS#8 file holds, where that is known and
// not one for us; else "".
func foreignKey(der []byte) string {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	if !s.ReadASN1(&body, tagSequence) || !body.SkipASN1(tagInteger) {
		return ""
	}
	alg, ok := readAlgorithm(&body)
	if !ok {
		return ""
	}
	if alg.oid == oidEC {
		p := cryptobyte.String(alg.params)
		curve, named := readOID(&p)
		switch {
		case !named:
			return "a key on an elliptic curve given by parameters"
		case curves[curve] == nil:
			return "a key on an elliptic curve of another kind (" + dotted(curve) + ")"
		}
		return ""
	}
	if keyNames[alg.oid] != "" {
		return "a key of kind " + keyNames[alg.oid]
	}
	return ""
}

func parseAnyKey(der []byte) (any, error) {
	if k, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return k, nil
	}
	if k, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return k, nil
	}
	return x509.ParseECPrivateKey(der)
}
