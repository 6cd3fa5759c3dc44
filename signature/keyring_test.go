// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestCheckAnchor: a keyring is only good for something when CheckAnchor says
// so. Each verdict is held against a signature that should then verify.
func TestCheckAnchor(t *testing.T) {
	weak := caDef("Weak", "rsa1024")
	brainpool := caDef("Curve", "brainpool")
	cross := certDef{subject: ca.subject, key: ca.key, issuer: dn("CN=Elsewhere"), by: "p256-5", ext: [][]byte{basic(true, -1), ski(ca.key)}}
	tls := ca.with(extUsage(false, ekuServerAuth))
	critical := ca.with(extension("\x2a\x03\x04", true, null()))
	broken := ca.extOnly(extension("\x55\x1d\x13", true, []byte{1}))
	noCA := ca.extOnly(basic(false, -1), keyUsage(usageSignature))
	nothing := ca.extOnly(basic(false, -1), keyUsage(0x20))
	v1 := certDef{subject: ca.subject, key: ca.key, version: -1, noExt: true}
	oddID := ca.extOnly(basic(true, -1), ski(ca.key), aki("p256-5"))
	elsewhere := certDef{subject: dn("CN=Elsewhere"), key: "p256-5", ext: [][]byte{basic(true, -1)}}
	rootCRL := pemBlockOf("X509 CRL", crlDef{issuer: ca.subject, by: ca.key}.der())
	tlsOnly := mustRun(ring, "openssl", "x509", "-trustout", "-addtrust", "serverAuth")
	for _, c := range []struct {
		name    string
		keyring []byte
		o       Options
		ok      bool
		says    string
	}{
		{"self-signed CA", ring, Options{}, true, ""},
		{"v1 root", pemOf(v1.der()), Options{}, true, ""},
		{"cross-signed CA alone", pemOf(cross.der()), Options{}, false, "issued by CN=Elsewhere and not self-signed"},
		{"cross-signed CA alone, partial chains", pemOf(cross.der()), Options{AllowPartialChain: true}, true, ""},
		{"self-signed before cross-signed", pemOf(caDER, cross.der()), Options{}, true, ""},
		{"cross-signed before self-signed", pemOf(cross.der(), caDER), Options{}, false, "signed by CN=any signer, whose chain ends in the keyring's CN=Root,O=Corpus, which is not self-signed, and its issuer CN=Elsewhere is not in the keyring"},
		{"cross-signed before self-signed, with its root", pemOf(cross.der(), caDER, elsewhere.der()), Options{}, true, ""},
		{"another key of the same name first", pemOf(caDef("Root", "p256-5").extOnly(basic(true, -1)).der(), ca.extOnly(basic(true, -1)).der()), Options{}, true, ""},
		{"signer's certificate alone", pemOf(leafDER), Options{}, false, "issued by CN=Root,O=Corpus and not self-signed"},
		{"CA for TLS", pemOf(tls.der()), Options{}, false, "is for TLS only"},
		{"CA for TLS, any purpose", pemOf(tls.der()), Options{Purpose: AnyUse}, true, ""},
		{"CA for codesign", ring, Options{Purpose: CodeSign}, true, ""},
		{"CA for TLS, codesign", pemOf(tls.der()), Options{Purpose: CodeSign}, false, "is for TLS only"},
		{"short RSA key", pemOf(weak.der()), Options{}, false, "has 1024 bits"},
		{"unknown curve", pemOf(brainpool.der()), Options{}, false, "elliptic curve"},
		{"unknown critical extension", pemOf(critical.der()), Options{}, false, "critical extension"},
		{"broken extension", pemOf(broken.der()), Options{}, false, "basicConstraints"},
		{"identifiers that do not match", pemOf(oddID.der()), Options{}, false, "not self-signed"},
		{"self-signed, no CA, may sign", pemOf(noCA.der()), Options{}, true, ""},
		{"self-signed, for encryption", pemOf(nothing.der()), Options{}, false, "is not for signatures"},
		{"trusted for TLS only", tlsOnly, Options{}, false, "not trusted for this use"},
		{"no CRL", ring, Options{CheckCRL: true}, false, "no CRL of CN=Root"},
		{"CRL", append(slices.Clone(ring), rootCRL...), Options{CheckCRL: true}, true, ""},
	} {
		k, err := ParseKeyring(c.keyring)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		err = k.CheckAnchor(c.o)
		if (err == nil) != c.ok || err != nil && (ReasonOf(err) != NoAnchor || !strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := verifiesSomething(k, c.o); got != c.ok {
			t.Errorf("%s: it verifies something: %v", c.name, got)
		}
	}
}

// verifiesSomething tries a signer below the CA, and the CA as signer itself.
func verifiesSomething(k *Keyring, o Options) bool {
	both := extUsage(false, ekuEmail, ekuCodeSign)
	for _, name := range []string{"p256-1", "p256-5", "rsa1024", "brainpool"} {
		issuer := certDef{subject: k.certs[0].subjectDER(), key: name}
		low := leafDef("Low", "p256-2", issuer).extOnly(both).der()
		if _, err := Verify(k, NewContent("x", script), message(script, low, "p256-2"), o); err == nil {
			return true
		}
	}
	_, err := Verify(k, NewContent("x", script), message(script, k.certs[0].raw, "p256-1"), o)
	return err == nil
}

// subjectDER returns the subject as it stands in the certificate.
func (c *cert) subjectDER() []byte {
	tbs := children(c.tbs)
	if tbs[0][0] == 0xa0 {
		tbs = tbs[1:]
	}
	return tbs[4]
}

// TestEqual: the set of certificates counts, not order, text or repetition.
func TestEqual(t *testing.T) {
	a, b := caDER, leafDER
	parse := func(pem []byte) *Keyring {
		k, err := ParseKeyring(pem)
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	both := parse(pemOf(a, b))
	for _, c := range []struct {
		name string
		k    *Keyring
		want bool
	}{
		{"itself", both, true}, {"other order", parse(pemOf(b, a)), true}, {"repeated", parse(pemOf(a, b, a)), true},
		{"with text", parse(append([]byte("# x\n"), pemOf(a, b)...)), true}, {"fewer", parse(pemOf(a)), false},
		{"others", parse(pemOf(a, caDef("Root", "p256-5").der())), false}, {"more", parse(pemOf(a, b, caDef("Root", "p256-5").der())), false}, {"none", nil, false},
	} {
		if both.Equal(c.k) != c.want || c.k != nil && c.k.Equal(both) != c.want {
			t.Errorf("%s: equal %v", c.name, !c.want)
		}
	}
}

// TestCertificates: what people are shown.
func TestCertificates(t *testing.T) {
	odd := certDef{subject: dn("C=DE", "O=Örtlich, GmbH", "CN=Ann \"A\" <a@example.org>"), key: "brainpool", serial: integer(-5)}
	k, err := ParseKeyring(pemOf(caDER, odd.der(), leafDef("Signer", "rsa2048-1", ca).der()))
	if err != nil {
		t.Fatal(err)
	}
	list := k.Certificates()
	if len(list) != 3 {
		t.Fatalf("%d certificates", len(list))
	}
	root, curve, signer := list[0], list[1], list[2]
	if root.Subject != "CN=Root,O=Corpus" || !root.SelfSigned || !root.CA || root.KeyType != "P-256" || root.Unusable != "" || root.NotBefore.Year() != 2025 || root.NotAfter.Year() != 2045 {
		t.Errorf("root: %+v", root)
	}
	if curve.Subject != `CN=Ann \"A\" \<a@example.org\>,O=Örtlich\, GmbH,C=DE` || curve.Serial != "fb" || !strings.Contains(curve.Unusable, "1.3.36.3.3.2.8.1.1.7") {
		t.Errorf("unusual: %+v", curve)
	}
	if signer.SelfSigned || signer.CA || signer.Issuer != root.Subject || signer.KeyType != "RSA 2048" {
		t.Errorf("signer: %+v", signer)
	}
	text, err := json.Marshal(root)
	if err != nil || !strings.Contains(string(text), `"fingerprint":"`+root.Fingerprint.String()+`"`) {
		t.Errorf("%s, %v", text, err)
	}
}

// TestFingerprint: the forms people have them in.
func TestFingerprint(t *testing.T) {
	hex := strings.Repeat("0aFf", 16)
	colons := strings.TrimSuffix(strings.Repeat("0A:ff:", 16), ":")
	want := strings.Repeat("0aff", 16)
	for _, s := range []string{hex, colons, strings.ToUpper(hex)} {
		f, err := ParseFingerprint(s)
		if err != nil || f.String() != want {
			t.Errorf("%s: %s, %v", s, f, err)
		}
		var again Fingerprint
		text, _ := f.MarshalText()
		if err := again.UnmarshalText(text); err != nil || again != f {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, s := range []string{"", "0a", hex + "00", hex[1:], strings.Repeat("xy", 32), " " + hex} {
		if _, err := ParseFingerprint(s); err == nil {
			t.Errorf("%q is taken for a fingerprint", s)
		}
	}
}
