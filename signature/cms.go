// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

const (
	// MaxMessageCerts is how many certificates a signature may carry.
	MaxMessageCerts = 64
	// MaxSigners is how many signers a signature may have.
	MaxSigners = 16
	// MaxAttributes is how many attributes a signer may have.
	MaxAttributes = 64
)

// signedData is a PKCS#7 SignedData whose every part was checked.
type signedData struct {
	digestAlgs  map[string]bool
	contentType string
	embedded    bool
	content     []byte
	certs       []*cert
	crls        []*crl
	signers     []*signerInfo
}

type signerInfo struct {
	issuer       *name
	serial       []byte
	digestAlg    algorithm
	hasAttrs     bool
	attrs        []byte // the signed attributes as they are signed, a SET
	digest       []byte // messageDigest attribute, nil where there is none
	signatureAlg algorithm
	signature    []byte
}

// parseSignedData reads a .p7s file, or the CMS of a bundle.
func parseSignedData(der []byte) (*signedData, error) {
	if len(der) > MaxSize {
		return nil, fail(TooLarge, fmt.Sprintf("the signature has %d bytes, at most %d are read", len(der), MaxSize))
	}
	if err := looksLikeText(der); err != nil {
		return nil, err
	}
	der, err := definite(der)
	if err != nil {
		return nil, err
	}
	if err := walkDER(der); err != nil {
		return nil, err
	}
	outer := cryptobyte.String(der)
	var body, wrapped, s cryptobyte.String
	if !outer.ReadASN1(&body, tagSequence) {
		return nil, fail(Malformed, "the signature is not a PKCS#7 structure")
	}
	oid, ok := readOID(&body)
	if !ok {
		return nil, fail(Malformed, "the signature is not a PKCS#7 structure")
	}
	if err := checkType(oid); err != nil {
		return nil, err
	}
	if !body.ReadASN1(&wrapped, explicit(0)) || !body.Empty() ||
		!wrapped.ReadASN1(&s, tagSequence) || !wrapped.Empty() {
		return nil, fail(Malformed, "the signature is empty or has unknown fields")
	}
	d := &signedData{}
	return d, d.read(s)
}

// looksLikeText recognizes the forms that openssl writes without -outform DER.
func looksLikeText(b []byte) error {
	switch start := bytes.TrimLeft(b[:min(len(b), 512)], " \t\r\n\xef\xbb\xbf"); {
	case len(b) == 0:
		return fail(NotDER, "the signature is empty")
	case bytes.HasPrefix(start, []byte("-----BEGIN ")):
		return fail(IsPEM, "this is PEM, the board needs DER (-outform DER)")
	case startsWith(start, "mime-version:"), startsWith(start, "content-type:"):
		return fail(IsSMIME, "this is an S/MIME message, the board needs DER (-outform DER)")
	case b[0] != 0x30:
		return fail(NotDER, "this is not a DER signature (openssl smime -sign -binary -outform DER makes one)")
	}
	return nil
}

// startsWith reports whether b starts with prefix, in any case.
func startsWith(b []byte, prefix string) bool {
	return len(b) >= len(prefix) && strings.EqualFold(string(b[:len(prefix)]), prefix)
}

var contentTypes = map[string]string{
	oidData: "data", oidEnvelopedData: "enveloped data",
	oidPKCS7 + "\x04": "signed and enveloped data", oidPKCS7 + "\x05": "digested data", oidPKCS7 + "\x06": "encrypted data",
	oidAuthEnveloped: "authenticated enveloped data", oidCMS + "\x02": "authenticated data", oidCMS + "\x09": "compressed data",
}

func checkType(oid string) error {
	switch {
	case oid == oidSignedData:
		return nil
	case oid == oidEnvelopedData || oid == oidAuthEnveloped:
		return fail(Encrypted, "this is encrypted (CMS enveloped data), not a signature")
	case contentTypes[oid] != "":
		return fail(NotSigned, "this is CMS "+contentTypes[oid]+", not a signature (signed data)")
	}
	return fail(NotSigned, "this is not a signature but a structure of type "+dotted(oid))
}

// read reads the SignedData itself.
func (d *signedData) read(s cryptobyte.String) error {
	if _, ok := readInteger(&s, tagInteger); !ok {
		return fail(Malformed, "the signature has no version")
	}
	if err := d.readDigestAlgs(&s); err != nil {
		return err
	}
	if err := d.readContent(&s); err != nil {
		return err
	}
	if err := d.readCerts(&s); err != nil {
		return err
	}
	if err := d.readCRLs(&s); err != nil {
		return err
	}
	return d.readSigners(&s)
}

func (d *signedData) readDigestAlgs(s *cryptobyte.String) error {
	var set cryptobyte.String
	if !s.ReadASN1(&set, tagSet) {
		return fail(Malformed, "the signature has no list of digests")
	}
	d.digestAlgs = map[string]bool{}
	for !set.Empty() {
		a, ok := readAlgorithm(&set)
		if !ok || !a.plain() {
			return fail(Malformed, "the signature has a broken list of digests")
		}
		if digests[a.oid] == 0 && weakDigests[a.oid] == "" {
			return fail(Unsupported, "the signature names a digest that usbagent does not know ("+dotted(a.oid)+")")
		}
		d.digestAlgs[a.oid] = true
	}
	return nil
}

// readContent reads which type of content was signed, and the content if the
// signature carries it.
func (d *signedData) readContent(s *cryptobyte.String) error {
	var info, wrapped, content cryptobyte.String
	if !s.ReadASN1(&info, tagSequence) {
		return fail(Malformed, "the signature does not say what was signed")
	}
	var ok bool
	if d.contentType, ok = readOID(&info); !ok {
		return fail(Malformed, "the signature does not say what was signed")
	}
	if !info.ReadOptionalASN1(&wrapped, &d.embedded, explicit(0)) || !info.Empty() {
		return fail(Malformed, "the signature has broken content")
	}
	if d.embedded {
		if !wrapped.ReadASN1(&content, tagOctetString) || !wrapped.Empty() {
			return fail(Malformed, "the signature carries content that is not a string of bytes")
		}
		d.content = content
	}
	return nil
}

func (d *signedData) readCerts(s *cryptobyte.String) error {
	var list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&list, &present, explicit(0)) {
		return fail(Malformed, "the signature has a broken list of certificates")
	}
	for present && !list.Empty() {
		if len(d.certs) >= MaxMessageCerts {
			return fail(TooLarge, fmt.Sprintf("the signature carries more than %d certificates", MaxMessageCerts))
		}
		e, _ := readAny(&list)
		c, err := parseCert(e)
		if err != nil {
			return fail(Malformed, "a certificate in the signature is broken: "+TextOf(err))
		}
		d.certs = append(d.certs, c)
	}
	return nil
}

func (d *signedData) readCRLs(s *cryptobyte.String) error {
	var list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&list, &present, explicit(1)) {
		return fail(Malformed, "the signature has a broken list of CRLs")
	}
	for present && !list.Empty() {
		if len(d.crls) >= MaxCRLs {
			return fail(TooLarge, fmt.Sprintf("the signature carries more than %d CRLs", MaxCRLs))
		}
		e, _ := readAny(&list)
		l, err := parseCRL(e)
		if err != nil {
			return fail(Malformed, "a CRL in the signature is broken: "+TextOf(err))
		}
		d.crls = append(d.crls, l)
	}
	return nil
}

func (d *signedData) readSigners(s *cryptobyte.String) error {
	var set cryptobyte.String
	if !s.ReadASN1(&set, tagSet) || !s.Empty() {
		return fail(Malformed, "the signature has no list of signers, or unknown fields")
	}
	for !set.Empty() {
		if len(d.signers) >= MaxSigners {
			return fail(TooLarge, fmt.Sprintf("the signature has more than %d signers", MaxSigners))
		}
		var body cryptobyte.String
		if !set.ReadASN1(&body, tagSequence) {
			return fail(Malformed, "a signer is broken")
		}
		si, err := readSigner(body)
		if err != nil {
			return err
		}
		d.signers = append(d.signers, si)
	}
	if len(d.signers) == 0 {
		return fail(NoSigner, "nobody signed: the structure has certificates only")
	}
	return nil
}
