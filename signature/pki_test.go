// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// testKey is one of the keys in testdata/keys. signer is nil where Go cannot
// use it; the openssl command signs then.
type testKey struct {
	name   string
	file   string
	signer crypto.Signer
	spki   []byte
}

var keyCache sync.Map

func key(name string) *testKey {
	if k, ok := keyCache.Load(name); ok {
		return k.(*testKey)
	}
	file, _ := filepath.Abs(filepath.Join("testdata", "keys", name+".pem"))
	b, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	k := &testKey{name: name, file: file}
	block, _ := pem.Decode(b)
	if parsed, err := parseAnyKey(block.Bytes); err == nil {
		k.signer, _ = parsed.(crypto.Signer)
	}
	if r, ok := k.signer.(*rsa.PrivateKey); ok && r.N.BitLen() < 1024 {
		k.signer = nil
	}
	k.spki = mustRun(nil, "openssl", "pkey", "-in", file, "-pubout", "-outform", "DER")
	keyCache.Store(name, k)
	return k
}

func mustRun(stdin []byte, name string, args ...string) []byte {
	cmd := exec.Command(name, args...)
	cmd.Stdin = bytes.NewReader(stdin)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		panic(fmt.Sprintf("%s %v: %v\n%s", name, args, err, stderr.Bytes()))
	}
	return out
}

// sign signs data (not a digest) with digest h.
func (k *testKey) sign(data []byte, h crypto.Hash) []byte {
	if k.signer == nil || !h.Available() && h != 0 {
		return k.signByCommand(data, h)
	}
	if _, ok := k.signer.(ed25519.PrivateKey); ok {
		sig, _ := k.signer.Sign(rand.Reader, data, crypto.Hash(0))
		return sig
	}
	return k.signDigest(digestOf(h, data), h)
}

func digestOf(h crypto.Hash, data []byte) []byte {
	d := h.New()
	d.Write(data)
	return d.Sum(nil)
}

func (k *testKey) signDigest(digest []byte, h crypto.Hash) []byte {
	var sig []byte
	var err error
	switch s := k.signer.(type) {
	case *rsa.PrivateKey:
		sig, err = rsa.SignPKCS1v15(nil, s, h, digest)
	case *ecdsa.PrivateKey:
		sig, err = ecdsa.SignASN1(rand.Reader, s, digest)
	default:
		panic("cannot sign a digest with " + k.name)
	}
	if err != nil {
		panic(err)
	}
	return sig
}

func (k *testKey) signByCommand(data []byte, h crypto.Hash) []byte {
	if h == 0 {
		f, _ := os.CreateTemp("", "tbs")
		defer os.Remove(f.Name())
		f.Write(data)
		f.Close()
		return mustRun(nil, "openssl", "pkeyutl", "-sign", "-rawin", "-inkey", k.file, "-in", f.Name())
	}
	return mustRun(data, "openssl", "dgst", "-"+strings.ToLower(strings.ReplaceAll(h.String(), "-", "")), "-sign", k.file)
}

// sigAlg is the AlgorithmIdentifier of a signature by this key with digest h.
func (k *testKey) sigAlg(h crypto.Hash) []byte {
	switch {
	case strings.HasPrefix(k.name, "rsa"):
		return seq(oidElement(map[crypto.Hash]string{crypto.MD5: oidRSAMD5, crypto.SHA1: oidRSASHA1, crypto.SHA224: oidRSASHA224,
			crypto.SHA256: oidRSASHA256, crypto.SHA384: oidRSASHA384, crypto.SHA512: oidRSASHA512}[h]), null())
	case k.name == "ed25519":
		return seq(oidElement(oidEd25519))
	case k.name == "ed448":
		return seq(oidElement(oidEd448))
	case k.name == "dsa":
		return seq(oidElement("\x60\x86\x48\x01\x65\x03\x04\x03\x02"))
	}
	return seq(oidElement(map[crypto.Hash]string{crypto.SHA1: oidECDSASHA1, crypto.SHA224: oidECDSA224,
		crypto.SHA256: oidECDSA256, crypto.SHA384: oidECDSA384, crypto.SHA512: oidECDSA512}[h]))
}

// certDef describes a certificate of the corpus. The zero value of each field
// is the usual thing.
type certDef struct {
	subject, issuer []byte // Name; see dn
	key             string
	by              string // the issuer's key; "" = self-signed
	version         int64  // 0 = v3, -1 = v1 (field left out), else as is
	serial          []byte // INTEGER element
	digest          crypto.Hash
	alg, innerAlg   []byte
	validity        []byte
	spki            []byte
	ext             [][]byte
	noExt           bool // no extensions field at all
	sign            func(tbs []byte) []byte
	spoil           bool // a wrong signature
}

var serials = struct {
	sync.Mutex
	next int64
}{next: 1000}

func newSerial() []byte {
	serials.Lock()
	defer serials.Unlock()
	serials.next++
	return integer(serials.next)
}

// der builds the certificate.
func (d certDef) der() []byte {
	if d.by == "" {
		d.by = d.key
		if d.issuer == nil {
			d.issuer = d.subject
		}
	}
	if d.digest == 0 {
		d.digest = crypto.SHA256
	}
	if strings.HasPrefix(d.by, "ed") {
		d.digest = 0
	}
	if d.serial == nil {
		d.serial = newSerial()
	}
	if d.alg == nil {
		d.alg = key(d.by).sigAlg(d.digest)
	}
	if d.innerAlg == nil {
		d.innerAlg = d.alg
	}
	if d.validity == nil {
		d.validity = seq(tlv(0x17, []byte("250101000000Z")), tlv(0x17, []byte("450101000000Z")))
	}
	if d.spki == nil {
		d.spki = key(d.key).spki
	}
	parts := [][]byte{ctx(0, integer(2)), d.serial, d.innerAlg, d.issuer, d.validity, d.subject, d.spki}
	switch {
	case d.version == -1:
		parts = parts[1:]
	case d.version != 0:
		parts[0] = ctx(0, integer(d.version))
	}
	if len(d.ext) > 0 && !d.noExt {
		parts = append(parts, ctx(3, seq(d.ext...)))
	}
	tbs := seq(parts...)
	var sig []byte
	if d.sign != nil {
		sig = d.sign(tbs)
	} else {
		sig = key(d.by).sign(tbs, d.digest)
	}
	if d.spoil {
		sig = bytes.Clone(sig)
		sig[len(sig)-1] ^= 1
	}
	return seq(tbs, d.alg, bitString(sig))
}

// dn is a name of "CN=x", "O=y", "C=z", "E=mail" parts in UTF-8.
func dn(parts ...string) []byte {
	var rdns [][]byte
	for _, p := range parts {
		k, v, _ := strings.Cut(p, "=")
		switch k {
		case "E":
			rdns = append(rdns, rdn(oidEmailAddress, ia5(v)))
		default:
			rdns = append(rdns, rdn(map[string]string{"CN": oidCommonName, "O": "\x55\x04\x0a", "OU": "\x55\x04\x0b", "C": "\x55\x04\x06"}[k], utf8String(v)))
		}
	}
	return seq(rdns...)
}

func rdn(oid string, value []byte) []byte { return rawSet(seq(oidElement(oid), value)) }

// Extensions.

func extension(oid string, critical bool, value []byte) []byte {
	if critical {
		return seq(oidElement(oid), boolean(true), octets(value))
	}
	return seq(oidElement(oid), octets(value))
}

func basic(ca bool, pathLen int) []byte {
	var parts [][]byte
	if ca {
		parts = append(parts, boolean(true))
	}
	if pathLen >= 0 {
		parts = append(parts, integer(int64(pathLen)))
	}
	return extension("\x55\x1d\x13", true, seq(parts...))
}

func keyUsage(bits byte) []byte {
	unused := byte(0)
	for b := bits; b != 0 && b&1 == 0; b >>= 1 {
		unused++
	}
	return extension("\x55\x1d\x0f", true, tlv(3, []byte{unused, bits}))
}

func extUsage(critical bool, oids ...string) []byte {
	var parts [][]byte
	for _, o := range oids {
		parts = append(parts, oidElement(o))
	}
	return extension("\x55\x1d\x25", critical, seq(parts...))
}

func nsCertType(bits byte) []byte {
	return extension("\x60\x86\x48\x01\x86\xf8\x42\x01\x01", false, tlv(3, []byte{0, bits}))
}

func keyID(name string) []byte { s := sha1.Sum(key(name).spki); return s[:] }

func ski(name string) []byte { return extension("\x55\x1d\x0e", false, octets(keyID(name))) }
func aki(name string) []byte { return akiOf(ctxPrim(0, keyID(name))) }
func akiOf(fields ...[]byte) []byte {
	return extension("\x55\x1d\x23", false, seq(fields...))
}
func altNames(names ...[]byte) []byte { return extension("\x55\x1d\x11", false, seq(names...)) }
func constraints(critical bool, permitted, excluded [][]byte) []byte {
	var parts [][]byte
	for i, list := range [][][]byte{permitted, excluded} {
		var subs [][]byte
		for _, g := range list {
			subs = append(subs, seq(g))
		}
		if len(subs) > 0 {
			parts = append(parts, ctx(byte(i), subs...))
		}
	}
	return extension("\x55\x1d\x1e", critical, seq(parts...))
}

func email(s string) []byte { return ctxPrim(1, []byte(s)) }
func dns(s string) []byte   { return ctxPrim(2, []byte(s)) }
func uri(s string) []byte   { return ctxPrim(6, []byte(s)) }
func dirName(n []byte) []byte {
	return ctx(4, n)
}

// pemOf writes certificates as PEM.
func pemOf(ders ...[]byte) []byte {
	var b bytes.Buffer
	for _, d := range ders {
		pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: d})
	}
	return b.Bytes()
}

func pemBlockOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

// caDef is the usual CA.
func caDef(cn, keyName string) certDef {
	return certDef{subject: dn("O=Corpus", "CN="+cn), key: keyName,
		ext: [][]byte{basic(true, -1), keyUsage(usageCertSign | usageCRLSign), ski(keyName), aki(keyName)}}
}

// leafDef is the usual signer's certificate below a CA.
func leafDef(cn, keyName string, ca certDef) certDef {
	return certDef{subject: dn("CN=" + cn), key: keyName, issuer: ca.subject, by: ca.key,
		ext: [][]byte{basic(false, -1), keyUsage(usageSignature), ski(keyName), aki(ca.key)}}
}

func (d certDef) with(ext ...[]byte) certDef {
	d.ext = append(d.ext[:len(d.ext):len(d.ext)], ext...)
	return d
}
func (d certDef) extOnly(ext ...[]byte) certDef { d.ext = ext; return d }

// crlDef describes a CRL of the corpus.
type crlDef struct {
	issuer  []byte
	by      string
	revoked [][]byte // serial INTEGERs
	entries [][]byte // whole entries
	ext     [][]byte
	spoil   bool
}

func (d crlDef) der() []byte {
	alg := key(d.by).sigAlg(crypto.SHA256)
	parts := [][]byte{integer(1), alg, d.issuer, tlv(0x17, []byte("250101000000Z")), tlv(0x17, []byte("450101000000Z"))}
	entries := slices.Clone(d.entries)
	for _, s := range d.revoked {
		entries = append(entries, seq(s, tlv(0x17, []byte("250101000000Z"))))
	}
	if len(entries) > 0 {
		parts = append(parts, seq(entries...))
	}
	if len(d.ext) > 0 {
		parts = append(parts, ctx(0, seq(d.ext...)))
	}
	tbs := seq(parts...)
	sig := key(d.by).sign(tbs, crypto.SHA256)
	if d.spoil {
		sig[len(sig)-1] ^= 1
	}
	return seq(tbs, alg, bitString(sig))
}
