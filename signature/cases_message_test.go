// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	"os"
	"path/filepath"
	"slices"
)

// The PKI most cases share: a CA, a signer below it, and the keyring with the
// CA.
var (
	ca      = caDef("Root", "p256-1")
	caDER   = ca.der()
	leaf    = leafDef("Signer", "p256-2", ca)
	leafDER = leaf.der()
	ring    = pemOf(caDER)
)

// commandCases are messages as the openssl command makes them.
func commandCases(add func(vcase)) {
	dir, err := os.MkdirTemp("", "command")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	write := func(name string, b []byte) string {
		p := filepath.Join(dir, name)
		os.WriteFile(p, b, 0o600)
		return p
	}
	in, certFile, caFile := write("in", script), write("leaf.pem", pemOf(leafDER)), write("ca.pem", ring)
	rsaLeaf := leafDef("RSA signer", "rsa2048-1", ca).der()
	rsaFile := write("rsa.pem", pemOf(rsaLeaf))
	run := func(args ...string) []byte { return mustRun(nil, "openssl", args...) }
	smime := func(more ...string) []byte {
		return run(append([]string{"smime", "-sign", "-binary", "-outform", "DER", "-in", in, "-signer", certFile, "-inkey", key("p256-2").file}, more...)...)
	}
	cms := func(more ...string) []byte {
		return run(append([]string{"cms", "-sign", "-binary", "-outform", "DER", "-in", in, "-signer", certFile, "-inkey", key("p256-2").file}, more...)...)
	}
	withRSA := func(tool string, more ...string) []byte {
		return run(append([]string{tool, "-sign", "-binary", "-outform", "DER", "-in", in, "-signer", rsaFile, "-inkey", key("rsa2048-1").file}, more...)...)
	}
	for _, c := range []vcase{
		{name: "smime", p7s: smime()},
		{name: "smime sha384", p7s: smime("-md", "sha384")},
		{name: "smime sha512", p7s: smime("-md", "sha512")},
		{name: "smime sha224", p7s: smime("-md", "sha224")},
		{name: "smime sha1", p7s: smime("-md", "sha1"), want: WeakDigest, stricter: "s-weak-digest"},
		{name: "smime noattr", p7s: smime("-noattr")},
		{name: "smime nosmimecap", p7s: smime("-nosmimecap")},
		{name: "smime nocerts", p7s: smime("-nocerts"), want: SignerMissing},
		{name: "smime certfile", p7s: smime("-certfile", caFile)},
		{name: "smime nodetach", p7s: smime("-nodetach"), want: EmbeddedContent, stricter: "s-embedded"},
		{name: "smime PEM", p7s: smime("-outform", "PEM"), want: IsPEM},
		{name: "smime S/MIME", p7s: smime("-outform", "SMIME"), want: IsSMIME},
		{name: "smime rsa", p7s: withRSA("smime")},
		{name: "smime rsa md5", p7s: withRSA("smime", "-md", "md5"), want: WeakDigest, stricter: "s-weak-digest"},
		{name: "smime rsa sha3", p7s: withRSA("smime", "-md", "sha3-256"), want: Unsupported, stricter: "s-algorithms"},
		{name: "cms", p7s: cms()},
		{name: "cms cades", p7s: cms("-cades")},
		{name: "cms keyid", p7s: cms("-keyid"), want: Unsupported},
		{name: "cms noattr", p7s: cms("-noattr")},
		{name: "cms nodetach stream", p7s: cms("-nodetach", "-stream"), want: NotDER, stricter: "s-ber"},
		{name: "cms econtent type", p7s: cms("-econtent_type", "1.2.3.4")},
		{name: "cms receipt request", p7s: cms("-receipt_request_all", "-receipt_request_from", "a@example.org", "-receipt_request_to", "b@example.org")},
		{name: "cms rsa", p7s: withRSA("cms")},
		{name: "cms rsa pss", p7s: withRSA("cms", "-keyopt", "rsa_padding_mode:pss"), want: Unsupported},
		{name: "cms digest type", p7s: run("cms", "-digest_create", "-outform", "DER", "-in", in), want: NotSigned},
		{name: "cms data type", p7s: run("cms", "-data_create", "-outform", "DER", "-in", in), want: NotSigned},
		{name: "cms encrypted type", p7s: run("cms", "-EncryptedData_encrypt", "-secretkey", "000102030405060708090a0b0c0d0e0f", "-aes128", "-outform", "DER", "-in", in), want: NotSigned},
		{name: "cms enveloped type", p7s: run("cms", "-encrypt", "-aes128", "-outform", "DER", "-in", in, rsaFile), want: Encrypted},
		{name: "smime enveloped type", p7s: run("smime", "-encrypt", "-aes128", "-outform", "DER", "-in", in, rsaFile), want: Encrypted},
		{name: "crl2pkcs7 without signers", p7s: run("crl2pkcs7", "-nocrl", "-certfile", certFile, "-outform", "DER"), want: NoSigner},
		{name: "two signers", p7s: smime("-signer", rsaFile, "-inkey", key("rsa2048-1").file)},
		{name: "text mode", p7s: run("smime", "-sign", "-outform", "DER", "-in", in, "-signer", certFile, "-inkey", key("p256-2").file), want: TextMode},
		{name: "text mode noattr", p7s: run("smime", "-sign", "-noattr", "-outform", "DER", "-in", in, "-signer", certFile, "-inkey", key("p256-2").file), want: TextMode},
		{name: "text mode on a CRLF file", content: []byte("one\r\ntwo\r\n"), p7s: mustRun([]byte("one\r\ntwo\r\n"), "openssl", "smime", "-sign", "-outform", "DER", "-signer", certFile, "-inkey", key("p256-2").file)},
		{name: "with mail headers (-text)", p7s: smime("-text")},
	} {
		c.keyring = ring
		add(c)
	}
}

// digestCases: which digest, where it is named.
func digestCases(add func(vcase)) {
	for _, keyName := range []string{"rsa2048-1", "p256-2"} {
		cert := leafDef("Signer", keyName, ca).der()
		for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA256, crypto.SHA384, crypto.SHA512} {
			c := vcase{name: keyName + " " + h.String(), keyring: ring, p7s: messageDef{digestAlgs: [][]byte{digestAlg(h)}, certs: [][]byte{cert},
				signers: [][]byte{signerDef{cert: cert, key: keyName, digest: h, content: script}.der()}}.der()}
			if h == crypto.SHA1 {
				c.want, c.stricter = WeakDigest, "s-weak-digest"
			}
			add(c)
		}
	}
	s := signerDef{cert: leafDER, key: "p256-2", content: script}
	one := func(name string, want Reason, stricter string, m messageDef, s signerDef) {
		m.certs = [][]byte{leafDER}
		m.signers = [][]byte{s.der()}
		add(vcase{name: name, keyring: ring, p7s: m.der(), want: want, stricter: stricter})
	}
	with := func(f func(*signerDef)) signerDef { c := s; f(&c); return c }
	bare := seq(oidElement(oidSHA256))
	one("digest list empty", Malformed, "", messageDef{digestAlgs: [][]byte{}}, s)
	one("digest list without the signer's", Malformed, "", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA512)}}, s)
	one("digest list with more", "", "", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256), digestAlg(crypto.SHA512)}}, s)
	one("digest list doubled", "", "", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256), digestAlg(crypto.SHA256)}}, s)
	one("digest list with unused SHA-1", "", "", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA1), digestAlg(crypto.SHA256)}}, s)
	one("digest list with an unknown one", Unsupported, "", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256), seq(oidElement("\x2a\x03\x04"), null())}}, s)
	one("digest list with SHA-3", Unsupported, "s-algorithms", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256), seq(oidElement("\x60\x86\x48\x01\x65\x03\x04\x02\x08"), null())}}, s)
	one("digest without parameters", "", "", messageDef{digestAlgs: [][]byte{bare}}, with(func(s *signerDef) { s.digestAlg = bare }))
	one("digest with odd parameters", Malformed, "s-parameters", messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256)}}, with(func(s *signerDef) { s.digestAlg = seq(oidElement(oidSHA256), octets([]byte("x"))) }))
	one("digest list with odd parameters", Malformed, "s-parameters", messageDef{digestAlgs: [][]byte{seq(oidElement(oidSHA256), octets([]byte("x")))}}, s)
	one("digest with two parameters", Malformed, "", messageDef{}, with(func(s *signerDef) { s.digestAlg = seq(oidElement(oidSHA256), null(), null()) }))
	one("signature OID as digest", Unsupported, "", messageDef{digestAlgs: [][]byte{seq(oidElement(oidECDSA256))}}, with(func(s *signerDef) { s.digestAlg = seq(oidElement(oidECDSA256)) }))
	one("ECDSA OID of another digest", Malformed, "s-contradiction", messageDef{}, with(func(s *signerDef) { s.alg = seq(oidElement(oidECDSA512)) }))
	one("ECDSA key OID as signature algorithm", "", "", messageDef{}, with(func(s *signerDef) { s.alg = seq(oidElement(oidEC)) }))
	one("RSA OID with an EC key", Malformed, "s-contradiction", messageDef{}, with(func(s *signerDef) { s.alg = seq(oidElement(oidRSA), null()) }))
	one("unknown signature OID", Malformed, "s-contradiction", messageDef{}, with(func(s *signerDef) { s.alg = seq(oidElement("\x2a\x03\x04")) }))
	one("signature algorithm with parameters", Malformed, "s-parameters", messageDef{}, with(func(s *signerDef) { s.alg = seq(oidElement(oidECDSA256), octets(nil)) }))
	rsaCert := leafDef("RSA", "rsa2048-1", ca).der()
	for _, o := range []struct {
		name, oid string
		want      Reason
		stricter  string
	}{{"sha256WithRSA", oidRSASHA256, "", ""}, {"sha512WithRSA", oidRSASHA512, Malformed, "s-contradiction"}, {"PSS OID on PKCS1", oidRSAPSS, Unsupported, "s-contradiction"}} {
		add(vcase{name: "RSA as " + o.name, keyring: ring, want: o.want, stricter: o.stricter, p7s: messageDef{certs: [][]byte{rsaCert},
			signers: [][]byte{signerDef{cert: rsaCert, key: "rsa2048-1", content: script, alg: seq(oidElement(o.oid), null())}.der()}}.der()})
	}
	add(vcase{name: "RSA signature OID as digest", keyring: ring, want: Unsupported, p7s: messageDef{digestAlgs: [][]byte{digestAlg(crypto.SHA256)}, certs: [][]byte{rsaCert},
		signers: [][]byte{signerDef{cert: rsaCert, key: "rsa2048-1", content: script, digestAlg: seq(oidElement(oidRSASHA256), null())}.der()}}.der()})
}

// attributeCases: signed and unsigned attributes.
func attributeCases(add func(vcase)) {
	sum := digestOf(crypto.SHA256, script)
	other := digestOf(crypto.SHA256, []byte("other"))
	u := usualAttrs(sum)
	md, ct, st := u[2], u[0], u[1]
	case1 := func(name string, want Reason, stricter string, s signerDef) {
		s.cert, s.key, s.content = leafDER, "p256-2", script
		add(vcase{name: name, keyring: ring, want: want, stricter: stricter, p7s: messageDef{certs: [][]byte{leafDER}, signers: [][]byte{s.der()}}.der()})
	}
	list := func(a ...[]byte) signerDef { return signerDef{attrs: a} }
	case1("only digest", "", "", list(md))
	case1("no digest", Malformed, "", list(ct, st))
	case1("empty list", WrongContent, "", signerDef{attrs: [][]byte{}})
	case1("empty list, content signed", "", "", signerDef{attrs: [][]byte{}, signOver: script})
	case1("no list", "", "", signerDef{noAttrs: true})
	case1("no list, attributes signed", WrongContent, "", signerDef{noAttrs: true, signOver: set(u...)})
	case1("no content type", "", "", list(st, md))
	case1("content type of something else", "", "", list(attribute(oidContentType, oidElement(oidSignedData)), md))
	case1("digest of other content", WrongContent, "", list(ct, attribute(oidMessageDigest, octets(other))))
	case1("digest cut", WrongContent, "", list(ct, attribute(oidMessageDigest, octets(sum[:31]))))
	case1("digest empty", WrongContent, "", list(ct, attribute(oidMessageDigest, octets(nil))))
	case1("digest longer", WrongContent, "", list(ct, attribute(oidMessageDigest, octets(append(slices.Clone(sum), 0)))))
	case1("digest of another type", Malformed, "", list(ct, attribute(oidMessageDigest, utf8String(string(sum)))))
	case1("digest without value", Malformed, "", list(ct, attribute(oidMessageDigest)))
	case1("digest with two values, good first", Malformed, "s-attributes", signerDef{attrs: [][]byte{ct, attribute(oidMessageDigest, sort2(octets(sum), octets(other))...)}, unsorted: true})
	case1("digest attribute twice, both good", "", "", list(md, md))
	case1("digest attribute twice, good first", "", "", signerDef{attrs: [][]byte{md, attribute(oidMessageDigest, octets(other))}, unsorted: true})
	case1("digest attribute twice, bad first", WrongContent, "", signerDef{attrs: [][]byte{attribute(oidMessageDigest, octets(other)), md}, unsorted: true})
	case1("unsorted, signed as they are", "", "", signerDef{attrs: [][]byte{md, st, ct}, unsorted: true})
	case1("unsorted, signed sorted", BadSignature, "", signerDef{attrs: [][]byte{md, st, ct}, unsorted: true, signOver: set(md, st, ct)})
	case1("signed with the [0] tag", BadSignature, "", signerDef{attrs: u, signOver: append([]byte{0xa0}, set(u...)[1:]...)})
	case1("signed as a sequence", BadSignature, "", signerDef{attrs: u, signOver: seq(children(set(u...))...)})
	case1("signing time twice", "", "", list(ct, st, st, md))
	case1("signing time far off", "", "", list(ct, attribute(oidSigningTime, tlv(0x18, []byte("29990101000000Z"))), md))
	case1("signing time nonsense", "", "", list(ct, attribute(oidSigningTime, utf8String("yesterday")), md))
	case1("unknown attribute", "", "", list(ct, md, attribute("\x2a\x03\x04", utf8String("x"), utf8String("y"))))
	case1("unknown attribute, values not sorted", Malformed, "", list(ct, md, attribute("\x2a\x03\x04", utf8String("y"), utf8String("x"))))
	case1("attribute with an empty set", "", "", list(ct, md, attribute("\x2a\x03\x04")))
	case1("attribute without a set", Malformed, "", list(ct, md, seq(oidElement("\x2a\x03\x04"))))
	case1("attribute with something after the set", Malformed, "", list(ct, md, seq(oidElement("\x2a\x03\x04"), rawSet(null()), null())))
	case1("attribute that is no sequence", Malformed, "", list(ct, md, null()))
	case1("many attributes", TooLarge, "s-limits", list(append([][]byte{ct, md}, manyAttributes(MaxAttributes)...)...))
	case1("unsigned attribute", "", "", signerDef{unsigned: [][]byte{attribute("\x2a\x03\x04", utf8String("x"))}})
	case1("unsigned attributes empty", "", "", signerDef{unsigned: [][]byte{}})
	case1("unsigned digest of other content", "", "", signerDef{unsigned: [][]byte{attribute(oidMessageDigest, octets(other))}})
	case1("unsigned attribute broken", Malformed, "", signerDef{unsigned: [][]byte{null()}})
	case1("digest only unsigned", Malformed, "", signerDef{attrs: [][]byte{ct}, unsigned: [][]byte{md}})
	case1("signature flipped", BadSignature, "", signerDef{badSig: true})
	case1("signature over the content though there are attributes", BadSignature, "", signerDef{signOver: script})
	asContent := set(usualAttrs(sum)...)
	add(vcase{name: "attributes as content, without attributes", keyring: ring, want: WrongContent, stricter: "s-attributes-as-content", content: asContent,
		p7s: messageDef{certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: asContent, noAttrs: true}.der()}}.der()})
	add(vcase{name: "attributes as content, with attributes of its own", keyring: ring, content: asContent, p7s: message(asContent, leafDER, "p256-2")})
	add(vcase{name: "a set that is no attributes as content", keyring: ring, content: set(integer(1)),
		p7s: messageDef{certs: [][]byte{leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: set(integer(1)), noAttrs: true}.der()}}.der()})
	flipped := message(script, leafDER, "p256-2")
	add(vcase{name: "attribute changed after signing", keyring: ring, want: BadSignature,
		p7s: replace(flipped, attribute(oidSigningTime, tlv(0x17, []byte("260601000000Z"))), 1, 0, 4, 0, 3, 1)})
	add(vcase{name: "attribute taken away after signing", keyring: ring, want: BadSignature, p7s: remove(flipped, 1, 1, 0, 4, 0, 3)})
	add(vcase{name: "attributes taken away after signing", keyring: ring, want: WrongContent, p7s: remove(flipped, 3, 1, 0, 4, 0)})
}

func sort2(a, b []byte) [][]byte { return children(set(a, b)) }

func manyAttributes(n int) [][]byte {
	var list [][]byte
	for i := range n {
		list = append(list, attribute("\x2a\x03\x04", integer(int64(i))))
	}
	return list
}

// contentCases: what was signed, and content inside the message.
func contentCases(add func(vcase)) {
	s := signerDef{cert: leafDER, key: "p256-2", content: script}
	m := func(name string, want Reason, stricter string, d messageDef) {
		d.certs, d.signers = [][]byte{leafDER}, [][]byte{s.der()}
		add(vcase{name: name, keyring: ring, p7s: d.der(), want: want, stricter: stricter})
	}
	m("embedded, equal", EmbeddedContent, "s-embedded", messageDef{content: ctx(0, octets(script))})
	m("embedded, other", EmbeddedContent, "s-embedded", messageDef{content: ctx(0, octets([]byte("other")))})
	m("embedded, empty", EmbeddedContent, "s-embedded", messageDef{content: ctx(0, octets(nil))})
	m("embedded, no string", Malformed, "", messageDef{content: ctx(0, integer(5))})
	m("embedded, empty tag", Malformed, "", messageDef{content: ctx(0)})
	m("embedded, two strings", Malformed, "", messageDef{content: ctx(0, octets(script), octets(script))})
	m("type signedData without content", "", "", messageDef{contentType: oidSignedData})
	m("type envelopedData without content", "", "", messageDef{contentType: oidEnvelopedData})
	m("type unknown without content", "", "", messageDef{contentType: "\x2a\x03\x04"})
	m("type TSTInfo without content", "", "", messageDef{contentType: "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x04"})
	m("type unknown with octets", EmbeddedContent, "s-embedded", messageDef{contentType: "\x2a\x03\x04", content: ctx(0, octets(script))})
	m("type unknown with a sequence", Malformed, "s-embedded", messageDef{contentType: "\x2a\x03\x04", content: ctx(0, seq(null()))})
	good := message(script, leafDER, "p256-2")
	for name, content := range map[string][]byte{
		"empty": {}, "one byte more": append(slices.Clone(script), '\n'), "one byte less": script[:len(script)-1], "CRLF": []byte("#!/bin/sh\r\nlogger hello\r\nexit 0\r\n"),
		"BOM before": append([]byte("\xef\xbb\xbf"), script...), "NUL at the end": append(slices.Clone(script), 0),
	} {
		add(vcase{name: "content " + name, keyring: ring, content: content, p7s: good, want: WrongContent})
	}
	for i := 0; i < len(script); i++ {
		c := slices.Clone(script)
		c[i] ^= 1 << (i % 8)
		add(vcase{name: "content bit flipped in byte " + itoa(i), keyring: ring, content: c, p7s: good, want: WrongContent})
	}
	add(vcase{name: "empty content, signed", keyring: ring, content: []byte{}, p7s: message(nil, leafDER, "p256-2")})
	add(vcase{name: "binary content, signed", keyring: ring, content: []byte("\x00\xff\r\n\n\r"), p7s: message([]byte("\x00\xff\r\n\n\r"), leafDER, "p256-2")})
}
