// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "slices"

var ekuSets = []struct {
	name string
	oids []string
}{
	{"none", nil}, {"empty", []string{}}, {"email", []string{ekuEmail}}, {"code", []string{ekuCodeSign}},
	{"server", []string{ekuServerAuth}}, {"client", []string{ekuClientAuth}}, {"any", []string{ekuAny}},
	{"email+server", []string{ekuEmail, ekuServerAuth}}, {"any+server", []string{ekuAny, ekuServerAuth}},
	{"any+email", []string{ekuAny, ekuEmail}}, {"ocsp", []string{ekuOCSP}}, {"time", []string{ekuTimeStamp}},
	{"unknown", []string{"\x2a\x03\x04"}}, {"unknown+email", []string{"\x2a\x03\x04", ekuEmail}},
}

// threeChain is a root, an intermediate and a signer with the given extensions.
func threeChain(rootExt, interExt, leafExt [][]byte) (keyring []byte, certs [][]byte) {
	root := caDef("Root", "p256-1").extOnly(rootExt...)
	inter := certDef{subject: dn("CN=Intermediate"), key: "p256-3", issuer: root.subject, by: "p256-1", ext: interExt}
	low := certDef{subject: dn("CN=Low"), key: "p256-4", issuer: inter.subject, by: "p256-3", ext: leafExt}
	return pemOf(root.der()), [][]byte{low.der(), inter.der()}
}

// purposeCases: every extended key usage at every place, every key usage bit,
// Netscape's types.
func purposeCases(add func(vcase)) {
	isCA := [][]byte{basic(true, -1)}
	for _, e := range ekuSets {
		want := Reason("")
		if e.oids != nil && !slices.Contains(e.oids, ekuEmail) {
			want = PurposeMismatch
		}
		for i, place := range []string{"root", "intermediate", "signer"} {
			for _, critical := range []bool{false, true} {
				if critical && (e.oids == nil || i == 1) {
					continue
				}
				ext := [][][]byte{isCA, isCA, {}}
				if e.oids != nil {
					ext[i] = append(slices.Clone(ext[i]), extUsage(critical, e.oids...))
				}
				k, certs := threeChain(ext[0], ext[1], ext[2])
				name := "EKU " + e.name + " on the " + place
				if critical {
					name += ", critical"
				}
				add(chainCase(name, want, "", k, "p256-4", certs...))
			}
		}
	}
	usageCases(add)
	netscapeCases(add)
	self := certDef{subject: dn("CN=Self"), key: "p256-6"}
	for _, e := range ekuSets[2:7] {
		want := PurposeMismatch
		if e.name == "email" {
			want = ""
		}
		d := self.extOnly(extUsage(false, e.oids...)).der()
		add(chainCase("EKU "+e.name+" on a self-signed signer", want, "", pemOf(d), "p256-6", d))
	}
}

func usageCases(add func(vcase)) {
	isCA := [][]byte{basic(true, -1)}
	names := []string{"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement", "keyCertSign", "cRLSign", "encipherOnly"}
	for i, n := range names {
		bit := byte(0x80 >> i)
		want := PurposeMismatch
		if i < 2 {
			want = ""
		}
		k, certs := threeChain(isCA, isCA, [][]byte{keyUsage(bit)})
		add(chainCase("usage "+n+" on the signer", want, "", k, "p256-4", certs...))
		for j, place := range []string{"root", "intermediate"} {
			want := BadChain
			if n == "keyCertSign" {
				want = ""
			}
			ext := [][][]byte{isCA, isCA}
			ext[j] = append(slices.Clone(isCA), keyUsage(bit))
			k, certs := threeChain(ext[0], ext[1], nil)
			add(chainCase("usage "+n+" on the "+place, want, "", k, "p256-4", certs...))
		}
	}
	for name, ext := range map[string][]byte{
		"all": keyUsage(0xff), "decipherOnly": extension("\x55\x1d\x0f", true, []byte{3, 3, 7, 0, 0x80}),
		"signature+decipherOnly": extension("\x55\x1d\x0f", true, []byte{3, 3, 7, 0x80, 0x80}),
	} {
		k, certs := threeChain(isCA, isCA, [][]byte{ext})
		want := Reason("")
		if name == "decipherOnly" {
			want = PurposeMismatch
		}
		add(chainCase("usage "+name+" on the signer", want, "", k, "p256-4", certs...))
	}
	for name, value := range map[string][]byte{
		"empty": {3, 1, 0}, "zero": {3, 2, 0, 0}, "no bit string": {4, 1, 0x80}, "unused bits set": {3, 2, 1, 0x81}, "nine unused bits": {3, 2, 9, 0x80}, "nothing": {},
	} {
		k, certs := threeChain(isCA, isCA, [][]byte{extension("\x55\x1d\x0f", true, value)})
		c := chainCase("usage "+name+" on the signer", Unsupported, "", k, "p256-4", certs...)
		if name == "unused bits set" {
			c.stricter = "s-der-values"
		}
		add(c)
	}
}

func netscapeCases(add func(vcase)) {
	isCA := [][]byte{basic(true, -1)}
	for _, n := range []struct {
		name string
		bits byte
		want Reason
	}{{"S/MIME", nsSMIME, ""}, {"SSL client", nsClient, ""}, {"SSL server", 0x40, PurposeMismatch}, {"object signing", 0x10, PurposeMismatch}, {"nothing", 0, PurposeMismatch}} {
		k, certs := threeChain(isCA, isCA, [][]byte{nsCertType(n.bits)})
		add(chainCase("Netscape "+n.name+" on the signer", n.want, "", k, "p256-4", certs...))
	}
	for _, n := range []struct {
		name string
		bits byte
		want Reason
	}{{"S/MIME CA", nsSMIMECA, ""}, {"SSL CA", nsSSLCA, PurposeMismatch}, {"object CA", nsObjCA, PurposeMismatch}, {"no CA", nsSMIME, BadChain}} {
		root := caDef("Root", "p256-1").extOnly(nsCertType(n.bits))
		add(chainCase("Netscape "+n.name+" on the root", n.want, "", pemOf(root.der()), "p256-2", leafDef("Signer", "p256-2", root).extOnly().der()))
	}
	k, certs := threeChain(isCA, [][]byte{nsCertType(nsSMIMECA)}, nil)
	add(chainCase("Netscape S/MIME CA on the intermediate", BadChain, "", k, "p256-4", certs...))
}

// constraintCases: who is a CA, path lengths, critical extensions, versions.
func constraintCases(add func(vcase)) {
	isCA := [][]byte{basic(true, -1)}
	three := func(name string, want Reason, stricter string, root, inter, leaf [][]byte) {
		k, certs := threeChain(root, inter, leaf)
		add(chainCase(name, want, stricter, k, "p256-4", certs...))
	}
	three("all usual", "", "", isCA, isCA, nil)
	three("root without basic constraints", BadChain, "", nil, isCA, nil)
	three("intermediate without basic constraints", BadChain, "", isCA, nil, nil)
	three("root with usage only", "", "", [][]byte{keyUsage(usageCertSign)}, isCA, nil)
	three("intermediate with usage only", BadChain, "", isCA, [][]byte{keyUsage(usageCertSign)}, nil)
	three("root no CA", BadChain, "", [][]byte{basic(false, -1)}, isCA, nil)
	three("intermediate no CA", BadChain, "", isCA, [][]byte{basic(false, -1)}, nil)
	three("intermediate with empty basic constraints", BadChain, "", isCA, [][]byte{extension("\x55\x1d\x13", true, seq())}, nil)
	three("intermediate with CA said to be false", BadChain, "", isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(false)))}, nil)
	three("signer with CA said to be false", "", "", isCA, isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(false)))})
	three("signer that is a CA", "", "", isCA, isCA, isCA)
	three("CA flag of another value", Unsupported, "s-der-values", isCA, [][]byte{extension("\x55\x1d\x13", true, seq([]byte{1, 1, 1}))}, nil)
	three("basic constraints not critical", "", "", [][]byte{extension("\x55\x1d\x13", false, seq(boolean(true)))}, isCA, nil)
	three("basic constraints twice", Unsupported, "", isCA, [][]byte{basic(true, -1), basic(true, -1)}, nil)
	three("basic constraints broken", Unsupported, "", isCA, [][]byte{extension("\x55\x1d\x13", true, integer(1))}, nil)
	three("basic constraints with more", Unsupported, "", isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(true), integer(1), integer(1)))}, nil)
	three("path length 0 on the root", BadChain, "", [][]byte{basic(true, 0)}, isCA, nil)
	three("path length 1 on the root", "", "", [][]byte{basic(true, 1)}, isCA, nil)
	three("path length 0 on the intermediate", "", "", isCA, [][]byte{basic(true, 0)}, nil)
	three("path length 0 on both", BadChain, "", [][]byte{basic(true, 0)}, [][]byte{basic(true, 0)}, nil)
	three("path length on the signer", "", "", isCA, isCA, [][]byte{basic(false, 0)})
	three("path length negative", Unsupported, "", isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(true), integer(-1)))}, nil)
	three("path length huge", "", "", isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(true), integer(1<<30)))}, nil)
	three("path length of ten bytes", Unsupported, "s-der-values", isCA, [][]byte{extension("\x55\x1d\x13", true, seq(boolean(true), tlv(2, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10})))}, nil)
	selfIssuedPath(add)
	for _, v := range []int64{-1, 0, 1, 3, 9} {
		root := caDef("Root", "p256-1").extOnly(basic(true, -1))
		root.version = v
		add(chainCase("root version field "+itoa(int(v)), "", "", pemOf(root.der()), "p256-2", leafDef("Signer", "p256-2", root).extOnly().der()))
		d := leafDef("Signer", "p256-2", ca).extOnly()
		d.version = v
		add(chainCase("signer version field "+itoa(int(v)), "", "", ring, "p256-2", d.der()))
	}
	v1 := certDef{subject: dn("CN=V1 root"), key: "p256-1", version: -1, noExt: true}
	add(chainCase("v1 root without extensions", "", "", pemOf(v1.der()), "p256-2", leafDef("Signer", "p256-2", v1).extOnly().der()))
	v3 := certDef{subject: dn("CN=V3 root"), key: "p256-1", noExt: true}
	add(chainCase("v3 root without extensions", BadChain, "", pemOf(v3.der()), "p256-2", leafDef("Signer", "p256-2", v3).extOnly().der()))
	v1Inter := certDef{subject: dn("CN=V1 intermediate"), key: "p256-3", version: -1, noExt: true, issuer: ca.subject, by: "p256-1"}
	add(chainCase("v1 intermediate", BadChain, "", ring, "p256-2", leafDef("Signer", "p256-2", v1Inter).extOnly().der(), v1Inter.der()))
	v1Leaf := certDef{subject: dn("CN=V1 signer"), key: "p256-2", version: -1, noExt: true, issuer: ca.subject, by: "p256-1"}.der()
	add(chainCase("v1 signer", "", "", ring, "p256-2", v1Leaf))
	v1Explicit := v1
	v1Explicit.version = 100 // replaced below: version field with v1's value
	der := v1Explicit.der()
	der = replace(der, ctx(0, integer(0)), 0, 0)
	sig := key("p256-1").sign(at(der, 0), 5)
	der = replace(der, bitString(sig), 2)
	add(chainCase("v1 root with the version written out", "", "", pemOf(der), "p256-2", leafDef("Signer", "p256-2", v1).extOnly().der()))
}

// selfIssuedPath: self-issued intermediates do not count for the path length.
func selfIssuedPath(add func(vcase)) {
	root := certDef{subject: dn("CN=Root"), key: "p256-1", ext: [][]byte{basic(true, 1), ski("p256-1"), aki("p256-1")}}
	newKey := certDef{subject: dn("CN=Root"), issuer: dn("CN=Root"), key: "p256-5", by: "p256-1", ext: [][]byte{basic(true, 1), ski("p256-5"), aki("p256-1")}}
	inter := certDef{subject: dn("CN=Inter"), issuer: dn("CN=Root"), key: "p256-3", by: "p256-5", ext: [][]byte{basic(true, 0), ski("p256-3"), aki("p256-5")}}
	low := certDef{subject: dn("CN=Low"), issuer: dn("CN=Inter"), key: "p256-4", by: "p256-3", ext: [][]byte{aki("p256-3")}}
	add(chainCase("path length 1, self-issued and one more", "", "", pemOf(root.der()), "p256-4", low.der(), inter.der(), newKey.der()))
	second := certDef{subject: dn("CN=Inter 2"), issuer: dn("CN=Inter"), key: "p256-2", by: "p256-3", ext: [][]byte{basic(true, -1), aki("p256-3")}}
	lower := certDef{subject: dn("CN=Low"), issuer: dn("CN=Inter 2"), key: "p256-4", by: "p256-2"}
	add(chainCase("path length exceeded below a self-issued one", BadChain, "", pemOf(root.der()), "p256-4", lower.der(), second.der(), inter.der(), newKey.der()))
	selfIssuedLeaf := certDef{subject: dn("CN=Inter"), issuer: dn("CN=Inter"), key: "p256-4", by: "p256-3", ext: [][]byte{ski("p256-4"), aki("p256-3")}}
	add(chainCase("self-issued signer", "", "", pemOf(root.der()), "p256-4", selfIssuedLeaf.der(), inter.der(), newKey.der()))
}

// extensionCases: unknown and odd extensions.
func extensionCases(add func(vcase)) {
	isCA := [][]byte{basic(true, -1)}
	for i, place := range []string{"root", "intermediate", "signer"} {
		one := func(name string, want Reason, stricter string, ext ...[]byte) {
			all := [][][]byte{isCA, isCA, {}}
			all[i] = append(slices.Clone(all[i]), ext...)
			k, certs := threeChain(all[0], all[1], all[2])
			if want == Malformed && i == 0 {
				want = BadPEM
			}
			add(chainCase(name+" on the "+place, want, stricter, k, "p256-4", certs...))
		}
		one("unknown", "", "", extension("\x2a\x03\x04", false, null()))
		one("unknown twice", "", "", extension("\x2a\x03\x04", false, null()), extension("\x2a\x03\x04", false, null()))
		one("unknown critical", BadChain, "", extension("\x2a\x03\x04", true, null()))
		one("known but not handled, critical", BadChain, "", extension("\x55\x1d\x12", true, seq(dns("a.example"))))
		one("subject key identifier critical", BadChain, "", extension("\x55\x1d\x0e", true, octets([]byte("x"))))
		one("policies", "", "", extension("\x55\x1d\x20", false, seq(seq(oidElement("\x55\x1d\x20\x00")))))
		one("policies critical", "", "", extension("\x55\x1d\x20", true, seq(seq(oidElement("\x55\x1d\x20\x00")))))
		one("policies broken, critical", "", "", extension("\x55\x1d\x20", true, null()))
		one("policy mappings critical", "", "", extension("\x55\x1d\x21", true, seq()))
		one("policy constraints critical", "", "", extension("\x55\x1d\x24", true, seq(ctxPrim(0, []byte{0}))))
		one("inhibit any policy critical", "", "", extension("\x55\x1d\x36", true, integer(0)))
		one("OCSP nocheck critical", "", "", extension("\x2b\x06\x01\x05\x05\x07\x30\x01\x05", true, null()))
		one("distribution point", "", "", extension("\x55\x1d\x1f", false, seq(seq(ctx(0, ctx(0, uri("http://example.org/crl")))))))
		one("distribution point critical", "", "", extension("\x55\x1d\x1f", true, seq(seq(ctx(0, ctx(0, uri("http://example.org/crl")))))))
		one("distribution point relative", Unsupported, "s-rare-names", extension("\x55\x1d\x1f", false, seq(seq(ctx(0, ctx(1, seq(oidElement(oidCommonName), utf8String("x"))))))))
		one("distribution point with reasons and issuer", "", "", extension("\x55\x1d\x1f", false, seq(seq(ctxPrim(1, []byte{6, 0x40}), ctx(2, dirName(dn("CN=x")))))))
		one("distribution point broken", Unsupported, "", extension("\x55\x1d\x1f", false, seq(null())))
		one("alternative names", "", "", altNames(dns("a.example"), email("a@example.org"), uri("urn:x"), ctxPrim(7, []byte{1, 2, 3, 4}), dirName(dn("CN=x"))))
		one("alternative name registered, broken", Unsupported, "", altNames(ctxPrim(8, []byte{0x80})))
		one("alternative name registered, empty", Unsupported, "", altNames(ctxPrim(8, nil)))
		one("alternative name other, without value", Unsupported, "", altNames(ctx(0, oidElement("\x2a\x03\x04"), ctx(0))))
		one("alternative name other, two values", Unsupported, "", altNames(ctx(0, oidElement("\x2a\x03\x04"), ctx(0, null(), null()))))
		one("alternative name of an unknown kind", Unsupported, "", altNames(ctxPrim(9, nil)))
		one("distribution point with broken reasons", Unsupported, "", extension("\x55\x1d\x1f", false, seq(seq(ctxPrim(1, nil)))))
		one("alternative names empty", "", "", altNames())
		one("alternative names broken", Unsupported, "", extension("\x55\x1d\x11", false, integer(1)))
		one("alternative name other", "", "", altNames(ctx(0, oidElement("\x2a\x03\x04"), ctx(0, utf8String("x")))))
		one("alternative name registered", "", "", altNames(ctxPrim(8, []byte("\x2a\x03\x04"))))
		one("alternative name EDI", Unsupported, "s-rare-names", altNames(ctx(5, ctx(1, utf8String("x")))))
		one("proxy certificate", Unsupported, "", extension("\x2b\x06\x01\x05\x05\x07\x01\x0e", true, seq(seq(oidElement("\x2b\x06\x01\x05\x05\x07\x15\x01")))))
		one("critical said to be false", "", "", seq(oidElement("\x2a\x03\x04"), boolean(false), octets(null())))
		one("critical flag of another value", Malformed, "s-der-values", seq(oidElement("\x55\x1d\x20"), []byte{1, 1, 1}, octets(seq())))
		one("extension without value", Malformed, "", seq(oidElement("\x2a\x03\x04")))
		one("extension with more", Malformed, "", seq(oidElement("\x2a\x03\x04"), octets(nil), null()))
		one("IP resources", Unsupported, "s-rfc3779", extension("\x2b\x06\x01\x05\x05\x07\x01\x07", false, seq(seq(octets([]byte{0, 1}), null()))))
	}
}

// nameConstraintCases: constraints of the intermediate and the root on the
// names below them.
func nameConstraintCases(add func(vcase)) {
	isCA := basic(true, -1)
	c := func(name string, want Reason, stricter string, nc []byte, subject []byte, ext ...[]byte) {
		root := caDef("Root", "p256-1").extOnly(isCA)
		inter := certDef{subject: dn("O=Corpus", "CN=Intermediate"), key: "p256-3", issuer: root.subject, by: "p256-1", ext: [][]byte{isCA, nc}}
		low := certDef{subject: subject, key: "p256-4", issuer: inter.subject, by: "p256-3", ext: ext}
		add(chainCase(name, want, stricter, pemOf(root.der()), "p256-4", low.der(), inter.der()))
	}
	permit := func(g ...[]byte) []byte { return constraints(false, g, nil) }
	exclude := func(g ...[]byte) []byte { return constraints(true, nil, g) }
	corpusOrg := dn("O=Corpus")
	inOrg, outOrg := dn("O=Corpus", "CN=Low"), dn("O=Else", "CN=Low")
	c("directory permitted", "", "", permit(dirName(corpusOrg)), inOrg)
	c("directory permitted, other letters", "", "", permit(dirName(seq(rdn("\x55\x04\x0a", printable("CORPUS "))))), inOrg)
	c("directory not permitted", NameConstraint, "", permit(dirName(corpusOrg)), outOrg)
	c("directory excluded", NameConstraint, "", exclude(dirName(corpusOrg)), inOrg)
	c("directory not excluded", "", "", exclude(dirName(corpusOrg)), outOrg)
	c("directory of two permitted", "", "", permit(dirName(dn("O=X")), dirName(corpusOrg)), inOrg)
	c("directory permitted and excluded", NameConstraint, "", constraints(true, [][]byte{dirName(corpusOrg)}, [][]byte{dirName(inOrg)}), inOrg)
	c("directory, empty subject", "", "", permit(dirName(corpusOrg)), seq())
	c("directory, everything excluded", NameConstraint, "", exclude(dirName(seq())), inOrg)
	c("directory in alternative name", NameConstraint, "", permit(dirName(corpusOrg)), inOrg, altNames(dirName(outOrg)))
	mail := func(s string) []byte { return dn("O=Corpus", "CN=Low", "E="+s) }
	c("mail host permitted", "", "", permit(email("example.org")), mail("a@example.org"))
	c("mail host in other letters", "", "", permit(email("EXAMPLE.org")), mail("a@Example.ORG"))
	c("mail host not permitted", NameConstraint, "", permit(email("example.org")), mail("a@example.com"))
	c("mail subdomain of a host", NameConstraint, "", permit(email("example.org")), mail("a@x.example.org"))
	c("mail domain permitted", "", "", permit(email(".example.org")), mail("a@x.example.org"))
	c("mail domain itself", NameConstraint, "", permit(email(".example.org")), mail("a@example.org"))
	c("mail address permitted", "", "", permit(email("a@example.org")), mail("a@example.org"))
	c("mail address, other letters", NameConstraint, "", permit(email("a@example.org")), mail("A@example.org"))
	c("mail excluded", NameConstraint, "", exclude(email("example.org")), mail("a@example.org"))
	c("mail in alternative name not permitted", NameConstraint, "", permit(email("example.org")), inOrg, altNames(email("a@example.com")))
	c("mail without at", NameConstraint, "", permit(email("example.org")), mail("example.org"))
	c("mail as UTF-8", NameConstraint, "", permit(dns("example.org")), seq(rdn(oidEmailAddress, utf8String("a@example.org"))))
	c("no mail at all", "", "", permit(email("example.org")), inOrg)
	c("DNS permitted", "", "", permit(dns("example.org")), inOrg, altNames(dns("a.example.org")))
	c("DNS itself", "", "", permit(dns("example.org")), inOrg, altNames(dns("example.org")))
	c("DNS with a dot", "", "", permit(dns(".example.org")), inOrg, altNames(dns("a.example.org")))
	c("DNS not permitted", NameConstraint, "", permit(dns("example.org")), inOrg, altNames(dns("aexample.org")))
	c("DNS excluded", NameConstraint, "", exclude(dns("example.org")), inOrg, altNames(dns("a.example.org")))
	c("DNS, everything excluded", NameConstraint, "", exclude(dns("")), inOrg, altNames(dns("a")))
	c("DNS-like common name not permitted", NameConstraint, "", permit(dns("example.org")), dn("CN=host.example.com"))
	c("DNS-like common name permitted", "", "", permit(dns("example.org")), dn("CN=host.example.org"))
	c("DNS-like common name with an alternative DNS name", "", "", permit(dns("example.org")), dn("CN=host.example.com"), altNames(dns("a.example.org")))
	c("common name that is no host", "", "", permit(dns("example.org")), dn("CN=Field technician"))
	c("common name of one label", "", "", permit(dns("example.org")), dn("CN=host"))
	c("common name with an underscore", NameConstraint, "", permit(dns("example.org")), dn("CN=a_b.example.com"))
	c("common name with two dots", "", "", permit(dns("example.org")), dn("CN=a..example.com"))
	c("common name with a NUL", NameConstraint, "", permit(dns("example.org")), dn("CN=a\x00b.example.org"))
	c("common name with a NUL at its end", NameConstraint, "", permit(dns("example.org")), dn("CN=a.example.com\x00"))
	c("URI permitted", "", "", permit(uri("example.org")), inOrg, altNames(uri("http://example.org/x")))
	c("URI domain", "", "", permit(uri(".example.org")), inOrg, altNames(uri("http://a.example.org:80/x")))
	c("URI not permitted", NameConstraint, "", permit(uri("example.org")), inOrg, altNames(uri("http://example.com/")))
	c("URI without host", NameConstraint, "", permit(uri("example.org")), inOrg, altNames(uri("urn:x")))
	c("URI with a user", NameConstraint, "", permit(uri("example.org")), inOrg, altNames(uri("http://u@example.org/")))
	c("IP permitted", "", "", permit(ctxPrim(7, []byte{10, 0, 0, 0, 255, 0, 0, 0})), inOrg, altNames(ctxPrim(7, []byte{10, 1, 2, 3})))
	c("IP not permitted", NameConstraint, "", permit(ctxPrim(7, []byte{10, 0, 0, 0, 255, 0, 0, 0})), inOrg, altNames(ctxPrim(7, []byte{11, 1, 2, 3})))
	c("IPv6 against IPv4", NameConstraint, "", permit(ctxPrim(7, []byte{10, 0, 0, 0, 255, 0, 0, 0})), inOrg, altNames(ctxPrim(7, make([]byte, 16))))
	c("IP of a wrong length", NameConstraint, "", permit(ctxPrim(7, []byte{10, 0, 0, 0, 255, 0, 0, 0})), inOrg, altNames(ctxPrim(7, []byte{1, 2, 3})))
	c("registered identifier", NameConstraint, "", permit(ctxPrim(8, []byte("\x2a\x03"))), inOrg, altNames(ctxPrim(8, []byte("\x2a\x03\x04"))))
	c("other name", NameConstraint, "", permit(ctx(0, oidElement("\x2a\x03\x04"), ctx(0, utf8String("x")))), inOrg, altNames(ctx(0, oidElement("\x2a\x03\x04"), ctx(0, utf8String("x")))))
	c("other name of another type", NameConstraint, "s-rare-names", permit(ctx(0, oidElement("\x2a\x03\x04"), ctx(0, utf8String("x")))), inOrg, altNames(ctx(0, oidElement("\x2a\x03\x05"), ctx(0, utf8String("x")))))
	c("minimum 0", NameConstraint, "s-rare-names", extension("\x55\x1d\x1e", true, seq(ctx(0, seq(dirName(corpusOrg), ctxPrim(0, []byte{0}))))), inOrg)
	c("minimum 1", NameConstraint, "", extension("\x55\x1d\x1e", true, seq(ctx(0, seq(dirName(corpusOrg), ctxPrim(0, []byte{1}))))), inOrg)
	c("empty constraints", "", "", extension("\x55\x1d\x1e", true, seq()), inOrg)
	c("broken constraints", Unsupported, "", extension("\x55\x1d\x1e", true, seq(null())), inOrg)
	manyNames := altNames(slices.Repeat([][]byte{dns("a.example.org")}, 1100)...)
	c("a thousand names and constraints", NameConstraint, "", exclude(slices.Repeat([][]byte{dns("b.example.org")}, 1000)...), seq(), manyNames)
	c("a thousand names, a few constraints", "", "", exclude(slices.Repeat([][]byte{dns("b.example.org")}, 10)...), seq(), manyNames)
	const side = 1 << 10
	most := altNames(slices.Repeat([][]byte{dns("a.example.org")}, side)...)
	for _, more := range []int{0, 1} {
		want := map[bool]Reason{true: NameConstraint}[side*(side+more) > MaxNameChecks]
		c("as many names times constraints as allowed, and "+itoa(more)+" more", want, "", exclude(slices.Repeat([][]byte{dns("b.example.org")}, side+more)...), seq(), most)
	}
	// On the root, over the intermediate too.
	root := caDef("Root", "p256-1").extOnly(isCA, constraints(true, [][]byte{dirName(corpusOrg)}, nil))
	inter := certDef{subject: dn("O=Else", "CN=Intermediate"), key: "p256-3", issuer: root.subject, by: "p256-1", ext: [][]byte{isCA}}
	low := certDef{subject: inOrg, key: "p256-4", issuer: inter.subject, by: "p256-3"}
	add(chainCase("intermediate outside of the root's", NameConstraint, "", pemOf(root.der()), "p256-4", low.der(), inter.der()))
	inter.subject = dn("O=Corpus", "CN=Intermediate")
	low.issuer = inter.subject
	add(chainCase("intermediate inside of the root's", "", "", pemOf(root.der()), "p256-4", low.der(), inter.der()))
	self := certDef{subject: outOrg, key: "p256-6", ext: [][]byte{isCA, constraints(true, [][]byte{dirName(corpusOrg)}, nil)}}.der()
	add(chainCase("own constraints of a self-signed signer", "", "", pemOf(self), "p256-6", self))
}
