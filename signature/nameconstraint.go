// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
)

// MaxNameChecks bounds names times constraints of one pair of certificates, as
// in OpenSSL.
const MaxNameChecks = 1 << 20

// nameConstraints are the subtrees that names below an issuer must (permitted)
// or must not (excluded) lie in.
type nameConstraints struct {
	permitted, excluded []generalName
	minMax              bool // a subtree has a minimum or maximum
}

func (x *extensions) readNameConstraints(v cryptobyte.String) bool {
	var s, list cryptobyte.String
	var present bool
	if !v.ReadASN1(&s, tagSequence) {
		return false
	}
	nc := &nameConstraints{}
	for i, to := range []*[]generalName{&nc.permitted, &nc.excluded} {
		if !s.ReadOptionalASN1(&list, &present, explicit(uint8(i))) {
			return false
		}
		for present && !list.Empty() {
			var sub cryptobyte.String
			if !list.ReadASN1(&sub, tagSequence) {
				return false
			}
			g, ok := readGeneralName(&sub)
			if !ok {
				return false
			}
			if !sub.Empty() {
				nc.minMax = true
			}
			*to = append(*to, g)
		}
	}
	x.nc = nc
	return s.Empty()
}

// check checks the names of c against the constraints, the common name too
// when c is the signer's certificate (leaf) and has no DNS name.
func (nc *nameConstraints) check(c *cert, leaf bool) error {
	names := len(c.subject.entries) + len(c.ext.altNames)
	if names > 0 && len(nc.permitted)+len(nc.excluded) > MaxNameChecks/names {
		return fail(NameConstraint, "too many names and name constraints")
	}
	if nc.minMax {
		return fail(NameConstraint, "name constraints with minimum or maximum are not supported")
	}
	for _, g := range subjectNames(c, leaf) {
		if err := nc.checkName(g); err != nil {
			return err
		}
	}
	return nil
}

// subjectNames lists every name of c that constraints apply to.
func subjectNames(c *cert, leaf bool) []generalName {
	var list []generalName
	if len(c.subject.entries) > 0 {
		list = append(list, generalName{kind: nameDir, dir: c.subject})
	}
	for _, e := range c.subject.entries {
		if e.oid == oidEmailAddress {
			g := generalName{kind: nameEmail, value: e.raw}
			if e.tag != tagIA5 {
				g.kind = -1 // OpenSSL: unsupported name syntax
			}
			list = append(list, g)
		}
	}
	list = append(list, c.ext.altNames...)
	if !leaf || hasDNSName(c) {
		return list
	}
	for _, e := range c.subject.entries {
		if e.oid == oidCommonName && looksLikeHost(strings.TrimRight(e.value, "\x00")) {
			list = append(list, generalName{kind: nameDNS, value: []byte(strings.TrimRight(e.value, "\x00"))})
		}
	}
	return list
}

func hasDNSName(c *cert) bool {
	for _, g := range c.ext.altNames {
		if g.kind == nameDNS {
			return true
		}
	}
	return false
}

// looksLikeHost reports whether a common name is a DNS name of two or more
// labels. A NUL inside counts as one, so that it is refused by any constraint.
func looksLikeHost(s string) bool {
	dots := false
	for i := range len(s) {
		c := s[i]
		switch {
		case c == 0:
			return true
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_':
		case i == 0 || i == len(s)-1:
			return false
		case c == '-':
		case c == '.' && s[i+1] != '.' && s[i-1] != '-' && s[i+1] != '-':
			dots = true
		default:
			return false
		}
	}
	return dots
}

// checkName refuses a name that lies in no permitted subtree of its kind, where
// there are any, or in an excluded one.
func (nc *nameConstraints) checkName(g generalName) error {
	if g.kind == -1 {
		return fail(NameConstraint, "an e-mail address in the subject cannot be compared with the issuer's name constraints")
	}
	if g.kind == nameOther && (nc.has(nameOther) || nc.has(nameEmail)) {
		return fail(NameConstraint, "an alternative name of a kind that cannot be compared with the issuer's name constraints")
	}
	if g.kind == nameDNS && bytes.IndexByte(g.value, 0) >= 0 {
		return fail(NameConstraint, "a common name with a NUL inside")
	}
	permitted, applies := false, false
	for _, base := range nc.permitted {
		if base.kind != g.kind {
			continue
		}
		in, err := inSubtree(g, base)
		if err != nil {
			return err
		}
		applies = true
		permitted = permitted || in
	}
	if applies && !permitted {
		return fail(NameConstraint, fmt.Sprintf("the name %s is not permitted by the issuer's name constraints", g))
	}
	for _, base := range nc.excluded {
		if base.kind != g.kind {
			continue
		}
		if in, err := inSubtree(g, base); err != nil || in {
			return fail(NameConstraint, fmt.Sprintf("the name %s is excluded by the issuer's name constraints", g))
		}
	}
	return nil
}

func (nc *nameConstraints) has(kind int) bool {
	for _, list := range [][]generalName{nc.permitted, nc.excluded} {
		for _, g := range list {
			if g.kind == kind {
				return true
			}
		}
	}
	return false
}

// String returns the name for messages.
func (g generalName) String() string {
	if g.dir != nil {
		return g.dir.String()
	}
	return escapeName(string(g.value))
}

// inSubtree reports whether g lies in the subtree base of the same kind.
func inSubtree(g, base generalName) (bool, error) {
	switch g.kind {
	case nameDir:
		return strings.HasPrefix(g.dir.canonical, base.dir.canonical), nil
	case nameDNS:
		return inDomain(g.value, base.value), nil
	case nameEmail:
		return inMailDomain(string(g.value), string(base.value))
	case nameURI:
		return inURIDomain(string(g.value), string(base.value))
	case nameIP:
		return inNet(g.value, base.value)
	}
	return false, fail(NameConstraint, "an alternative name of a kind that cannot be compared with the issuer's name constraints")
}

func inDomain(dns, base []byte) bool {
	if len(base) == 0 {
		return true
	}
	if len(dns) < len(base) {
		return false
	}
	cut := len(dns) - len(base)
	if cut > 0 && base[0] != '.' && dns[cut-1] != '.' {
		return false
	}
	return equalFoldASCII(string(dns[cut:]), string(base))
}

// inMailDomain compares an address with a constraint that is an address, a
// host or (with a leading dot) a domain.
func inMailDomain(mail, base string) (bool, error) {
	at := strings.LastIndexByte(mail, '@')
	if at < 0 {
		return false, fail(NameConstraint, "an e-mail address without @")
	}
	baseAt := strings.LastIndexByte(base, '@')
	if baseAt < 0 && strings.HasPrefix(base, ".") {
		return len(mail) > len(base) && equalFoldASCII(mail[len(mail)-len(base):], base), nil
	}
	if baseAt > 0 {
		if strings.ContainsRune(base[:baseAt], 0) || strings.ContainsRune(mail[:at], 0) {
			return false, fail(NameConstraint, "an e-mail address with a NUL inside")
		}
		if base[:baseAt] != mail[:at] {
			return false, nil
		}
	}
	return equalFoldASCII(mail[at+1:], base[baseAt+1:]), nil
}

func inURIDomain(uri, base string) (bool, error) {
	bad := fail(NameConstraint, "a URI that cannot be compared with the issuer's name constraints")
	_, host, ok := strings.Cut(uri, ":")
	if !ok || !strings.HasPrefix(host, "//") {
		return false, bad
	}
	host = host[2:]
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
	} else if i := strings.IndexByte(host, '/'); i >= 0 {
		host = host[:i]
	}
	if host == "" {
		return false, bad
	}
	if strings.HasPrefix(base, ".") {
		return len(host) > len(base) && equalFoldASCII(host[len(host)-len(base):], base), nil
	}
	return equalFoldASCII(host, base), nil
}

func inNet(ip, base []byte) (bool, error) {
	if len(ip) != 4 && len(ip) != 16 || len(base) != 8 && len(base) != 32 {
		return false, fail(NameConstraint, "an IP address or network of a wrong length")
	}
	if len(ip)*2 != len(base) {
		return false, nil
	}
	mask := base[len(ip):]
	for i := range ip {
		if ip[i]&mask[i] != base[i]&mask[i] {
			return false, nil
		}
	}
	return true, nil
}

func equalFoldASCII(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := a[i], b[i]
		if x >= 'A' && x <= 'Z' {
			x += 'a' - 'A'
		}
		if y >= 'A' && y <= 'Z' {
			y += 'a' - 'A'
		}
		if x != y {
			return false
		}
	}
	return true
}
