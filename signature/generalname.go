// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// The kinds of GeneralName (RFC 5280, 4.2.1.6), by their tag.
const (
	nameOther = 0
	nameEmail = 1
	nameDNS   = 2
	nameX400  = 3
	nameDir   = 4
	nameEDI   = 5
	nameURI   = 6
	nameIP    = 7
	nameRID   = 8
)

// generalName is one alternative name, or the base of a name constraint.
type generalName struct {
	kind  int
	value []byte
	dir   *name
}

// readGeneralNames reads the content of a GeneralNames list.
func readGeneralNames(s cryptobyte.String) ([]generalName, bool) {
	list := []generalName{}
	for !s.Empty() {
		g, ok := readGeneralName(&s)
		if !ok {
			return nil, false
		}
		list = append(list, g)
	}
	return list, true
}

// readGeneralName takes one GeneralName off s.
func readGeneralName(s *cryptobyte.String) (generalName, bool) {
	var g generalName
	var v cryptobyte.String
	var tag cbasn1.Tag
	if !s.ReadAnyASN1(&v, &tag) || tag&0xc0 != 0x80 {
		return g, false
	}
	g.kind, g.value = int(tag&0x1f), v
	constructed := tag&0x20 != 0
	switch g.kind {
	case nameOther:
		if _, ok := readOID(&v); !ok || !constructed {
			return g, false
		}
		var inner cryptobyte.String
		if !v.ReadASN1(&inner, explicit(0)) || !v.Empty() {
			return g, false
		}
		_, ok := readAny(&inner)
		return g, ok && inner.Empty()
	case nameDir:
		n, err := readName(&v)
		g.dir = n
		return g, constructed && err == nil && v.Empty()
	case nameEmail, nameDNS, nameURI, nameIP:
		return g, !constructed
	case nameRID:
		return g, !constructed && isOID(v)
	}
	return g, false // X.400 and EDI names have not been seen in the wild
}
