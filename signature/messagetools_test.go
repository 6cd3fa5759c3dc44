// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	_ "crypto/md5"
	_ "crypto/sha1"
	"strings"
)

var hashOIDs = map[crypto.Hash]string{crypto.MD5: oidMD5, crypto.SHA1: oidSHA1, crypto.SHA224: oidSHA224,
	crypto.SHA256: oidSHA256, crypto.SHA384: oidSHA384, crypto.SHA512: oidSHA512}

func digestAlg(h crypto.Hash) []byte { return seq(oidElement(hashOIDs[h]), null()) }

// signerDef describes one SignerInfo.
type signerDef struct {
	cert      []byte // whose issuer and serial number it names
	key       string
	digest    crypto.Hash
	digestAlg []byte
	alg       []byte
	content   []byte
	noAttrs   bool
	attrs     [][]byte // instead of the usual ones
	unsorted  bool     // attributes in the given order, signed in that order
	signOver  []byte   // what is signed, instead of the attributes or the content
	version   []byte
	sid       []byte // instead of issuer and serial number
	unsigned  [][]byte
	badSig    bool
	extra     []byte // a further element at the end
}

func attribute(oid string, values ...[]byte) []byte { return seq(oidElement(oid), rawSet(values...)) }

func usualAttrs(digest []byte) [][]byte {
	return [][]byte{
		attribute(oidContentType, oidElement(oidData)),
		attribute(oidSigningTime, tlv(0x17, []byte("250601000000Z"))),
		attribute(oidMessageDigest, octets(digest)),
	}
}

// issuerAndSerial of a certificate.
func issuerAndSerial(cert []byte) []byte {
	tbs := children(at(cert, 0))
	if tbs[0][0] == 0xa0 {
		tbs = tbs[1:]
	}
	return seq(tbs[2], tbs[0])
}

func (d signerDef) der() []byte {
	if d.digest == 0 {
		d.digest = crypto.SHA256
	}
	if d.digestAlg == nil {
		d.digestAlg = digestAlg(d.digest)
	}
	if d.alg == nil {
		if strings.HasPrefix(d.key, "rsa") {
			d.alg = seq(oidElement(oidRSA), null())
		} else {
			d.alg = key(d.key).sigAlg(d.digest)
		}
	}
	if d.version == nil {
		d.version = integer(1)
	}
	if d.sid == nil {
		d.sid = issuerAndSerial(d.cert)
	}
	parts := [][]byte{d.version, d.sid, d.digestAlg}
	over := d.content
	if !d.noAttrs {
		if d.attrs == nil {
			d.attrs = usualAttrs(digestOf(d.digest, d.content))
		}
		list := set(d.attrs...)
		if d.unsorted {
			list = rawSet(d.attrs...)
		}
		over = list
		parts = append(parts, append([]byte{0xa0}, list[1:]...))
	}
	if d.signOver != nil {
		over = d.signOver
	}
	sig := key(d.key).sign(over, d.digest)
	if d.badSig {
		sig[len(sig)/2] ^= 1
	}
	parts = append(parts, d.alg, octets(sig))
	if d.unsigned != nil {
		parts = append(parts, ctx(1, d.unsigned...))
	}
	if d.extra != nil {
		parts = append(parts, d.extra)
	}
	return seq(parts...)
}

// messageDef describes a whole .p7s.
type messageDef struct {
	outerType   string
	version     []byte
	digestAlgs  [][]byte
	contentType string
	content     []byte // the [0] element of embedded content
	certs       [][]byte
	noCerts     bool // no certificates field at all
	crls        [][]byte
	signers     [][]byte
}

func (d messageDef) der() []byte {
	if d.outerType == "" {
		d.outerType = oidSignedData
	}
	if d.version == nil {
		d.version = integer(1)
	}
	if d.digestAlgs == nil {
		d.digestAlgs = [][]byte{digestAlg(crypto.SHA256)}
	}
	if d.contentType == "" {
		d.contentType = oidData
	}
	info := [][]byte{oidElement(d.contentType)}
	if d.content != nil {
		info = append(info, d.content)
	}
	parts := [][]byte{d.version, rawSet(d.digestAlgs...), seq(info...)}
	if !d.noCerts {
		parts = append(parts, ctx(0, d.certs...))
	}
	if d.crls != nil {
		parts = append(parts, ctx(1, d.crls...))
	}
	parts = append(parts, rawSet(d.signers...))
	return seq(oidElement(d.outerType), ctx(0, seq(parts...)))
}

// message is the usual signature of content by cert and key, with more
// certificates.
func message(content, cert []byte, keyName string, more ...[]byte) []byte {
	return messageDef{certs: append([][]byte{cert}, more...),
		signers: [][]byte{signerDef{cert: cert, key: keyName, content: content}.der()}}.der()
}
