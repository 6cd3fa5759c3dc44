// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"slices"
)

// chainCase is a keyring and a message signed by the first certificate, which
// carries all of certs.
func chainCase(name string, want Reason, stricter string, keyring []byte, keyName string, certs ...[]byte) vcase {
	return vcase{name: name, want: want, stricter: stricter, keyring: keyring, p7s: message(script, certs[0], keyName, certs[1:]...)}
}

// keyCases: kinds and sizes of keys, for the signer and for the CA.
func keyCases(add func(vcase)) {
	for _, k := range []struct {
		key      string
		want     Reason
		stricter string
	}{
		{"rsa512", WeakKey, "s-weak-key"}, {"rsa1024", WeakKey, "s-weak-key"},
		{"rsa2048-2", "", ""}, {"rsa3072", "", ""}, {"rsa4096", "", ""},
		{"p224", "", ""}, {"p256-3", "", ""}, {"p384", "", ""}, {"p521", "", ""},
		{"brainpool", Unsupported, "s-algorithms"}, {"secp256k1", Unsupported, "s-algorithms"},
		{"p256explicit", Unsupported, ""}, // with an issuer, OpenSSL refuses it too
		{"dsa", Unsupported, "s-algorithms"},
		{"ed25519", Unsupported, ""}, {"ed448", Unsupported, ""},
	} {
		cert := leafDef("Signer", k.key, ca).der()
		s := signerDef{cert: cert, key: k.key, content: script}
		if k.key == "ed25519" || k.key == "ed448" {
			s.signOver = script
			s.alg = key(k.key).sigAlg(0)
		}
		add(vcase{name: "signer " + k.key, keyring: ring, want: k.want, stricter: k.stricter, p7s: messageDef{certs: [][]byte{cert}, signers: [][]byte{safeSigner(s)}}.der()})
	}
	for _, k := range []struct {
		key      string
		want     Reason
		stricter string
	}{
		{"rsa512", WeakKey, "s-weak-key"}, {"rsa1024", WeakKey, "s-weak-key"},
		{"rsa2048-2", "", ""}, {"rsa4096", "", ""}, {"p224", "", ""}, {"p384", "", ""}, {"p521", "", ""},
		{"brainpool", Unsupported, "s-algorithms"}, {"p256explicit", Unsupported, ""},
		{"dsa", Unsupported, "s-algorithms"}, {"ed25519", "", ""}, {"ed448", Unsupported, "s-algorithms"},
	} {
		root := caDef("Root "+k.key, k.key)
		add(chainCase("CA "+k.key, k.want, k.stricter, pemOf(root.der()), "p256-2", leafDef("Signer", "p256-2", root).der()))
	}
	for _, h := range []crypto.Hash{crypto.SHA1, crypto.SHA224, crypto.SHA384, crypto.SHA512} {
		for _, caKey := range []string{"rsa2048-2", "p256-1"} {
			root := caDef("Root "+caKey, caKey)
			d := leafDef("Signer", "p256-2", root)
			d.digest = h
			c := chainCase("certificate signed with "+h.String()+" by "+caKey, "", "", pemOf(root.der()), "p256-2", d.der())
			if h == crypto.SHA1 {
				c.want, c.stricter = WeakDigest, "s-weak-digest"
			}
			add(c)
			root.digest = h
			add(chainCase("root signed with "+h.String()+" by "+caKey, "", "", pemOf(root.der()), "p256-2", leafDef("Signer", "p256-2", root).der()))
		}
	}
	pssCases(add)
	compressed := leafDef("Compressed", "p256-3", ca)
	compressed.spki = compressPoint(key("p256-3").spki)
	add(chainCase("compressed point", "", "", ring, "p256-3", compressed.der()))
	otherKey := leafDef("Signer", "p256-3", ca).der()
	add(vcase{name: "signed by another key than the certificate's", keyring: ring, want: BadSignature, p7s: message(script, otherKey, "p256-2")})
	brokenKey := leafDef("Broken key", "p256-3", ca)
	brokenKey.spki = seq(seq(oidElement(oidEC), oidElement(oidP256)), bitString([]byte{4, 1, 2, 3}))
	add(chainCase("broken point", Unsupported, "", ring, "p256-3", brokenKey.der()))
	evenExponent := leafDef("Even exponent", "rsa2048-2", ca)
	n := key("rsa2048-2").signer.(*rsa.PrivateKey).N
	evenExponent.spki = seq(seq(oidElement(oidRSA), null()), bitString(seq(tlv(2, append([]byte{0}, n.Bytes()...)), integer(2))))
	add(chainCase("RSA exponent 2", Unsupported, "", ring, "rsa2048-2", evenExponent.der()))
}

// safeSigner makes a SignerInfo also with keys that only openssl can use.
func safeSigner(s signerDef) []byte {
	if s.signOver != nil {
		k := key(s.key)
		s.digest = crypto.SHA256
		sig := k.sign(s.signOver, 0)
		return replace(signerDef{cert: s.cert, key: "p256-1", content: script, alg: s.alg, noAttrs: true}.der(), octets(sig), 4)
	}
	return s.der()
}

// pssCases: certificates signed with RSA-PSS.
func pssCases(add func(vcase)) {
	root := caDef("Root PSS", "rsa2048-2")
	pss := func(h crypto.Hash, salt int64, mgfHash crypto.Hash) certDef {
		d := leafDef("Signer", "p256-2", root)
		d.alg = seq(oidElement(oidRSAPSS), seq(ctx(0, digestAlg(h)), ctx(1, seq(oidElement(oidMGF1), digestAlg(mgfHash))), ctx(2, integer(salt))))
		d.sign = func(tbs []byte) []byte {
			sig, err := rsa.SignPSS(rand.Reader, key("rsa2048-2").signer.(*rsa.PrivateKey), h, digestOf(h, tbs), &rsa.PSSOptions{SaltLength: int(salt)})
			if err != nil {
				panic(err)
			}
			return sig
		}
		return d
	}
	k := pemOf(root.der())
	add(chainCase("PSS certificate", "", "", k, "p256-2", pss(crypto.SHA256, 32, crypto.SHA256).der()))
	add(chainCase("PSS certificate SHA-512", "", "", k, "p256-2", pss(crypto.SHA512, 64, crypto.SHA512).der()))
	wrongSalt := pss(crypto.SHA256, 32, crypto.SHA256)
	wrongSalt.alg = seq(oidElement(oidRSAPSS), seq(ctx(0, digestAlg(crypto.SHA256)), ctx(1, seq(oidElement(oidMGF1), digestAlg(crypto.SHA256))), ctx(2, integer(20))))
	add(chainCase("PSS certificate, another salt length", BadSignature, "", k, "p256-2", wrongSalt.der()))
	spoilt := pss(crypto.SHA256, 32, crypto.SHA256)
	spoilt.spoil = true
	add(chainCase("PSS certificate, damaged", BadSignature, "", k, "p256-2", spoilt.der()))
	keyOnly := leafDef("Signer", "p256-2", root)
	keyOnly.alg = seq(oidElement(oidRSAPSS))
	keyOnly.sign = func(tbs []byte) []byte { return key("rsa2048-2").sign(tbs, crypto.SHA256) }
	add(chainCase("PSS certificate without parameters", Unsupported, "", k, "p256-2", keyOnly.der()))
}

func compressPoint(spki []byte) []byte {
	point := at(spki, 1)[3:]
	half := (len(point) - 1) / 2
	c := append([]byte{2 + point[len(point)-1]&1}, point[1:1+half]...)
	return seq(at(spki, 0), bitString(c))
}

// certificateCases: which certificates are where.
func certificateCases(add func(vcase)) {
	inter := leafDef("Intermediate", "p256-3", ca).extOnly(basic(true, -1), keyUsage(usageCertSign), ski("p256-3"), aki("p256-1"))
	interDER := inter.der()
	low := leafDef("Low", "p256-4", inter).der()
	stranger := caDef("Stranger", "p256-5").der()
	add(chainCase("signer only", "", "", ring, "p256-2", leafDER))
	add(chainCase("with the root", "", "", ring, "p256-2", leafDER, caDER))
	add(chainCase("root before the signer", "", "", ring, "p256-2", leafDER, caDER))
	add(vcase{name: "signer last", keyring: ring, p7s: messageDef{certs: [][]byte{caDER, stranger, leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script}.der()}}.der()})
	add(chainCase("signer twice", "", "", ring, "p256-2", leafDER, leafDER))
	add(chainCase("with a stranger", "", "", ring, "p256-2", leafDER, stranger))
	add(vcase{name: "signer in the keyring only", keyring: pemOf(caDER, leafDER), want: SignerMissing, p7s: messageDef{certs: [][]byte{caDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script}.der()}}.der()})
	add(vcase{name: "signer in the keyring only, no field", keyring: pemOf(caDER, leafDER), want: SignerMissing, p7s: messageDef{noCerts: true, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script}.der()}}.der()})
	add(chainCase("intermediate in the message", "", "", ring, "p256-4", low, interDER))
	add(chainCase("intermediate in the keyring", "", "", pemOf(caDER, interDER), "p256-4", low))
	add(chainCase("intermediate in the keyring, before the root", "", "", pemOf(interDER, caDER), "p256-4", low))
	add(chainCase("intermediate in both", "", "", pemOf(caDER, interDER), "p256-4", low, interDER))
	add(chainCase("intermediate nowhere", UntrustedIssuer, "", ring, "p256-4", low))
	add(chainCase("intermediate alone in the keyring", UntrustedIssuer, "", pemOf(interDER), "p256-4", low))
	add(chainCase("intermediate alone in the keyring, root in the message", UntrustedIssuer, "", pemOf(interDER), "p256-4", low, caDER))
	add(chainCase("root in the message only", UntrustedIssuer, "", pemOf(stranger), "p256-2", leafDER, caDER))
	add(chainCase("signer itself in the keyring", UntrustedIssuer, "", pemOf(leafDER), "p256-2", leafDER))
	add(chainCase("signer and root in the keyring", "", "", pemOf(leafDER, caDER), "p256-2", leafDER))
	self := certDef{subject: dn("CN=Self"), key: "p256-6"}.der()
	add(chainCase("self-signed signer, trusted", "", "", pemOf(self), "p256-6", self))
	add(chainCase("self-signed signer, not trusted", UntrustedIssuer, "", ring, "p256-6", self))
	mimic := certDef{subject: dn("CN=Self"), key: "p256-5"}.der()
	add(chainCase("self-signed mimic of a trusted one", UntrustedIssuer, "", pemOf(self), "p256-5", mimic))
	selfCA := caDef("Self CA", "p256-6").extOnly(basic(true, -1), ski("p256-6"), aki("p256-6")).der()
	add(chainCase("CA as signer", "", "", pemOf(selfCA), "p256-6", selfCA))
	add(chainCase("CA with certificate signing only, as signer", PurposeMismatch, "", ring, "p256-1", caDER))
	fake := leafDef("Signer", "p256-2", ca)
	fake.by = "p256-5"
	fake.spoil = false
	add(chainCase("signed by another CA of the same name", BadSignature, "", ring, "p256-2", fake.der()))
	spoilt := leafDef("Signer", "p256-2", ca)
	spoilt.spoil = true
	add(chainCase("certificate with a damaged signature", BadSignature, "", ring, "p256-2", spoilt.der()))
	rootSpoilt := ca
	rootSpoilt.spoil = true
	add(chainCase("root with a damaged signature", "", "", pemOf(rootSpoilt.der()), "p256-2", leafDER))
	interSpoilt := inter
	interSpoilt.spoil = true
	add(chainCase("intermediate with a damaged signature", BadSignature, "", ring, "p256-4", low, interSpoilt.der()))
	notCAInter := leafDef("Not a CA", "p256-3", ca)
	add(chainCase("issued by a signer's certificate", BadChain, "", ring, "p256-4", leafDef("Low", "p256-4", notCAInter).der(), notCAInter.der()))
	unknown := certDef{subject: dn("CN=Unrelated"), key: "brainpool"}.der()
	add(chainCase("unrelated brainpool certificate in the message", "", "", ring, "p256-2", leafDER, unknown))
	negative := certDef{subject: dn("CN=Unrelated"), key: "p256-5", serial: integer(-5)}.der()
	add(chainCase("unrelated certificate with a negative serial in the message", "", "", ring, "p256-2", leafDER, negative))
	add(chainCase("unrelated DSA certificate in the message", "", "", ring, "p256-2", leafDER, certDef{subject: dn("CN=Unrelated"), key: "dsa"}.der()))
	v5 := certDef{subject: dn("CN=Unrelated"), key: "p256-5", version: 5}.der()
	add(chainCase("unrelated certificate of version 6 in the message", "", "", ring, "p256-2", leafDER, v5))
	add(vcase{name: "two certificates of the same issuer and serial", keyring: ring, want: BadSignature,
		p7s: func() []byte {
			twin := leafDef("Twin", "p256-3", ca)
			twin.serial = at(leafDER, 0, 1)
			return messageDef{certs: [][]byte{twin.der(), leafDER}, signers: [][]byte{signerDef{cert: leafDER, key: "p256-2", content: script}.der()}}.der()
		}()})
}

// pathCases: chains that can be built in more than one way.
func pathCases(add func(vcase)) {
	old := caDef("CA", "p256-1")
	other := caDef("Other root", "p256-5")
	cross := certDef{subject: old.subject, key: "p256-1", issuer: other.subject, by: "p256-5", ext: [][]byte{basic(true, -1), keyUsage(usageCertSign), ski("p256-1"), aki("p256-5")}}
	signer := leafDef("Signer", "p256-2", old).der()
	o, x, r := old.der(), cross.der(), other.der()
	c := func(name string, want Reason, keyring []byte, certs ...[]byte) {
		add(chainCase(name, want, "", keyring, "p256-2", append([][]byte{signer}, certs...)...))
	}
	c("cross-signed CA in the keyring alone", UntrustedIssuer, pemOf(x))
	c("cross-signed CA in the keyring, its root in the message", UntrustedIssuer, pemOf(x), r)
	c("cross-signed CA and its root in the keyring", "", pemOf(x, r))
	c("cross-signed pair, self-signed first", "", pemOf(o, x))
	c("cross-signed pair, cross-signed first", UntrustedIssuer, pemOf(x, o))
	c("cross-signed pair and root, cross-signed first", "", pemOf(x, o, r))
	c("cross-signed in the message, its root in the keyring", "", pemOf(r), x)
	c("cross-signed and self-signed in the message, other root in the keyring, self-signed first", UntrustedIssuer, pemOf(r), o, x)
	c("cross-signed and self-signed in the message, other root in the keyring, cross-signed first", "", pemOf(r), x, o)
	c("cross-signed in the message, self-signed in the keyring", "", pemOf(o), x)
	// Same subject, different keys.
	sameName := caDef("CA", "p256-6")
	sameNoID := sameName.extOnly(basic(true, -1), keyUsage(usageCertSign))
	oldNoID := old.extOnly(basic(true, -1), keyUsage(usageCertSign))
	signerNoID := leafDef("Signer", "p256-2", old).extOnly(keyUsage(usageSignature)).der()
	c("same name, other key first, with identifiers", "", pemOf(sameName.der(), o))
	c("same name, other key only, with identifiers", UntrustedIssuer, pemOf(sameName.der()))
	n := func(name string, want Reason, keyring []byte, certs ...[]byte) {
		add(chainCase(name, want, "", keyring, "p256-2", append([][]byte{signerNoID}, certs...)...))
	}
	n("same name, right key first, no identifiers", "", pemOf(oldNoID.der(), sameNoID.der()))
	n("same name, wrong key first, no identifiers", BadSignature, pemOf(sameNoID.der(), oldNoID.der()))
	rsaNoID := caDef("CA", "rsa2048-1").extOnly(basic(true, -1))
	n("same name, wrong kind of key first, no identifiers", "", pemOf(rsaNoID.der(), oldNoID.der()))
	n("same name, no CA first", BadChain, pemOf(old.extOnly(basic(false, -1)).der(), oldNoID.der()))
	n("same name, certificate signing not allowed first", BadChain, pemOf(old.extOnly(basic(true, -1), keyUsage(usageSignature)).der(), oldNoID.der()))
	brokenTwin := old.extOnly(extension("\x55\x1d\x13", true, []byte{1, 2, 3}))
	add(chainCase("same name, one with a broken extension first", Unsupported, "s-broken-candidate", pemOf(brokenTwin.der(), oldNoID.der()), "p256-2", signerNoID))
	n("same name, one with a broken extension last", "", pemOf(oldNoID.der(), brokenTwin.der()))
	brainpool := caDef("CA", "brainpool").extOnly(basic(true, -1))
	n("same name, brainpool key first, no identifiers", Unsupported, pemOf(brainpool.der(), oldNoID.der()))
	n("same name, brainpool key last, no identifiers", "", pemOf(oldNoID.der(), brainpool.der()))
	// Renewed roots: same name and key, other serial number and dates.
	renewed := old
	renewed.serial = integer(4711)
	c("renewed root only", "", pemOf(renewed.der()))
	c("renewed root first", "", pemOf(renewed.der(), o))
	c("renewed root last", "", pemOf(o, renewed.der()))
	c("renewed root in the keyring, old one in the message", "", pemOf(renewed.der()), o)
	byID := leafDef("Signer", "p256-2", old).extOnly(keyUsage(usageSignature), akiOf(ctxPrim(0, keyID("p256-1")), ctx(1, dirName(old.subject)), ctxPrim(2, at(o, 0, 1)[2:])))
	add(chainCase("named by serial number, renewed root in the keyring", UntrustedIssuer, "", pemOf(renewed.der()), "p256-2", byID.der()))
	add(chainCase("named by serial number, both roots in the keyring", "", "", pemOf(renewed.der(), o), "p256-2", byID.der()))
	add(chainCase("self-signed old root as signer, renewed in the keyring", UntrustedIssuer, "", pemOf(renewed.extOnly(basic(true, -1)).der()), "p256-1", old.extOnly(basic(true, -1)).der()))
	// Dead ends and loops.
	a := certDef{subject: dn("CN=A"), key: "p256-3", issuer: dn("CN=B"), by: "p256-4", ext: [][]byte{basic(true, -1)}}
	b := certDef{subject: dn("CN=B"), key: "p256-4", issuer: dn("CN=A"), by: "p256-3", ext: [][]byte{basic(true, -1)}}
	low := leafDef("Low", "p256-2", a).extOnly(keyUsage(usageSignature)).der()
	add(chainCase("loop in the message", UntrustedIssuer, "", ring, "p256-2", low, a.der(), b.der()))
	add(chainCase("loop in the keyring", BadChain, "", pemOf(a.der(), b.der()), "p256-2", low))
	add(chainCase("loop over both", BadChain, "", pemOf(b.der(), a.der()), "p256-2", low, a.der()))
	deadEnd := certDef{subject: old.subject, key: "p256-1", issuer: dn("CN=Nobody"), by: "p256-4", ext: [][]byte{basic(true, -1), ski("p256-1")}}
	c("dead end in the message", UntrustedIssuer, pemOf(r), deadEnd.der(), x)
	c("dead end in the keyring first", UntrustedIssuer, pemOf(deadEnd.der(), o))
	c("dead end in the keyring last", "", pemOf(o, deadEnd.der()))
	longChains(add)
}

// longChains: many intermediates.
func longChains(add func(vcase)) {
	for _, n := range []int{5, 20, MaxMessageCerts - 1} {
		above, certs := ca, [][]byte{}
		for i := range n {
			k := []string{"p256-3", "p256-4"}[i%2]
			c := certDef{subject: dn("CN=CA " + itoa(i)), key: k, issuer: above.subject, by: above.key, ext: [][]byte{basic(true, -1)}}
			certs = append(certs, c.der())
			above = c
		}
		end := leafDef("End", "p256-2", above).extOnly(keyUsage(usageSignature)).der()
		add(chainCase(itoa(n)+" intermediates", "", "", ring, "p256-2", append([][]byte{end}, certs...)...))
		slices.Reverse(certs)
		add(chainCase(itoa(n)+" intermediates, reversed", "", "", ring, "p256-2", append([][]byte{end}, certs...)...))
	}
	var certs [][]byte
	above := ca
	for i := range MaxChain + 5 {
		k := []string{"p256-3", "p256-4"}[i%2]
		c := certDef{subject: dn("CN=CA " + itoa(i)), key: k, issuer: above.subject, by: above.key, ext: [][]byte{basic(true, -1)}}
		certs = append(certs, c.der())
		above = c
		if n := i + 1; n >= MaxChain-1 && n <= MaxChain+1 {
			end := leafDef("End", "p256-2", above).extOnly(keyUsage(usageSignature)).der()
			want := Reason("")
			if n > MaxChain {
				want = BadChain
			}
			add(chainCase(itoa(n)+" intermediates in the keyring", want, "", pemOf(append(slices.Clone(certs), caDER)...), "p256-2", end))
		}
	}
}

// identifierCases: authority and subject key identifiers.
func identifierCases(add func(vcase)) {
	withoutSKI := ca.extOnly(basic(true, -1), keyUsage(usageCertSign))
	c := func(name string, want Reason, stricter string, root certDef, ext ...[]byte) {
		d := leafDef("Signer", "p256-2", root).extOnly(ext...)
		add(chainCase(name, want, stricter, pemOf(root.der()), "p256-2", d.der()))
	}
	serial := integer(77)
	root := ca
	root.serial = serial
	c("none", "", "", root)
	c("matching", "", "", root, aki("p256-1"))
	c("other key identifier", UntrustedIssuer, "", root, aki("p256-5"))
	c("other key identifier, issuer has none", "", "", withoutSKI, aki("p256-5"))
	c("empty", "", "", root, akiOf())
	c("empty key identifier", UntrustedIssuer, "", root, akiOf(ctxPrim(0, nil)))
	c("serial number", "", "", root, akiOf(ctx(1, dirName(root.subject)), ctxPrim(2, serial[2:])))
	c("serial number without issuer", "", "", root, akiOf(ctxPrim(2, serial[2:])))
	c("other serial number", UntrustedIssuer, "", root, akiOf(ctx(1, dirName(root.subject)), ctxPrim(2, integer(78)[2:])))
	c("other issuer", UntrustedIssuer, "", root, akiOf(ctx(1, dirName(dn("CN=Else"))), ctxPrim(2, serial[2:])))
	c("other issuer second", "", "", root, akiOf(ctx(1, dirName(root.subject), dirName(dn("CN=Else"))), ctxPrim(2, serial[2:])))
	c("issuer that is no name", "", "", root, akiOf(ctx(1, dns("example.org"))))
	c("not readable", Unsupported, "", root, extension("\x55\x1d\x23", false, []byte{1, 2, 3}))
	c("twice", Unsupported, "", root, aki("p256-1"), aki("p256-1"))
	c("critical", BadChain, "", root, extension("\x55\x1d\x23", true, seq(ctxPrim(0, keyID("p256-1")))))
	c("something after it", Unsupported, "s-der-values", root, extension("\x55\x1d\x23", false, append(seq(ctxPrim(0, keyID("p256-1"))), 0)))
	oddSKI := ca.extOnly(basic(true, -1), extension("\x55\x1d\x0e", false, integer(5)))
	c("issuer's key identifier not readable", Unsupported, "", oddSKI)
	oddSelf := ca.extOnly(basic(true, -1), ski("p256-1"), aki("p256-5"))
	c("root whose identifiers do not match", UntrustedIssuer, "", oddSelf, aki("p256-1"))
}
