// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// cert is a certificate read as OpenSSL reads one: nothing is refused for its
// values (negative serials, odd times, unknown curves), only for its shape.
// What this package cannot judge is said in unusable, and a chain that would
// need such a certificate is refused.
type cert struct {
	raw, tbs    []byte
	v1          bool
	serial      []byte // two's complement
	innerAlg    []byte // the signature algorithm as the signed part has it
	sigAlg      algorithm
	sig         []byte
	issuer      *name
	subject     *name
	notBefore   timeField
	notAfter    timeField
	key         publicKey
	ext         extensions
	selfIssued  bool
	selfSigned  bool // as OpenSSL sees it: the signature itself is not looked at
	unusable    string
	trusted     *trustSettings // of a TRUSTED CERTIFICATE, or nil
	fingerprint Fingerprint
}

// parseCert reads one certificate. An error means that OpenSSL, too, would not
// read it, or that it is not DER.
func parseCert(der []byte) (*cert, error) {
	if err := walkDER(der); err != nil {
		return nil, err
	}
	c := &cert{raw: der, fingerprint: sha256.Sum256(der), ext: extensions{pathLen: -1}}
	outer := cryptobyte.String(der)
	var body, tbs cryptobyte.String
	if !outer.ReadASN1(&body, tagSequence) || !body.ReadASN1Element(&tbs, tagSequence) {
		return nil, fail(Malformed, "not an X.509 certificate")
	}
	c.tbs = tbs
	var ok bool
	if c.sigAlg, ok = readAlgorithm(&body); !ok {
		return nil, fail(Malformed, "certificate without signature algorithm")
	}
	if !body.ReadASN1BitStringAsBytes(&c.sig) || !body.Empty() {
		return nil, fail(Malformed, "certificate without signature value")
	}
	if err := c.readTBS(tbs); err != nil {
		return nil, err
	}
	c.judge()
	return c, nil
}

// readTBS reads the signed part.
func (c *cert) readTBS(tbs cryptobyte.String) error {
	var s cryptobyte.String
	if !tbs.ReadASN1(&s, tagSequence) {
		return fail(Malformed, "certificate without signed part")
	}
	if err := c.readVersion(&s); err != nil {
		return err
	}
	var ok bool
	if c.serial, ok = readInteger(&s, tagInteger); !ok {
		return fail(Malformed, "certificate without serial number")
	}
	alg, ok := readAlgorithm(&s)
	if !ok {
		return fail(Malformed, "certificate without inner signature algorithm")
	}
	c.innerAlg = alg.raw
	var err error
	if c.issuer, err = readName(&s); err != nil {
		return err
	}
	var validity cryptobyte.String
	if !s.ReadASN1(&validity, tagSequence) || !c.notBefore.read(&validity) || !c.notAfter.read(&validity) || !validity.Empty() {
		return fail(Malformed, "certificate without validity")
	}
	if c.subject, err = readName(&s); err != nil {
		return err
	}
	if c.key, err = readPublicKey(&s); err != nil {
		return err
	}
	return c.readTail(s)
}

func (c *cert) readVersion(s *cryptobyte.String) error {
	c.v1 = true
	var v cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&v, &present, explicit(0)) {
		return fail(Malformed, "certificate with a broken version")
	}
	if !present {
		return nil
	}
	n, ok := readInteger(&v, tagInteger)
	if !ok || !v.Empty() {
		return fail(Malformed, "certificate with a broken version")
	}
	c.v1 = len(n) == 1 && n[0] == 0
	return nil
}

// readTail reads what may follow the key: unique identifiers and extensions.
func (c *cert) readTail(s cryptobyte.String) error {
	for _, tag := range []cbasn1.Tag{implicit(1), implicit(2)} {
		var id cryptobyte.String
		var present bool
		if !s.ReadOptionalASN1(&id, &present, tag) || present && !isBitString(id) {
			return fail(Malformed, "certificate with a broken unique identifier")
		}
	}
	var wrapped, list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&wrapped, &present, explicit(3)) || !s.Empty() {
		return fail(Malformed, "certificate with unknown fields")
	}
	if !present {
		return nil
	}
	if !wrapped.ReadASN1(&list, tagSequence) || !wrapped.Empty() {
		return fail(Malformed, "certificate with broken extensions")
	}
	return c.ext.read(list)
}

// judge derives what the fields say together.
func (c *cert) judge() {
	c.selfIssued = c.subject.canonical == c.issuer.canonical
	c.selfSigned = c.selfIssued && c.matchesAKI(c) && c.key.fits(c.sigAlgInner())
	switch {
	case c.ext.broken != "":
		c.unusable = c.ext.broken
	case c.key.unusable != "":
		c.unusable = c.key.unusable
	case c.key.weak != "":
		c.unusable = c.key.weak
	}
}

// sigAlgInner is the identifier of the signature algorithm in the signed part.
func (c *cert) sigAlgInner() string {
	s := cryptobyte.String(c.innerAlg)
	a, _ := readAlgorithm(&s)
	return a.oid
}

// matchesAKI reports whether c's authority key identifier, as far as present,
// names issuer.
func (c *cert) matchesAKI(issuer *cert) bool {
	a := c.ext.aki
	if a == nil {
		return true
	}
	if a.keyID != nil && issuer.ext.ski != nil && !bytes.Equal(a.keyID, issuer.ext.ski) {
		return false
	}
	if a.serial != nil && !bytes.Equal(a.serial, issuer.serial) {
		return false
	}
	return a.issuer == nil || a.issuer.canonical == issuer.issuer.canonical
}

// issuedBy reports whether issuer looks like the one that issued c: name, key
// identifiers and kind of key, as OpenSSL looks for it. The signature itself is
// checked when the chain is complete. Where this package cannot tell what
// OpenSSL would think of an issuer of the right name, there is no answer, so that
// it never passes over a certificate that OpenSSL would take.
func (c *cert) issuedBy(issuer *cert) (bool, error) {
	if c.issuer.canonical != issuer.subject.canonical {
		return false, nil
	}
	if c.ext.broken != "" {
		return false, fail(Unsupported, "the certificate "+quoteSubject(c)+" cannot be used: "+c.ext.broken)
	}
	if issuer.ext.broken != "" {
		return false, fail(Unsupported, "the certificate "+quoteSubject(issuer)+" cannot be used: "+issuer.ext.broken)
	}
	if !c.matchesAKI(issuer) {
		return false, nil
	}
	if alg := c.sigAlgInner(); schemes[alg].key == "" {
		return false, fail(Unsupported, "the certificate "+quoteSubject(c)+" is signed with an algorithm that usbagent cannot check ("+dotted(alg)+")")
	}
	if !knownKeys[issuer.key.alg] {
		return false, fail(Unsupported, "the certificate "+quoteSubject(issuer)+" cannot be used: "+issuer.key.unusable)
	}
	return issuer.key.fits(c.sigAlgInner()), nil
}

func (c *cert) equal(o *cert) bool { return bytes.Equal(c.raw, o.raw) }

// describe returns the certificate for people.
func (c *cert) describe() Certificate {
	return Certificate{
		Subject: c.subject.String(), Issuer: c.issuer.String(),
		Serial: hex.EncodeToString(c.serial), KeyType: c.key.kind(),
		Fingerprint: c.fingerprint, NotBefore: c.notBefore.time, NotAfter: c.notAfter.time,
		SelfSigned: c.selfSigned, CA: c.caKind() != notCA, Unusable: c.unusable,
	}
}

// timeField is a validity date. It is shown, and never compared with anything.
type timeField struct{ time time.Time }

// read takes a UTCTime or GeneralizedTime with any content off s, as OpenSSL
// does; the zero time stands for what cannot be understood.
func (t *timeField) read(s *cryptobyte.String) bool {
	var v cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&v, &tag) || tag != tagUTCTime && tag != tagGenTime {
		return false
	}
	layouts := []string{"20060102150405Z0700", "200601021504Z0700"}
	if tag == tagUTCTime {
		layouts = []string{"060102150405Z0700", "0601021504Z0700"}
	}
	for _, layout := range layouts {
		if p, err := time.Parse(layout, string(v)); err == nil {
			if tag == tagUTCTime && p.Year() >= 2050 {
				p = p.AddDate(-100, 0, 0)
			}
			t.time = p.UTC()
			return true
		}
	}
	return true
}
