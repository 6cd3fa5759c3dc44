// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"golang.org/x/crypto/cryptobyte"
)

// Key usage bits, as in the first byte of the bit string.
const (
	usageSignature   = 0x80
	usageRepudiation = 0x40
	usageCertSign    = 0x04
	usageCRLSign     = 0x02
)

// Netscape certificate type bits.
const (
	nsClient  = 0x80
	nsSMIME   = 0x20
	nsSSLCA   = 0x04
	nsSMIMECA = 0x02
	nsObjCA   = 0x01
)

// extensions are the parts of a certificate's extensions that decide anything.
type extensions struct {
	broken       string // an extension that decides something cannot be read: why
	critical     string // the first critical extension that nobody knows
	hasBasic, ca bool
	pathLen      int // -1: no limit
	hasUsage     bool
	usage        byte
	hasEKU       bool
	eku          map[string]bool
	hasNS        bool
	nsType       byte
	ski          []byte
	aki          *authorityKeyID
	altNames     []generalName
	nc           *nameConstraints
	crldp        bool
}

type authorityKeyID struct {
	keyID  []byte
	issuer *name // the first directory name, or nil
	serial []byte
}

// extensionReaders are the extensions that decide something (those which
// OpenSSL caches), with what reads their value.
var extensionReaders = map[string]struct {
	name string
	read func(*extensions, cryptobyte.String) bool
}{
	"\x55\x1d\x13":                         {"basicConstraints", (*extensions).readBasicConstraints},
	"\x55\x1d\x0f":                         {"keyUsage", (*extensions).readKeyUsage},
	"\x55\x1d\x25":                         {"extendedKeyUsage", (*extensions).readEKU},
	"\x60\x86\x48\x01\x86\xf8\x42\x01\x01": {"nsCertType", (*extensions).readNSType},
	"\x55\x1d\x0e":                         {"subjectKeyIdentifier", (*extensions).readSKI},
	"\x55\x1d\x23":                         {"authorityKeyIdentifier", (*extensions).readAKI},
	"\x55\x1d\x11":                         {"subjectAltName", (*extensions).readAltNames},
	"\x55\x1d\x1e":                         {"nameConstraints", (*extensions).readNameConstraints},
	"\x55\x1d\x1f":                         {"crlDistributionPoints", (*extensions).readCRLDP},
	// Proxy certificates and RFC 3779 resources are never good for signing.
	"\x2b\x06\x01\x05\x05\x07\x01\x0e": {"proxyCertInfo (a proxy certificate)", refuseExtension},
	"\x2b\x06\x01\x05\x05\x07\x01\x07": {"ipAddrBlocks", refuseExtension},
	"\x2b\x06\x01\x05\x05\x07\x01\x08": {"autonomousSysIds", refuseExtension},
}

// knownCritical are the extensions that may be critical: those which OpenSSL's
// verification handles (the key identifiers are not among them).
var knownCritical = map[string]bool{
	"\x55\x1d\x13": true, "\x55\x1d\x0f": true, "\x55\x1d\x25": true,
	"\x60\x86\x48\x01\x86\xf8\x42\x01\x01": true,
	"\x55\x1d\x11":                         true, "\x55\x1d\x1e": true, "\x55\x1d\x1f": true,
	"\x55\x1d\x20":                         true, // certificatePolicies
	"\x55\x1d\x21":                         true, // policyMappings
	"\x55\x1d\x24":                         true, // policyConstraints
	"\x55\x1d\x36":                         true, // inhibitAnyPolicy
	"\x2b\x06\x01\x05\x05\x07\x30\x01\x05": true, // OCSP noCheck
}

func refuseExtension(*extensions, cryptobyte.String) bool { return false }

// read reads the list of extensions. An error means that the certificate's
// shape is wrong; a value that cannot be read is noted in broken.
func (x *extensions) read(list cryptobyte.String) error {
	x.pathLen = -1
	seen := map[string]bool{}
	for !list.Empty() {
		var e, value cryptobyte.String
		if !list.ReadASN1(&e, tagSequence) {
			return fail(Malformed, "certificate with a broken extension")
		}
		oid, ok := readOID(&e)
		if !ok {
			return fail(Malformed, "certificate with an extension without identifier")
		}
		critical := false
		if e.PeekASN1Tag(tagBoolean) && !e.ReadASN1Boolean(&critical) {
			return fail(Malformed, "certificate with an extension whose critical flag is not DER")
		}
		if !e.ReadASN1(&value, tagOctetString) || !e.Empty() {
			return fail(Malformed, "certificate with an extension without value")
		}
		x.take(oid, critical, value, seen[oid])
		seen[oid] = true
	}
	return nil
}

func (x *extensions) take(oid string, critical bool, value cryptobyte.String, again bool) {
	if critical && !knownCritical[oid] && x.critical == "" {
		x.critical = dotted(oid)
	}
	r, ok := extensionReaders[oid]
	if !ok {
		return
	}
	switch {
	case again:
		x.broken = "extension " + r.name + " is there twice"
	case walkDER(value) != nil || !r.read(x, value):
		x.broken = "extension " + r.name + " cannot be read or is not allowed"
	}
}

func (x *extensions) readBasicConstraints(v cryptobyte.String) bool {
	var s cryptobyte.String
	if !v.ReadASN1(&s, tagSequence) {
		return false
	}
	x.hasBasic, x.pathLen = true, -1
	if s.PeekASN1Tag(tagBoolean) && !s.ReadASN1Boolean(&x.ca) {
		return false
	}
	if s.Empty() {
		return true
	}
	n, ok := readInteger(&s, tagInteger)
	if !ok || !s.Empty() || n[0]&0x80 != 0 || len(n) > 4 {
		return false
	}
	x.pathLen = 0
	for _, b := range n {
		x.pathLen = x.pathLen<<8 | int(b)
	}
	return true
}

func (x *extensions) readKeyUsage(v cryptobyte.String) bool {
	bits, ok := readBits(v)
	if !ok {
		return false
	}
	x.hasUsage = true
	any := byte(0)
	for _, b := range bits[:min(len(bits), 2)] {
		any |= b
	}
	if any == 0 {
		return false // OpenSSL: an empty key usage makes the certificate invalid
	}
	x.usage = bits[0]
	return true
}

func (x *extensions) readNSType(v cryptobyte.String) bool {
	bits, ok := readBits(v)
	x.hasNS = true
	if ok && len(bits) > 0 {
		x.nsType = bits[0]
	}
	return ok
}

// readBits reads a BIT STRING.
func readBits(v cryptobyte.String) ([]byte, bool) {
	var content cryptobyte.String
	if !v.ReadASN1(&content, tagBitString) || !isBitString(content) {
		return nil, false
	}
	return content[1:], true
}

func (x *extensions) readEKU(v cryptobyte.String) bool {
	var s cryptobyte.String
	if !v.ReadASN1(&s, tagSequence) {
		return false
	}
	x.hasEKU, x.eku = true, map[string]bool{}
	for !s.Empty() {
		oid, ok := readOID(&s)
		if !ok {
			return false
		}
		x.eku[oid] = true
	}
	return true
}

func (x *extensions) readSKI(v cryptobyte.String) bool {
	var id cryptobyte.String
	ok := v.ReadASN1(&id, tagOctetString)
	x.ski = append([]byte{}, id...)
	return ok
}

func (x *extensions) readAKI(v cryptobyte.String) bool {
	var s, id, names, serial cryptobyte.String
	var hasID, hasNames bool
	if !v.ReadASN1(&s, tagSequence) ||
		!s.ReadOptionalASN1(&id, &hasID, implicit(0)) ||
		!s.ReadOptionalASN1(&names, &hasNames, explicit(1)) {
		return false
	}
	a := &authorityKeyID{}
	if hasID {
		a.keyID = append([]byte{}, id...)
	}
	if hasNames {
		list, ok := readGeneralNames(names)
		if !ok {
			return false
		}
		for _, g := range list {
			if g.dir != nil {
				a.issuer = g.dir
				break
			}
		}
	}
	if s.PeekASN1Tag(implicit(2)) {
		n, ok := readInteger(&s, implicit(2))
		if !ok {
			return false
		}
		serial = n
		a.serial = serial
	}
	x.aki = a
	return s.Empty()
}

func (x *extensions) readAltNames(v cryptobyte.String) bool {
	var s cryptobyte.String
	if !v.ReadASN1(&s, tagSequence) {
		return false
	}
	var ok bool
	x.altNames, ok = readGeneralNames(s)
	return ok
}

// readCRLDP checks the form of the distribution points; where CRLs are to be
// fetched from does not matter, since they come from the keyring.
func (x *extensions) readCRLDP(v cryptobyte.String) bool {
	var list cryptobyte.String
	if !v.ReadASN1(&list, tagSequence) {
		return false
	}
	x.crldp = true
	for !list.Empty() {
		var dp cryptobyte.String
		if !list.ReadASN1(&dp, tagSequence) || !readDistributionPoint(dp) {
			return false
		}
	}
	return true
}

func readDistributionPoint(dp cryptobyte.String) bool {
	var point, names, reasons, issuer cryptobyte.String
	var hasPoint, hasNames, hasReasons, hasIssuer bool
	if !dp.ReadOptionalASN1(&point, &hasPoint, explicit(0)) ||
		!dp.ReadOptionalASN1(&reasons, &hasReasons, implicit(1)) || hasReasons && !isBitString(reasons) ||
		!dp.ReadOptionalASN1(&issuer, &hasIssuer, explicit(2)) || !dp.Empty() {
		return false
	}
	if hasPoint {
		if !point.ReadOptionalASN1(&names, &hasNames, explicit(0)) || !point.Empty() || !hasNames {
			return false // names relative to the issuer are not supported
		}
		if _, ok := readGeneralNames(names); !ok {
			return false
		}
	}
	if hasIssuer {
		_, ok := readGeneralNames(issuer)
		return ok
	}
	return true
}
