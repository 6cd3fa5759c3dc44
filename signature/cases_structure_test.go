// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"slices"
	"strconv"
)

func itoa(i int) string { return strconv.Itoa(i) }

// structureCases: the frame of the message.
func structureCases(add func(vcase)) {
	good := message(script, leafDER, "p256-2")
	c := func(name string, want Reason, stricter string, p7s []byte) {
		add(vcase{name: name, keyring: ring, p7s: p7s, want: want, stricter: stricter})
	}
	// The path of the parts: 0 type, 1.0 SignedData: 0 version, 1 digests,
	// 2 content info, 3 certificates, 4 signers.
	c("good", "", "", good)
	for _, v := range []int64{-1, 0, 3, 4, 5, 127, 70000} {
		c("version "+strconv.FormatInt(v, 10), "", "", replace(good, integer(v), 1, 0, 0))
		c("signer version "+strconv.FormatInt(v, 10), "", "", replace(good, integer(v), 1, 0, 4, 0, 0))
	}
	c("version missing", Malformed, "", remove(good, 0, 1, 0))
	c("version of another type", Malformed, "", replace(good, octets([]byte{1}), 1, 0, 0))
	c("signer version missing", Malformed, "", remove(good, 0, 1, 0, 4, 0))
	c("digests missing", Malformed, "", remove(good, 1, 1, 0))
	c("digests as a sequence", Malformed, "", replace(good, seq(digestAlg(crypto.SHA256)), 1, 0, 1))
	c("content info missing", Malformed, "", remove(good, 2, 1, 0))
	c("content info empty", Malformed, "", replace(good, seq(), 1, 0, 2))
	c("content info with three parts", Malformed, "", insert(good, null(), 1, 1, 0, 2))
	c("signers missing", Malformed, "", remove(good, 4, 1, 0))
	c("signers as a sequence", Malformed, "", replace(good, seq(at(good, 1, 0, 4, 0)), 1, 0, 4))
	c("signers empty", NoSigner, "", replace(good, rawSet(), 1, 0, 4))
	c("signers and certificates swapped", Malformed, "", insert(remove(good, 3, 1, 0), at(good, 1, 0, 3), 4, 1, 0))
	c("element after the signers", Malformed, "", insert(good, null(), 5, 1, 0))
	c("element before the version", Malformed, "", insert(good, null(), 0, 1, 0))
	c("element after the SignedData", Malformed, "", insert(good, null(), 1, 1))
	c("element after the wrapper", Malformed, "", insert(good, null(), 2))
	c("wrapper missing", Malformed, "", remove(good, 1))
	c("wrapper empty", Malformed, "", replace(good, ctx(0), 1))
	c("wrapper with tag 1", Malformed, "", replace(good, ctx(1, at(good, 1, 0)), 1))
	c("type data", NotSigned, "", replace(good, oidElement(oidData), 0))
	c("type enveloped", Encrypted, "", replace(good, oidElement(oidEnvelopedData), 0))
	c("type signed and enveloped", NotSigned, "", replace(good, oidElement(oidPKCS7+"\x04"), 0))
	c("type digested", NotSigned, "", replace(good, oidElement(oidPKCS7+"\x05"), 0))
	c("type encrypted", NotSigned, "", replace(good, oidElement(oidPKCS7+"\x06"), 0))
	c("type unknown", NotSigned, "", replace(good, oidElement("\x2a\x03\x04"), 0))
	c("type missing", Malformed, "", remove(good, 0))
	c("SignedData without its wrapper", Malformed, "", at(good, 1, 0))
	c("element after the signer's signature", Malformed, "", insert(good, null(), 6, 1, 0, 4, 0))
	c("signer without signature", Malformed, "", remove(good, 5, 1, 0, 4, 0))
	c("signer without signature algorithm", Malformed, "", remove(good, 4, 1, 0, 4, 0))
	c("signer without digest algorithm", Malformed, "", remove(good, 2, 1, 0, 4, 0))
	c("signer without name", Malformed, "", remove(good, 1, 1, 0, 4, 0))
	c("signer named by key identifier", Unsupported, "", replace(good, ctxPrim(0, keyID("p256-2")), 1, 0, 4, 0, 1))
	c("signer with another serial number", SignerMissing, "", replace(good, integer(5), 1, 0, 4, 0, 1, 1))
	c("signer with another issuer", SignerMissing, "", replace(good, dn("CN=Other"), 1, 0, 4, 0, 1, 0))
	c("signer's issuer in other letters", "", "", replace(good, seq(rdn("\x55\x04\x0a", printable("  CORPUS ")), rdn(oidCommonName, printable("root"))), 1, 0, 4, 0, 1, 0))
	c("signer's serial number missing", Malformed, "", remove(good, 1, 1, 0, 4, 0, 1))
	c("signature as a bit string", Malformed, "", replace(good, bitString([]byte{1, 2, 3}), 1, 0, 4, 0, 5))
	c("signature empty", BadSignature, "", replace(good, octets(nil), 1, 0, 4, 0, 5))
	sig := at(good, 1, 0, 4, 0, 5)[2:]
	c("signature with a byte more", BadSignature, "", replace(good, octets(append(slices.Clone(sig), 0)), 1, 0, 4, 0, 5))
	c("ECDSA signature of zeros", BadSignature, "", replace(good, octets(seq(integer(0), integer(0))), 1, 0, 4, 0, 5))
	c("ECDSA signature with a long integer", BadSignature, "", replace(good, octets(longInteger(sig)), 1, 0, 4, 0, 5))
	c("certificates missing", SignerMissing, "", remove(good, 3, 1, 0))
	c("certificates empty", SignerMissing, "", replace(good, ctx(0), 1, 0, 3))
	c("certificates as a set", Malformed, "", replace(good, rawSet(leafDER), 1, 0, 3))
	c("certificate that is none", Malformed, "", insert(good, seq(integer(1)), 1, 1, 0, 3))
	c("attribute certificate", Malformed, "", insert(good, ctx(1, integer(1)), 1, 1, 0, 3))
	c("null among the certificates", Malformed, "", insert(good, null(), 1, 1, 0, 3))
	list := crlDef{issuer: ca.subject, by: ca.key}.der()
	c("with a CRL", "", "", insert(good, ctx(1, list), 4, 1, 0))
	c("with an empty list of CRLs", "", "", insert(good, ctx(1), 4, 1, 0))
	c("with a broken CRL", Malformed, "", insert(good, ctx(1, seq(null())), 4, 1, 0))
	c("with a CRL that revokes the signer", "", "", insert(good, ctx(1, crlDef{issuer: ca.subject, by: ca.key, revoked: [][]byte{at(leafDER, 0, 1)}}.der()), 4, 1, 0))
	c("CRLs before the certificates", Malformed, "", insert(good, ctx(1, list), 3, 1, 0))
	c("certificates twice", Malformed, "", insert(good, ctx(0, caDER), 4, 1, 0))
}

// longInteger puts a needless zero before r of an ECDSA signature.
func longInteger(sig []byte) []byte {
	parts := children(sig)
	r := parts[0][2:]
	return seq(tlv(2, append([]byte{0}, r...)), parts[1])
}

// encodingCases: BER, cuts, flips and things that are no DER at all.
func encodingCases(add func(vcase)) {
	good := message(script, leafDER, "p256-2")
	c := func(name string, want Reason, stricter string, p7s []byte) {
		add(vcase{name: name, keyring: ring, p7s: p7s, want: want, stricter: stricter})
	}
	c("empty", NotDER, "", []byte{})
	c("one byte", NotDER, "", []byte{0x30})
	c("text", NotDER, "", []byte("hello\n"))
	c("NULs", NotDER, "", make([]byte, 64))
	c("base64 of it", NotDER, "", []byte("MIIB"))
	c("PEM", IsPEM, "", pemBlockOf("PKCS7", good))
	c("PEM after a BOM", IsPEM, "", append([]byte("\xef\xbb\xbf"), pemBlockOf("PKCS7", good)...))
	c("a certificate", Malformed, "", leafDER)
	c("the keyring", IsPEM, "", ring)
	c("trailing zero", NotDER, "s-trailing", append(slices.Clone(good), 0))
	c("trailing newline", NotDER, "s-trailing", append(slices.Clone(good), '\n'))
	c("twice", NotDER, "s-trailing", append(slices.Clone(good), good...))
	c("leading newline", NotDER, "", append([]byte{'\n'}, good...))
	c("indefinite outside", "", "", indefinite(good))
	c("indefinite wrapper", "", "", replace(good, indefinite(at(good, 1)), 1))
	c("indefinite SignedData", "", "", replace(good, indefinite(at(good, 1, 0)), 1, 0))
	c("indefinite digests", "", "", replace(good, indefinite(at(good, 1, 0, 1)), 1, 0, 1))
	c("indefinite content info", "", "", replace(good, indefinite(at(good, 1, 0, 2)), 1, 0, 2))
	c("indefinite certificates", "", "", replace(good, indefinite(at(good, 1, 0, 3)), 1, 0, 3))
	c("indefinite signers", "", "", replace(good, indefinite(at(good, 1, 0, 4)), 1, 0, 4))
	c("indefinite frame", "", "", frame(good))
	c("indefinite frame, trailing zero", NotDER, "s-trailing", append(frame(good), 0))
	c("indefinite frame, one end missing", NotDER, "", frame(good)[:len(frame(good))-2])
	c("indefinite frame, three ends missing", NotDER, "", frame(good)[:len(frame(good))-6])
	c("indefinite frame, end of one byte", NotDER, "", frame(good)[:len(frame(good))-1])
	c("end mark in a definite sequence", NotDER, "", insert(good, []byte{0, 0}, 5, 1, 0))
	c("end mark in a definite sequence of an indefinite one", NotDER, "", indefinite(insert(good, []byte{0, 0}, 5, 1, 0)))
	c("end mark with a byte", NotDER, "", append([]byte{0x30, 0x80}, append(bytes.Join(children(good), nil), 0, 1, 0)...))
	c("indefinite primitive", NotDER, "", replace(good, []byte{2, 0x80, 1, 0, 0}, 1, 0, 0))
	c("indefinite certificate", NotDER, "s-ber", replace(good, indefinite(at(good, 1, 0, 3, 0)), 1, 0, 3, 0))
	c("indefinite signed part of a certificate", NotDER, "", replace(good, indefinite(at(good, 1, 0, 3, 0, 0)), 1, 0, 3, 0, 0))
	c("indefinite signer", NotDER, "s-ber", replace(good, indefinite(at(good, 1, 0, 4, 0)), 1, 0, 4, 0))
	c("indefinite attributes", NotDER, "s-ber", replace(good, indefinite(at(good, 1, 0, 4, 0, 3)), 1, 0, 4, 0, 3))
	c("indefinite digest", NotDER, "s-ber", replace(good, indefinite(at(good, 1, 0, 1, 0)), 1, 0, 1, 0))
	c("indefinite frame, bad signature", BadSignature, "", frame(messageDef{certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, badSig: true}.der()}}.der()))
	c("indefinite without its end", NotDER, "", append([]byte{0x30, 0x80}, good[4:]...))
	c("long length", NotDER, "s-ber", longLength(good))
	c("long length of the version", NotDER, "s-ber", replace(good, []byte{2, 0x81, 1, 1}, 1, 0, 0))
	sig := at(good, 1, 0, 4, 0, 5)[2:]
	c("signature value in pieces", NotDER, "s-ber", replace(good, tlv(0x24, octets(sig[:5]), octets(sig[5:])), 1, 0, 4, 0, 5))
	c("flat sequence", NotDER, "", append([]byte{0x10}, good[1:]...))
	c("version with leading zeros", NotDER, "", replace(good, []byte{2, 2, 0, 1}, 1, 0, 0))
	c("version without bytes", NotDER, "", replace(good, []byte{2, 0}, 1, 0, 0))
	c("high tag", NotDER, "", insert(good, []byte{0x1f, 0x81, 0x01, 0}, 5, 1, 0))
	c("length of four GiB", NotDER, "", []byte{0x30, 0x84, 0xff, 0xff, 0xff, 0xff, 0})
	c("length of eight bytes", NotDER, "", append([]byte{0x30, 0x88, 0x7f}, bytes.Repeat([]byte{0xff}, 20)...))
	c("length of 127 bytes", NotDER, "", append([]byte{0x30, 0xff}, bytes.Repeat([]byte{0xff}, 200)...))
	c("child longer than its parent", NotDER, "", append([]byte{0x30, 4, 0x30, 0x7f}, bytes.Repeat([]byte{0}, 200)...))
	c("deep", NotDER, "", bytes.Repeat([]byte{0x30, 0x80}, 1000))
	c("deep and definite", NotDER, "", nested(200))
	c("deep in an unsigned attribute", NotDER, "s-limits", messageDef{certs: [][]byte{leafDER},
		signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: [][]byte{attribute("\x2a\x03\x04", nested(MaxDepth))}}.der()}}.der())
	for name, v := range map[string][]byte{
		"integer without bytes": {2, 0}, "integer with leading zeros": {2, 2, 0, 1}, "negative integer with leading ones": {2, 2, 0xff, 0x80}, "enumerated without bytes": {10, 0},
		"boolean of two bytes": {1, 2, 0, 0}, "boolean without bytes": {1, 0}, "null with a byte": {5, 1, 0}, "OID without bytes": {6, 0}, "OID cut": {6, 2, 0x2a, 0x83}, "OID with a leading zero": {6, 3, 0x2a, 0x80, 1},
		"bit string without bytes": {3, 0}, "bit string with 8 unused bits": {3, 2, 8, 0}, "BMP of odd length": {0x1e, 1, 0}, "universal string of 2 bytes": {0x1c, 2, 0, 0},
	} {
		c("unsigned attribute: "+name, NotDER, "", messageDef{certs: [][]byte{leafDER},
			signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: [][]byte{attribute("\x2a\x03\x04", v)}}.der()}}.der())
	}
	for name, v := range map[string][]byte{"empty bit string with unused bits": {3, 1, 1}, "bit string with unused bits set": {3, 2, 1, 0xff}} {
		sum := digestOf(crypto.SHA256, script)
		c("unsigned attribute: "+name, NotDER, "s-der-values", messageDef{certs: [][]byte{leafDER},
			signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: [][]byte{attribute("\x2a\x03\x04", v)}}.der()}}.der())
		c("signed attribute: "+name, NotDER, "", messageDef{certs: [][]byte{leafDER}, // OpenSSL rewrites it and finds the signature bad
			signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, attrs: append(usualAttrs(sum), attribute("\x2a\x03\x04", v))}.der()}}.der())
	}
	for name, v := range map[string][]byte{
		"boolean 1": {1, 1, 1}, "UTCTime of nothing": {0x17, 0}, "UTF-8 that is none": {0x0c, 1, 0xff}, "real": {9, 1, 0}, "time of tag 14": {14, 0}, "relative OID": {13, 1, 1}, "graphic string": {0x19, 1, 'x'},
		"application tag": {0x41, 0}, "private tag": {0xc1, 0}, "negative integer": {2, 1, 0x80}, "empty sequence": {0x30, 0},
	} {
		c("unsigned attribute: "+name, "", "", messageDef{certs: [][]byte{leafDER},
			signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: [][]byte{attribute("\x2a\x03\x04", v)}}.der()}}.der())
	}
	c("many certificates", TooLarge, "s-limits", message(script, leafDER, "p256-2", slices.Repeat([][]byte{caDER}, MaxMessageCerts)...))
	c("large", TooLarge, "s-limits", messageDef{certs: [][]byte{leafDER},
		signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script, unsigned: [][]byte{attribute("\x2a\x03\x04", octets(make([]byte, MaxSize)))}}.der()}}.der())
	for _, n := range []int{1, 2, 3, 4, 5, 10, 20, 30, 100, len(good) / 2, len(good) - 100, len(good) - 2, len(good) - 1} {
		c("cut after "+itoa(n), NotDER, "", good[:n])
	}
}

// nested is a NULL in n sequences.
func nested(n int) []byte {
	headers, length := make([][]byte, n), 2
	for i := range n {
		e := tlv(0x30, make([]byte, min(length, 0xffff)))
		if length > 0xffff {
			e = []byte{0x30, 0x83, byte(length >> 16), byte(length >> 8), byte(length), 0}
			headers[n-1-i] = e[:5]
		} else {
			headers[n-1-i] = e[:len(e)-length]
		}
		length += len(headers[n-1-i])
	}
	return append(bytes.Join(headers, nil), null()...)
}

// indefinite rewrites the header of a constructed element.
func indefinite(der []byte) []byte {
	body := bytes.Join(children(der), nil)
	return append(append([]byte{der[0], 0x80}, body...), 0, 0)
}

// frame writes a message as gpgsm and Bouncy Castle do: DER in a frame of BER.
func frame(der []byte) []byte {
	parts := children(at(der, 1, 0))
	for i := 2; i < len(parts); i++ {
		parts[i] = indefinite(parts[i])
	}
	ends := make([]byte, 6)
	return slices.Concat([]byte{0x30, 0x80}, at(der, 0), []byte{0xa0, 0x80, 0x30, 0x80}, bytes.Join(parts, nil), ends)
}

// longLength writes a length with a leading zero.
func longLength(der []byte) []byte {
	body := bytes.Join(children(der), nil)
	return append([]byte{der[0], 0x83, 0, byte(len(body) >> 8), byte(len(body))}, body...)
}

// signerCases: several signers.
func signerCases(add func(vcase)) {
	second := leafDef("Second", "p256-3", ca).der()
	stranger := certDef{subject: dn("CN=Stranger"), key: "p256-4"}.der()
	s1 := signerDef{cert: leafDER, key: "p256-2", content: script}
	s2 := signerDef{cert: second, key: "p256-3", content: script}
	s3 := signerDef{cert: stranger, key: "p256-4", content: script}
	c := func(name string, want Reason, stricter string, signers ...signerDef) {
		d := messageDef{certs: [][]byte{leafDER, second, stranger}}
		for _, s := range signers {
			d.signers = append(d.signers, s.der())
		}
		add(vcase{name: name, keyring: ring, p7s: d.der(), want: want, stricter: stricter})
	}
	bad := func(s signerDef) signerDef { s.badSig = true; return s }
	other := func(s signerDef) signerDef { s.content = []byte("other"); return s }
	sha512 := func(s signerDef) signerDef { s.digest = crypto.SHA512; return s }
	sha1 := func(s signerDef) signerDef { s.digest = crypto.SHA1; return s }
	c("two good", "", "", s1, s2)
	c("one twice", "", "", s1, s1)
	c("good and bad", BadSignature, "", s1, bad(s2))
	c("bad and good", BadSignature, "", bad(s1), s2)
	c("good and untrusted", UntrustedIssuer, "", s1, s3)
	c("untrusted and good", UntrustedIssuer, "", s3, s1)
	c("good and for other content", WrongContent, "", s1, other(s2))
	c("digests not all announced", Malformed, "", s1, sha512(s2))
	d := messageDef{certs: [][]byte{leafDER, second}, digestAlgs: [][]byte{digestAlg(crypto.SHA256), digestAlg(crypto.SHA512)},
		signers: [][]byte{s1.der(), sha512(s2).der()}}
	add(vcase{name: "two digests", keyring: ring, p7s: d.der()})
	d = messageDef{certs: [][]byte{leafDER, second}, digestAlgs: [][]byte{digestAlg(crypto.SHA256), digestAlg(crypto.SHA1)},
		signers: [][]byte{s1.der(), sha1(s2).der()}}
	add(vcase{name: "good and SHA-1", keyring: ring, p7s: d.der(), want: WeakDigest, stricter: "s-weak-digest"})
	many := slices.Repeat([]signerDef{s1}, MaxSigners)
	c("as many as allowed", "", "", many...)
	c("one too many", TooLarge, "s-limits", append(many, s1)...)
	d = messageDef{certs: [][]byte{leafDER}, signers: [][]byte{s1.der(), s2.der()}}
	add(vcase{name: "the second one's certificate missing", keyring: ring, p7s: d.der(), want: SignerMissing})
	d = messageDef{certs: [][]byte{leafDER}, signers: [][]byte{s1.der(), null()}}
	add(vcase{name: "good and broken", keyring: ring, p7s: d.der(), want: Malformed})
}
