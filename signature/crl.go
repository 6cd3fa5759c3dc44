// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"slices"

	"golang.org/x/crypto/cryptobyte"
)

// crl is a certificate revocation list. Its dates are never looked at.
type crl struct {
	tbs      []byte
	innerAlg []byte
	sigAlg   algorithm
	sig      []byte
	issuer   *name
	aki      *authorityKeyID
	revoked  [][]byte // serial numbers
	unusable string
}

// parseCRL reads one CRL.
func parseCRL(der []byte) (*crl, error) {
	if err := walkDER(der); err != nil {
		return nil, err
	}
	l := &crl{}
	outer := cryptobyte.String(der)
	var body, tbs cryptobyte.String
	if !outer.ReadASN1(&body, tagSequence) || !body.ReadASN1Element(&tbs, tagSequence) {
		return nil, fail(Malformed, "not a CRL")
	}
	l.tbs = tbs
	var ok bool
	if l.sigAlg, ok = readAlgorithm(&body); !ok {
		return nil, fail(Malformed, "CRL without signature algorithm")
	}
	if !body.ReadASN1BitStringAsBytes(&l.sig) || !body.Empty() {
		return nil, fail(Malformed, "CRL without signature value")
	}
	return l, l.readTBS(tbs)
}

func (l *crl) readTBS(tbs cryptobyte.String) error {
	var s cryptobyte.String
	if !tbs.ReadASN1(&s, tagSequence) {
		return fail(Malformed, "CRL without signed part")
	}
	if s.PeekASN1Tag(tagInteger) {
		if _, ok := readInteger(&s, tagInteger); !ok {
			return fail(Malformed, "CRL with a broken version")
		}
	}
	alg, ok := readAlgorithm(&s)
	if !ok {
		return fail(Malformed, "CRL without inner signature algorithm")
	}
	l.innerAlg = alg.raw
	var err error
	if l.issuer, err = readName(&s); err != nil {
		return err
	}
	var date timeField
	if !date.read(&s) {
		return fail(Malformed, "CRL without date")
	}
	if s.PeekASN1Tag(tagUTCTime) || s.PeekASN1Tag(tagGenTime) {
		date.read(&s)
	}
	if s.PeekASN1Tag(tagSequence) {
		if err := l.readRevoked(&s); err != nil {
			return err
		}
	}
	return l.readExtensions(s)
}

func (l *crl) readRevoked(s *cryptobyte.String) error {
	var list cryptobyte.String
	bad := fail(Malformed, "CRL with a broken entry")
	if !s.ReadASN1(&list, tagSequence) {
		return bad
	}
	for !list.Empty() {
		var e, ext cryptobyte.String
		var date timeField
		if !list.ReadASN1(&e, tagSequence) {
			return bad
		}
		serial, ok := readInteger(&e, tagInteger)
		if !ok || !date.read(&e) {
			return bad
		}
		if !e.Empty() {
			if !e.ReadASN1(&ext, tagSequence) || !e.Empty() {
				return bad
			}
			if err := l.readEntryExtensions(ext); err != nil {
				return err
			}
		}
		l.revoked = append(l.revoked, serial)
	}
	return nil
}

// readEntryExtensions marks the CRL unusable for an entry that says more than
// "revoked, whatever the reason": another issuer, taken off the list, or
// anything critical.
func (l *crl) readEntryExtensions(list cryptobyte.String) error {
	seen := map[string]bool{}
	return eachExtension(list, func(oid string, critical bool, value []byte) {
		switch {
		case seen[oid]:
			l.unusable = "it has an entry with an extension twice"
		case oid == "\x55\x1d\x15" && (len(value) != 3 || value[0] != 0x0a || value[1] != 1 || value[2] == 8):
			l.unusable = "it has an entry taken off the list, or with an unreadable reason"
		case oid == "\x55\x1d\x15", oid == "\x55\x1d\x18" && !critical: // reason, invalidity date
		case critical || oid == "\x55\x1d\x1d":
			l.unusable = "it is indirect or has critical entry extensions"
		}
		seen[oid] = true
	})
}

func (l *crl) readExtensions(s cryptobyte.String) error {
	var wrapped, list cryptobyte.String
	var present bool
	if !s.ReadOptionalASN1(&wrapped, &present, explicit(0)) || !s.Empty() {
		return fail(Malformed, "CRL with unknown fields")
	}
	if !present {
		return nil
	}
	if !wrapped.ReadASN1(&list, tagSequence) || !wrapped.Empty() {
		return fail(Malformed, "CRL with broken extensions")
	}
	seen := map[string]bool{}
	return eachExtension(list, func(oid string, critical bool, value []byte) {
		if seen[oid] {
			l.unusable = "it has an extension twice"
		}
		seen[oid] = true
		switch oid {
		case "\x55\x1d\x14": // number
			n := cryptobyte.String(value)
			if _, ok := readInteger(&n, tagInteger); !ok || !n.Empty() || critical {
				l.unusable = "its number cannot be read"
			}
		case "\x55\x1d\x23": // authorityKeyIdentifier
			var x extensions
			if walkDER(value) != nil || !x.readAKI(value) {
				l.unusable = "its authority key identifier cannot be read"
			}
			l.aki = x.aki
		case "\x55\x1d\x1b", "\x55\x1d\x1c": // delta CRL, issuing distribution point
			l.unusable = "it is a partial CRL (delta or issuing distribution point)"
		default:
			if critical {
				l.unusable = "it has a critical extension that nobody here knows"
			}
		}
	})
}

// eachExtension calls f for each extension of a list.
func eachExtension(list cryptobyte.String, f func(oid string, critical bool, value []byte)) error {
	for !list.Empty() {
		var e, value cryptobyte.String
		critical := false
		if !list.ReadASN1(&e, tagSequence) {
			return fail(Malformed, "a broken extension")
		}
		oid, ok := readOID(&e)
		if !ok || e.PeekASN1Tag(tagBoolean) && !e.ReadASN1Boolean(&critical) ||
			!e.ReadASN1(&value, tagOctetString) || !e.Empty() {
			return fail(Malformed, "a broken extension")
		}
		f(oid, critical, value)
	}
	return nil
}

// checkRevocation demands, for each certificate of the chain, a usable CRL of
// its issuer in the keyring on which it is not listed. A list in the message can
// revoke too, and is never enough. Dates do not count.
func (ch *chain) checkRevocation() error {
	for i, c := range ch.certs {
		issuer := c
		if i+1 < len(ch.certs) {
			issuer = ch.certs[i+1]
		} else if own, _ := c.issuedBy(c); !own {
			return fail(NoCRL, "no CRL can be checked for "+quoteSubject(c)+", since its issuer is not in the keyring")
		}
		if err := ch.checkRevoked(c, issuer); err != nil {
			return err
		}
	}
	return nil
}

func (ch *chain) checkRevoked(c, issuer *cert) error {
	found := false
	for i, l := range slices.Concat(ch.k.crls, ch.messageCRLs) {
		if l.issuer.canonical != c.issuer.canonical {
			continue
		}
		if l.unusable != "" {
			return fail(NoCRL, "a CRL of "+l.issuer.String()+" cannot be used: "+l.unusable)
		}
		if !(&cert{ext: extensions{aki: l.aki}}).matchesAKI(issuer) {
			continue
		}
		if err := l.check(issuer); err != nil {
			return err
		}
		found = found || i < len(ch.k.crls)
		for _, serial := range l.revoked {
			if bytes.Equal(serial, c.serial) {
				return fail(Revoked, "the certificate "+quoteSubject(c)+" is revoked by a CRL of "+l.issuer.String())
			}
		}
	}
	if !found {
		return fail(NoCRL, "signature.check_crl is on and the keyring has no CRL of "+issuer.subject.String()+" for "+quoteSubject(c))
	}
	return nil
}

// check checks the CRL's own signature.
func (l *crl) check(issuer *cert) error {
	if issuer.ext.hasUsage && issuer.ext.usage&usageCRLSign == 0 {
		return fail(NoCRL, "the issuer "+quoteSubject(issuer)+" is not for signing CRLs (key usage)")
	}
	if string(l.innerAlg) != string(l.sigAlg.raw) {
		return fail(NoCRL, "a CRL of "+l.issuer.String()+" names two different signature algorithms")
	}
	if err := issuer.key.verifySigned(l.sigAlg, l.tbs, l.sig); err != nil {
		return fail(NoCRL, "a CRL of "+l.issuer.String()+" "+TextOf(err))
	}
	return nil
}
