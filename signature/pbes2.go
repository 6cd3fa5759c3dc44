// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"

	"golang.org/x/crypto/cryptobyte"
	"golang.org/x/crypto/scrypt"
)

const (
	// MaxIterations bounds the PBKDF2 work of an encrypted key.
	MaxIterations = 20_000_000
	// MaxScrypt bounds the memory of an encrypted key's scrypt, in bytes.
	MaxScrypt = 256 << 20
)

const (
	oidPBES2  = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0d"
	oidPBKDF2 = "\x2a\x86\x48\x86\xf7\x0d\x01\x05\x0c"
	oidScrypt = "\x2b\x06\x01\x04\x01\xda\x47\x04\x0b"
)

var keyCiphers = map[string]struct {
	size int
	make func([]byte) (cipher.Block, error)
}{
	"\x60\x86\x48\x01\x65\x03\x04\x01\x02": {16, aes.NewCipher},
	"\x60\x86\x48\x01\x65\x03\x04\x01\x16": {24, aes.NewCipher},
	"\x60\x86\x48\x01\x65\x03\x04\x01\x2a": {32, aes.NewCipher},
	"\x2a\x86\x48\x86\xf7\x0d\x03\x07":     {24, des.NewTripleDESCipher},
}

var keyPRFs = map[string]func() hash.Hash{
	"":                                 sha1.New, // the default of the standard
	"\x2a\x86\x48\x86\xf7\x0d\x02\x07": sha1.New,
	"\x2a\x86\x48\x86\xf7\x0d\x02\x08": sha256.New224,
	"\x2a\x86\x48\x86\xf7\x0d\x02\x09": sha256.New,
	"\x2a\x86\x48\x86\xf7\x0d\x02\x0a": sha512.New384,
	"\x2a\x86\x48\x86\xf7\x0d\x02\x0b": sha512.New,
}

// looksEncrypted reports whether a DER key is an EncryptedPrivateKeyInfo, which
// begins with an algorithm where the others begin with a version.
func looksEncrypted(der []byte) bool {
	s := cryptobyte.String(der)
	var body cryptobyte.String
	return s.ReadASN1(&body, tagSequence) && body.PeekASN1Tag(tagSequence)
}

// decryptPKCS8 decrypts an EncryptedPrivateKeyInfo (PKCS#8) whose algorithm is
// PBES2 (RFC 8018), as openssl writes it.
func decryptPKCS8(der []byte, passphrase func() ([]byte, error)) ([]byte, error) {
	bad := fail(BadKey, "the encrypted key is damaged")
	s := cryptobyte.String(der)
	var body, params cryptobyte.String
	var data []byte
	if walkDER(der) != nil || !s.ReadASN1(&body, tagSequence) {
		return nil, bad
	}
	alg, ok := readAlgorithm(&body)
	if !ok || !body.ReadASN1Bytes(&data, tagOctetString) || !body.Empty() {
		return nil, bad
	}
	if alg.oid != oidPBES2 {
		return nil, fail(Unsupported, "the key is encrypted in a way that is not supported ("+dotted(alg.oid)+"); openssl pkcs8 -topk8 -v2 aes-256-cbc rewrites it")
	}
	p := cryptobyte.String(alg.params)
	if !p.ReadASN1(&params, tagSequence) {
		return nil, bad
	}
	kdf, ok1 := readAlgorithm(&params)
	enc, ok2 := readAlgorithm(&params)
	c, known := keyCiphers[enc.oid]
	if !ok1 || !ok2 || !known {
		return nil, fail(Unsupported, "the key is encrypted with a cipher that is not supported; openssl pkcs8 -topk8 -v2 aes-256-cbc rewrites it")
	}
	iv := cryptobyte.String(enc.params)
	var ivBytes []byte
	if !iv.ReadASN1Bytes(&ivBytes, tagOctetString) {
		return nil, bad
	}
	pass, err := ask(passphrase)
	if err != nil {
		return nil, err
	}
	defer clear(pass)
	key, err := deriveKey(kdf, pass, c.size)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	block, err := c.make(key)
	if err != nil || len(ivBytes) != block.BlockSize() || len(data) == 0 || len(data)%block.BlockSize() != 0 {
		return nil, bad
	}
	plain := make([]byte, len(data))
	cipher.NewCBCDecrypter(block, ivBytes).CryptBlocks(plain, data)
	pad := int(plain[len(plain)-1])
	if pad == 0 || pad > block.BlockSize() || !bytes.Equal(plain[len(plain)-pad:], bytes.Repeat([]byte{byte(pad)}, pad)) {
		return nil, fail(BadPassphrase, "wrong passphrase, or the key is damaged")
	}
	return plain[:len(plain)-pad], nil
}

// deriveKey turns the passphrase into a key of size bytes.
func deriveKey(kdf algorithm, pass []byte, size int) ([]byte, error) {
	bad := fail(Unsupported, "the key's passphrase is used in a way that is not supported")
	s := cryptobyte.String(kdf.params)
	var p cryptobyte.String
	var salt []byte
	if !s.ReadASN1(&p, tagSequence) || !p.ReadASN1Bytes(&salt, tagOctetString) {
		return nil, bad
	}
	switch kdf.oid {
	case oidPBKDF2:
		var rounds int
		if !p.ReadASN1Integer(&rounds) || rounds <= 0 || rounds > MaxIterations {
			return nil, bad
		}
		if p.PeekASN1Tag(tagInteger) && !p.SkipASN1(tagInteger) {
			return nil, bad
		}
		prf := algorithm{}
		if !p.Empty() {
			var ok bool
			if prf, ok = readAlgorithm(&p); !ok {
				return nil, bad
			}
		}
		h := keyPRFs[prf.oid]
		if h == nil {
			return nil, bad
		}
		return pbkdf2.Key(h, string(pass), salt, rounds, size)
	case oidScrypt:
		var n, r, par int
		if !p.ReadASN1Integer(&n) || !p.ReadASN1Integer(&r) || !p.ReadASN1Integer(&par) ||
			n <= 1 || r <= 0 || par <= 0 || r > 1024 || par > 64 || n > MaxScrypt/128/r {
			return nil, bad
		}
		return scrypt.Key(pass, salt, n, r, par, size)
	}
	return nil, bad
}
