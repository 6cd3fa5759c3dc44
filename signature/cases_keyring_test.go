// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"os"
	"slices"
	"strings"
)

// nameCases: names that are the same, or nearly.
func nameCases(add func(vcase)) {
	utf16be := func(s string) []byte {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r>>8), byte(r))
		}
		return b
	}
	utf32be := func(s string) []byte {
		var b []byte
		for _, r := range s {
			b = append(b, byte(r>>24), byte(r>>16), byte(r>>8), byte(r))
		}
		return b
	}
	cn := func(v []byte) []byte { return seq(rdn(oidCommonName, v)) }
	c := func(name string, want Reason, stricter string, subject, issuer []byte) {
		root := certDef{subject: subject, key: "p256-1", ext: [][]byte{basic(true, -1)}}
		low := certDef{subject: dn("CN=Low"), key: "p256-2", issuer: issuer, by: "p256-1"}
		add(chainCase(name, want, stricter, pemOf(root.der()), "p256-2", low.der()))
	}
	plain := cn(utf8String("Root CA"))
	c("the same", "", "", plain, plain)
	c("printable and UTF-8", "", "", plain, cn(printable("Root CA")))
	c("IA5 and UTF-8", "", "", plain, cn(ia5("Root CA")))
	c("T61 and UTF-8", "", "", plain, cn(tlv(0x14, []byte("Root CA"))))
	c("BMP and UTF-8", "", "", plain, cn(tlv(0x1e, utf16be("Root CA"))))
	c("universal and UTF-8", "", "", plain, cn(tlv(0x1c, utf32be("Root CA"))))
	c("T61 with Latin-1", "", "", cn(utf8String("Künzler")), cn(tlv(0x14, []byte("K\xfcnzler"))))
	c("BMP with Cyrillic", "", "", cn(utf8String("Корень")), cn(tlv(0x1e, utf16be("Корень"))))
	c("other letters", "", "", plain, cn(utf8String("ROOT ca")))
	c("other letters outside ASCII", UntrustedIssuer, "", cn(utf8String("KÜNZLER")), cn(utf8String("künzler")))
	c("white space", "", "", plain, cn(utf8String("  Root \t  CA ")))
	c("other white space", UntrustedIssuer, "", plain, cn(utf8String("Root\u00a0CA")))
	c("one letter more", UntrustedIssuer, "", plain, cn(utf8String("Root CAs")))
	c("composed and not", UntrustedIssuer, "", cn(utf8String("\u00e9")), cn(utf8String("e\u0301")))
	c("numeric and UTF-8", UntrustedIssuer, "", cn(utf8String("12345")), cn(tlv(0x12, []byte("12345"))))
	c("numeric twice", "", "", cn(tlv(0x12, []byte("12345"))), cn(tlv(0x12, []byte("12345"))))
	c("empty names", "", "", seq(), seq())
	c("empty value", "", "", cn(utf8String("")), cn(utf8String(" ")))
	c("NUL inside", "", "", cn(utf8String("a\x00b")), cn(utf8String("a\x00b")))
	c("NUL makes a difference", UntrustedIssuer, "", cn(utf8String("a\x00b")), cn(utf8String("a\x00c")))
	two := func(f func(...[]byte) []byte) []byte {
		return seq(f(seq(oidElement(oidCommonName), utf8String("x")), seq(oidElement("\x55\x04\x0a"), utf8String("y"))))
	}
	reversed := seq(rawSet(seq(oidElement("\x55\x04\x0a"), utf8String("y")), seq(oidElement(oidCommonName), utf8String("x"))))
	c("two in one part", "", "", two(set), two(set))
	c("two in one part, other order", "", "", two(set), reversed)
	c("two parts and one part of two", UntrustedIssuer, "", two(set), dn("CN=x", "O=y"))
	c("parts in other order", UntrustedIssuer, "", dn("O=y", "CN=x"), dn("CN=x", "O=y"))
	c("other attribute", UntrustedIssuer, "", dn("O=x"), dn("OU=x"))
	c("empty part", "", "", seq(rawSet()), seq(rawSet()))
	c("broken UTF-8", NoKeyringReason, "", cn(utf8String("\xff\xfe")), cn(utf8String("\xff\xfe")))
	c("BMP of odd length", NoKeyringReason, "", cn(tlv(0x1e, []byte{0, 65, 0})), cn(tlv(0x1e, []byte{0, 65, 0})))
	c("BMP surrogates", NoKeyringReason, "", cn(tlv(0x1e, []byte{0xd8, 0, 0xdc, 0})), cn(tlv(0x1e, []byte{0xd8, 0, 0xdc, 0})))
	c("bit string", NoKeyringReason, "s-rare-names", cn(bitString([]byte{1})), cn(bitString([]byte{1})))
	c("integer", NoKeyringReason, "", cn(integer(5)), cn(integer(5)))
	c("visible string", NoKeyringReason, "", cn(tlv(0x1a, []byte("x"))), cn(tlv(0x1a, []byte("x"))))
	parts := func(n int) []byte { return seq(slices.Repeat([][]byte{rdn(oidCommonName, utf8String("x"))}, n)...) }
	c("as many parts as allowed", "", "", parts(MaxNameParts), parts(MaxNameParts))
	c("more parts than allowed", NoKeyringReason, "s-limits", parts(MaxNameParts+1), parts(MaxNameParts+1))
	c("long", "", "", cn(utf8String(strings.Repeat("x", 5000))), cn(utf8String(strings.Repeat("X", 5000))))
}

// NoKeyringReason is what a keyring with a certificate that nobody can read is
// refused for.
const NoKeyringReason = BadPEM

// fieldCases: serial numbers, dates and other fields of certificates.
func fieldCases(add func(vcase)) {
	one := func(name string, want Reason, stricter string, f func(*certDef)) {
		d := leafDef("Signer", "p256-2", ca)
		f(&d)
		add(chainCase(name+" on the signer", want, stricter, ring, "p256-2", d.der()))
		root := caDef("Root", "p256-1")
		f(&root)
		if want == Malformed || want == NotDER {
			want = BadPEM
		}
		c := chainCase(name+" on the root", want, stricter, pemOf(root.der()), "p256-2", leafDef("Signer", "p256-2", ca).der())
		if strings.HasPrefix(name, "algorithms") { // a root's own signature is not looked at
			c.want, c.stricter = "", ""
		}
		add(c)
	}
	for name, s := range map[string][]byte{"zero": integer(0), "negative": integer(-5), "one": integer(1), "20 bytes": tlv(2, bytes.Repeat([]byte{0x55}, 20)), "40 bytes": tlv(2, bytes.Repeat([]byte{0x55}, 40)), "high bit": tlv(2, []byte{0, 0xff})} {
		one("serial "+name, "", "", func(d *certDef) { d.serial = s })
	}
	one("serial with leading zeros", NotDER, "", func(d *certDef) { d.serial = []byte{2, 2, 0, 5} })
	one("serial of no bytes", NotDER, "", func(d *certDef) { d.serial = []byte{2, 0} })
	one("serial of another type", Malformed, "", func(d *certDef) { d.serial = octets([]byte{1}) })
	utc, gen := func(s string) []byte { return tlv(0x17, []byte(s)) }, func(s string) []byte { return tlv(0x18, []byte(s)) }
	for name, v := range map[string][]byte{
		"expired": seq(utc("000101000000Z"), utc("010101000000Z")), "not yet valid": seq(gen("20990101000000Z"), gen("21000101000000Z")),
		"never ending": seq(utc("250101000000Z"), gen("99991231235959Z")), "before 1970": seq(utc("500101000000Z"), utc("600101000000Z")),
		"end before start": seq(utc("450101000000Z"), utc("250101000000Z")), "generalized before 2050": seq(gen("20200101000000Z"), gen("20300101000000Z")),
		"without seconds": seq(utc("2501010000Z"), utc("4501010000Z")), "with an offset": seq(utc("250101000000+0100"), utc("450101000000+0100")),
		"fractions": seq(gen("20200101000000.5Z"), gen("20300101000000.5Z")), "nonsense": seq(utc("nonsense"), gen("")), "month 13": seq(utc("251301000000Z"), utc("451301000000Z")),
	} {
		one("validity "+name, "", "", func(d *certDef) { d.validity = v })
	}
	one("validity of one date", Malformed, "", func(d *certDef) { d.validity = seq(utc("250101000000Z")) })
	one("validity of three dates", Malformed, "", func(d *certDef) {
		d.validity = seq(utc("250101000000Z"), utc("250101000000Z"), utc("250101000000Z"))
	})
	one("validity of strings", Malformed, "", func(d *certDef) { d.validity = seq(ia5("a"), ia5("b")) })
	one("algorithms that differ", BadChain, "", func(d *certDef) { d.innerAlg = seq(oidElement(oidECDSA384)) })
	one("algorithms with other parameters", BadChain, "", func(d *certDef) { d.innerAlg = seq(oidElement(oidECDSA256), null()) })
	one("key without parameters", Unsupported, "", func(d *certDef) {
		d.spki = seq(seq(oidElement(oidEC)), bitString([]byte{4, 1, 2}))
	})
	one("key of unknown kind", Unsupported, "", func(d *certDef) { d.spki = seq(seq(oidElement("\x2a\x03\x04")), bitString([]byte{1})) })
	one("key missing", Malformed, "", func(d *certDef) { d.spki = seq() })
	d := leafDef("Signer", "p256-2", ca)
	d.alg = seq(oidElement("\x2a\x03\x04"))
	d.sign = func(tbs []byte) []byte { return key("p256-1").sign(tbs, crypto.SHA256) }
	add(chainCase("unknown signature algorithm", Unsupported, "", ring, "p256-2", d.der()))
	d = leafDef("Signer", "p256-2", ca)
	d.alg = seq(oidElement(oidECDSA256), null())
	d.sign = func(tbs []byte) []byte { return key("p256-1").sign(tbs, crypto.SHA256) }
	add(chainCase("ECDSA with NULL parameters", "", "", ring, "p256-2", d.der()))
	uid := leafDef("Signer", "p256-2", ca).der()
	tbs := insert(at(uid, 0), ctxPrim(1, []byte{0, 1, 2}), 7)
	signed := seq(tbs, at(uid, 1), bitString(key("p256-1").sign(tbs, crypto.SHA256)))
	add(chainCase("unique identifier", "", "", ring, "p256-2", signed))
	for name, id := range map[string][]byte{"empty": {}, "with nine unused bits": {9, 1}} {
		add(chainCase("unique identifier "+name, Malformed, "", ring, "p256-2", insert(leafDER, ctxPrim(1, id), 7, 0)))
	}
	add(chainCase("element after the signature value", Malformed, "", ring, "p256-2", seq(append(slices.Clone(children(leafDER)), null())...)))
	value := slices.Clone(at(leafDER, 2)[3:])
	value[len(value)-1] |= 7
	odd := replace(leafDER, tlv(3, []byte{3}, value), 2)
	add(chainCase("signature value with unused bits", NotDER, "", ring, "p256-2", odd))
}

// keyringCases: the file with the trust.
func keyringCases(add func(vcase)) {
	good := message(script, leafDER, "p256-2")
	c := func(name string, want Reason, stricter string, keyring []byte) {
		add(vcase{name: name, keyring: keyring, p7s: good, want: want, stricter: stricter})
	}
	other := caDef("Other", "p256-5").der()
	text := mustRun(ring, "openssl", "x509", "-text")
	crl := pemBlockOf("X509 CRL", crlDef{issuer: ca.subject, by: ca.key}.der())
	b64 := base64.StdEncoding.EncodeToString(caDER)
	block := func(body string) []byte {
		return []byte("-----BEGIN CERTIFICATE-----\n" + body + "-----END CERTIFICATE-----\n")
	}
	lines := func(n int, end string) string {
		var out strings.Builder
		for s := b64; s != ""; {
			k := min(n, len(s))
			out.WriteString(s[:k] + end)
			s = s[k:]
		}
		return out.String()
	}
	cat := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	c("one", "", "", ring)
	c("with another", "", "", cat(pemOf(other), ring))
	c("twice", "", "", cat(ring, ring))
	c("text before and after", "", "", cat([]byte("# the vendor's CA\n"), ring, []byte("# end\n")))
	c("text of openssl x509 -text", "", "", text)
	c("bag attributes", "", "", cat([]byte("Bag Attributes\n    localKeyID: 01 02\nsubject=CN = Root\n"), ring))
	c("CRLF", "", "", bytes.ReplaceAll(ring, []byte("\n"), []byte("\r\n")))
	c("CR", NoCertificate, "", bytes.ReplaceAll(ring, []byte("\n"), []byte("\r")))
	c("no newline at the end", "", "", bytes.TrimRight(ring, "\n"))
	c("byte order mark", "", "", cat([]byte("\xef\xbb\xbf"), ring))
	c("byte order mark before the second", UntrustedIssuer, "", cat(pemOf(other), []byte("text\n\xef\xbb\xbf"), ring))
	c("byte order mark between blocks", "", "", cat(pemOf(other), []byte("\xef\xbb\xbf"), ring))
	c("UTF-16", BadPEM, "", cat([]byte("\xff\xfe"), bytes.ReplaceAll(ring, []byte("-"), []byte("-\x00"))))
	c("spaces after the marks", "", "", bytes.ReplaceAll(ring, []byte("-----\n"), []byte("-----  \t\n")))
	c("spaces before the mark", NoCertificate, "", cat([]byte(" "), ring))
	c("blank line after BEGIN", "", "", block("\n"+lines(64, "\n")))
	c("blank line before END", BadPEM, "", block(lines(64, "\n")+"\n"))
	c("blank line in the middle", BadPEM, "", block(lines(64, "\n")[:65]+"\n"+lines(64, "\n")[65:]))
	c("two blank lines after BEGIN", BadPEM, "", block("\n\n"+lines(64, "\n")))
	c("spaces in lines", "", "", block(lines(64, "  \n")))
	c("spaces inside lines", "", "", block(lines(4, " ")+"\n"))
	c("tabs inside lines", "", "", block(lines(32, "\t")+"\n"))
	c("short lines", "", "", block(lines(20, "\n")))
	c("one line", "", "", block(b64+"\n"))
	c("lines of 76", "", "", block(lines(76, "\n")))
	c("lines of 253", "", "", block(lines(253, "\n")))
	c("lines of 254", "", "", block(lines(254, "\n")))
	c("lines of 255", "", "", block(lines(255, "\n")))
	c("lines of 76 after a blank line", BadPEM, "", block("\n"+lines(76, "\n")))
	c("header lines", BadPEM, "", block("X-Comment: hello\n\n"+lines(64, "\n")))
	c("encrypted header", BadPEM, "", block("Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n"+lines(64, "\n")))
	c("old name", "", "", pemBlockOf("X509 CERTIFICATE", caDER))
	c("lower-case name", NoCertificate, "", pemBlockOf("certificate", caDER))
	c("PKCS7 block", NoCertificate, "", pemBlockOf("PKCS7", message(nil, caDER, "p256-1")))
	c("unknown block before", "", "", cat(pemBlockOf("SOMETHING", []byte("x")), ring))
	c("unknown block, damaged, before", BadPEM, "", cat([]byte("-----BEGIN SOMETHING-----\n*\n-----END SOMETHING-----\n"), ring))
	c("unknown block, empty, before", BadPEM, "", cat([]byte("-----BEGIN SOMETHING-----\n-----END SOMETHING-----\n"), ring))
	c("public key before", "", "", cat(pemBlockOf("PUBLIC KEY", key("p256-1").spki), ring))
	private, _ := os.ReadFile(key("p256-5").file)
	c("private key before", BadPEM, "s-private-key", cat(private, ring))
	c("broken private key before", BadPEM, "", cat(pemBlockOf("PRIVATE KEY", []byte("x")), ring))
	c("CRL after", "", "", cat(ring, crl))
	c("CRL before", "", "", cat(crl, ring))
	c("CRL only", NoCertificate, "", crl)
	c("CRL that revokes the signer", "", "", cat(ring, pemBlockOf("X509 CRL", crlDef{issuer: ca.subject, by: ca.key, revoked: [][]byte{at(leafDER, 0, 1)}}.der())))
	c("CRL broken", BadPEM, "", cat(ring, pemBlockOf("X509 CRL", []byte("x"))))
	c("NUL in a line between blocks", BadPEM, "s-nul", cat(pemOf(other), []byte("a\x00b\n"), ring))
	c("NUL at the beginning of a line between blocks", BadPEM, "", cat(pemOf(other), []byte("\x00\n"), ring))
	c("NUL in a BEGIN line", BadPEM, "", bytes.Replace(ring, []byte("BEGIN CERTIFICATE-"), []byte("BEGIN CERTIFICATE\x00-"), 1))
	c("NUL after a base64 line", BadPEM, "s-nul", block(lines(64, "\x00\n")))
	c("byte above 127 after BEGIN", BadPEM, "s-nul", bytes.Replace(ring, []byte("BEGIN CERTIFICATE-----"), []byte("BEGIN CERTIFICATE-----\xa0"), 1))
	c("byte above 127 after END", BadPEM, "s-nul", bytes.Replace(ring, []byte("END CERTIFICATE-----"), []byte("END CERTIFICATE-----\xa0"), 1))
	c("empty", NoCertificate, "", []byte{})
	c("newline", NoCertificate, "", []byte("\n"))
	c("DER", NoCertificate, "", caDER)
	c("no END", BadPEM, "", cat(ring, []byte("-----BEGIN CERTIFICATE-----\n"), []byte(lines(64, "\n"))))
	c("END of another name", BadPEM, "", bytes.Replace(ring, []byte("END CERTIFICATE"), []byte("END X509"), 1))
	c("BEGIN only", BadPEM, "", cat(ring, []byte("-----BEGIN CERTIFICATE-----\n")))
	c("END only", "", "", cat([]byte("-----END CERTIFICATE-----\n"), ring))
	c("empty block", BadPEM, "", cat(ring, block("")))
	c("a letter too many", BadPEM, "", block(lines(64, "\n")+"A\n"))
	c("a letter too few", BadPEM, "", block(strings.TrimRight(lines(64, "\n"), "=\n")[:len(b64)-9]+"\n"))
	c("a star in it", BadPEM, "", block(strings.Replace(lines(64, "\n"), "A", "*", 1)))
	c("bad base64 in a second block", BadPEM, "", cat(ring, block("QUJD*\n")))
	c("bad DER in a second block", BadPEM, "", cat(ring, pemBlockOf("CERTIFICATE", []byte("\x30\x03abc"))))
	c("bytes after the certificate", BadPEM, "s-trailing", pemBlockOf("CERTIFICATE", append(slices.Clone(caDER), 0, 0)))
	c("certificate in BER", BadPEM, "s-ber", pemBlockOf("CERTIFICATE", indefinite(caDER)))
	c("not a certificate", BadPEM, "", cat(ring, pemBlockOf("CERTIFICATE", seq(integer(1)))))
	c("another with a brainpool key", "", "", cat(pemOf(certDef{subject: dn("CN=B"), key: "brainpool", ext: [][]byte{basic(true, -1)}}.der()), ring))
	c("another with an Ed448 key", "", "", cat(pemOf(caDef("Ed", "ed448").der()), ring))
	c("another with a negative serial", "", "", cat(pemOf(certDef{subject: dn("CN=N"), key: "p256-5", serial: integer(-1)}.der()), ring))
	c("another with odd dates", "", "", cat(pemOf(certDef{subject: dn("CN=N"), key: "p256-5", validity: seq(tlv(0x17, []byte("x")), tlv(0x18, []byte("y")))}.der()), ring))
	c("another with a broken extension", "", "", cat(pemOf(certDef{subject: dn("CN=N"), key: "p256-5", ext: [][]byte{extension("\x55\x1d\x13", true, []byte{1})}}.der()), ring))
	c("another with an unknown critical extension", "", "", cat(pemOf(certDef{subject: dn("CN=N"), key: "p256-5", ext: [][]byte{extension("\x2a\x03\x04", true, null())}}.der()), ring))
	c("too large", TooLarge, "s-limits", cat(bytes.Repeat([]byte("# text\n"), MaxKeyringSize/7), ring))
	trustedCases(c)
	many := [][]byte{}
	small := certDef{subject: dn("CN=x"), key: "p256-5"}
	for range 100 {
		small.serial = nil
		small.sign = func([]byte) []byte { return []byte{0} }
		many = append(many, small.der())
	}
	c("a hundred others", "", "", cat(pemOf(many...), ring))
}

// trustedCases: openssl x509 -addtrust and -addreject.
func trustedCases(c func(name string, want Reason, stricter string, keyring []byte)) {
	trusted := func(args ...string) []byte {
		return mustRun(ring, "openssl", append([]string{"x509", "-trustout"}, args...)...)
	}
	c("trusted certificate without settings", "", "", pemBlockOf("TRUSTED CERTIFICATE", caDER))
	c("trusted certificate, openssl", "", "", trusted())
	for use, want := range map[string]Reason{"emailProtection": "", "serverAuth": UntrustedIssuer, "anyExtendedKeyUsage": "", "codeSigning": UntrustedIssuer} {
		c("trusted for "+use, want, "", trusted("-addtrust", use))
		rejected := UntrustedIssuer
		if want != "" {
			rejected = ""
		}
		c("rejected for "+use, rejected, "", trusted("-addreject", use))
	}
	c("trusted with an alias", "", "", trusted("-setalias", "root"))
	c("trusted and rejected", UntrustedIssuer, "", trusted("-addtrust", "emailProtection", "-addreject", "emailProtection"))
	inter := certDef{subject: ca.subject, key: ca.key, issuer: dn("CN=Elsewhere"), by: "p256-5", ext: [][]byte{basic(true, -1), ski(ca.key)}}
	for use, want := range map[string]Reason{"emailProtection": "", "serverAuth": UntrustedIssuer} {
		c("not self-signed, trusted for "+use, want, "", mustRun(pemOf(inter.der()), "openssl", "x509", "-trustout", "-addtrust", use))
	}
	purposeless := ca.with(extUsage(false, ekuServerAuth))
	c("TLS only, trusted for emailProtection", "", "", mustRun(pemOf(purposeless.der()), "openssl", "x509", "-trustout", "-addtrust", "emailProtection"))
	aux := func(parts ...[]byte) []byte {
		return pemBlockOf("TRUSTED CERTIFICATE", append(slices.Clone(caDER), seq(parts...)...))
	}
	c("settings: empty", "", "", aux())
	c("settings: alias and identifier", "", "", aux(utf8String("x"), octets([]byte("x"))))
	c("settings: in other order", BadPEM, "", aux(octets([]byte("x")), utf8String("x")))
	c("settings: others", "", "", aux(ctx(1, digestAlg(crypto.SHA256))))
	c("settings: broken others", BadPEM, "", aux(ctx(1, null())))
	c("settings: broken trust", BadPEM, "", aux(seq(null())))
	c("settings: an integer", BadPEM, "", aux(integer(1)))
	c("trusted certificate with broken settings", BadPEM, "", pemBlockOf("TRUSTED CERTIFICATE", append(slices.Clone(caDER), 0x30, 5, 1)))
}
