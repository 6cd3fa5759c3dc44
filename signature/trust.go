// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "golang.org/x/crypto/cryptobyte"

// trustSettings are what a TRUSTED CERTIFICATE block adds to a certificate
// (openssl x509 -addtrust, -addreject).
type trustSettings struct {
	hasTrust bool
	trust    map[string]bool
	reject   map[string]bool
}

// parseTrusted reads the content of a TRUSTED CERTIFICATE block: a certificate
// and, optionally, its settings.
func parseTrusted(der []byte) (*cert, error) {
	n, err := walkElement(der, 0, 0)
	if err != nil {
		return nil, err
	}
	c, err := parseCert(der[:n])
	if err != nil || n == len(der) {
		return c, err
	}
	c.trusted, err = readTrustSettings(der[n:])
	return c, err
}

func readTrustSettings(der []byte) (*trustSettings, error) {
	bad := fail(BadPEM, "the settings of a TRUSTED CERTIFICATE cannot be read")
	if walkDER(der) != nil {
		return nil, bad
	}
	s := cryptobyte.String(der)
	var body, list cryptobyte.String
	if !s.ReadASN1(&body, tagSequence) {
		return nil, bad
	}
	t := &trustSettings{}
	var ok bool
	if body.PeekASN1Tag(tagSequence) {
		t.hasTrust = true
		if t.trust, ok = readUses(&body, &list, false); !ok {
			return nil, bad
		}
	}
	if t.reject, ok = readUses(&body, &list, true); !ok {
		return nil, bad
	}
	var other cryptobyte.String // alias, key identifier, others
	if !body.SkipOptionalASN1(tagUTF8) || !body.SkipOptionalASN1(tagOctetString) ||
		!body.ReadOptionalASN1(&other, nil, explicit(1)) || !body.Empty() {
		return nil, bad
	}
	for !other.Empty() {
		if _, ok := readAlgorithm(&other); !ok {
			return nil, bad
		}
	}
	return t, nil
}

func readUses(body, list *cryptobyte.String, optional bool) (map[string]bool, bool) {
	present := true
	if optional {
		if !body.ReadOptionalASN1(list, &present, explicit(0)) {
			return nil, false
		}
	} else if !body.ReadASN1(list, tagSequence) {
		return nil, false
	}
	uses := map[string]bool{}
	for present && !list.Empty() {
		oid, ok := readOID(list)
		if !ok {
			return nil, false
		}
		uses[oid] = true
	}
	return uses, true
}

// trustFor says whether c, a certificate of the keyring, ends a chain by
// itself. Without settings, a self-signed one does when selfSignedCounts.
func (c *cert) trustFor(p Purpose, selfSignedCounts bool) trust {
	if c.ext.broken != "" {
		return untrusted
	}
	if t := c.trusted; t != nil {
		if t.reject[p.trustID()] || t.reject[ekuAny] {
			return rejected
		}
		if t.hasTrust {
			if t.trust[p.trustID()] || t.trust[ekuAny] {
				return trusted
			}
			return rejected
		}
	}
	if selfSignedCounts && c.selfSigned {
		return trusted
	}
	return untrusted
}
