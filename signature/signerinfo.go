// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// readSigner reads one SignerInfo.
func readSigner(s cryptobyte.String) (*signerInfo, error) {
	si := &signerInfo{}
	if _, ok := readInteger(&s, tagInteger); !ok {
		return nil, fail(Malformed, "a signer has no version")
	}
	if s.PeekASN1Tag(implicit(0)) {
		return nil, fail(Unsupported, "the signer is named by key identifier; the board needs issuer and serial number (openssl cms: leave out -keyid)")
	}
	var id cryptobyte.String
	if !s.ReadASN1(&id, tagSequence) {
		return nil, fail(Malformed, "a signer is not named by issuer and serial number")
	}
	var err error
	if si.issuer, err = readName(&id); err != nil {
		return nil, err
	}
	var ok bool
	if si.serial, ok = readInteger(&id, tagInteger); !ok || !id.Empty() {
		return nil, fail(Malformed, "a signer is not named by issuer and serial number")
	}
	if si.digestAlg, ok = readAlgorithm(&s); !ok || !si.digestAlg.plain() {
		return nil, fail(Malformed, "a signer has a broken digest algorithm")
	}
	if err := si.readSignedAttributes(&s); err != nil {
		return nil, err
	}
	if si.signatureAlg, ok = readAlgorithm(&s); !ok {
		return nil, fail(Malformed, "a signer has a broken signature algorithm")
	}
	if !s.ReadASN1Bytes(&si.signature, tagOctetString) {
		return nil, fail(Malformed, "a signer has no signature value")
	}
	return si, si.readUnsignedAttributes(s)
}

// readSignedAttributes keeps the attributes exactly as they are signed, in
// their order, with the tag of a SET, and finds the digest of the content.
func (si *signerInfo) readSignedAttributes(s *cryptobyte.String) error {
	if !s.PeekASN1Tag(explicit(0)) {
		return nil
	}
	var element, list cryptobyte.String
	copy := *s
	if !s.ReadASN1Element(&element, explicit(0)) || !copy.ReadASN1(&list, explicit(0)) {
		return fail(Malformed, "a signer has broken signed attributes")
	}
	si.attrs = append([]byte{}, element...)
	si.attrs[0] = byte(tagSet)
	si.hasAttrs = !list.Empty() // an empty list counts as none, as in OpenSSL
	seen := false
	return eachAttribute(list, func(oid string, values cryptobyte.String) error {
		if oid != oidMessageDigest || seen {
			return nil
		}
		seen = true
		var digest cryptobyte.String
		if !values.ReadASN1(&digest, tagOctetString) || !values.Empty() {
			return fail(Malformed, "the signer's message digest is not one string of bytes")
		}
		si.digest = append([]byte{}, digest...)
		return nil
	})
}

// looksLikeAttributes reports whether content is what a signer with attributes
// signs. Anybody could take such a signature, leave out the attributes, and
// offer them as the content: the same signature would be good for it.
func looksLikeAttributes(content []byte) bool {
	if len(content) == 0 || content[0] != byte(tagSet) || len(content) > MaxSize || walkDER(content) != nil {
		return false
	}
	s := cryptobyte.String(content)
	var list cryptobyte.String
	return s.ReadASN1(&list, tagSet) && !list.Empty() && eachAttribute(list, func(string, cryptobyte.String) error { return nil }) == nil
}

func (si *signerInfo) readUnsignedAttributes(s cryptobyte.String) error {
	var list cryptobyte.String
	if !s.ReadOptionalASN1(&list, nil, explicit(1)) || !s.Empty() {
		return fail(Malformed, "a signer has unknown fields")
	}
	return eachAttribute(list, func(string, cryptobyte.String) error { return nil })
}

// eachAttribute checks the form of each attribute (its values in DER order,
// since OpenSSL sorts them before it verifies) and calls f.
func eachAttribute(list cryptobyte.String, f func(oid string, values cryptobyte.String) error) error {
	for n := 0; !list.Empty(); n++ {
		if n >= MaxAttributes {
			return fail(TooLarge, fmt.Sprintf("a signer has more than %d attributes", MaxAttributes))
		}
		var attr, values cryptobyte.String
		if !list.ReadASN1(&attr, tagSequence) {
			return fail(Malformed, "an attribute is broken")
		}
		oid, ok := readOID(&attr)
		if !ok || !attr.ReadASN1(&values, tagSet) || !attr.Empty() || !sorted(values) {
			return fail(Malformed, "an attribute is broken")
		}
		if err := f(oid, values); err != nil {
			return err
		}
	}
	return nil
}

// sorted reports whether the elements of a SET OF are in DER order.
func sorted(set cryptobyte.String) bool {
	var before []byte
	for !set.Empty() {
		var e cryptobyte.String
		var tag cbasn1.Tag
		if !set.ReadAnyASN1Element(&e, &tag) || bytes.Compare(before, e) > 0 {
			return false
		}
		before = e
	}
	return true
}
