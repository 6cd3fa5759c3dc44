// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
	"strings"
)

// MaxKeyringCerts is how many certificates a keyring may hold.
const MaxKeyringCerts = 512

// MaxCRLs is how many CRLs a keyring or a signature may hold.
const MaxCRLs = 64

// Keyring is a set of trusted certificates and CRLs in the order of the file.
type Keyring struct {
	certs []*cert
	crls  []*crl
}

// ParseKeyring reads PEM as the option -CAfile of the openssl command does:
// text around the blocks is skipped, one damaged block spoils the file, and
// CERTIFICATE, X509 CERTIFICATE, TRUSTED CERTIFICATE and X509 CRL blocks count.
// A certificate that is well-formed and cannot be used for trust is kept and
// says so (Certificate.Unusable). Stricter than openssl: private keys and
// certificates that are BER, not DER, are refused (docs/signatures.md).
func ParseKeyring(pem []byte) (*Keyring, error) {
	k, err := safely(func() (*Keyring, error) { return parseKeyring(pem) })
	return k, during("read keyring", err)
}

func parseKeyring(pem []byte) (*Keyring, error) {
	if len(pem) > MaxKeyringSize {
		return nil, fail(TooLarge, fmt.Sprintf("%d bytes, at most %d are read", len(pem), MaxKeyringSize))
	}
	// OpenSSL reads lines as C strings: one with a NUL ends early, or ends the
	// whole file.
	if i := bytes.IndexByte(pem, 0); i >= 0 {
		if pem[0] == 0x30 {
			return nil, fail(NoCertificate, noCertificateText(pem, 0))
		}
		return nil, fail(BadPEM, fmt.Sprintf("there is a NUL byte in line %d: this is no PEM (UTF-16 text, or a binary file?)", 1+bytes.Count(pem[:i], []byte("\n"))))
	}
	k := &Keyring{}
	r := &pemReader{rest: pem}
	for {
		b, err := r.next()
		if err == errNoBlock {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := k.add(b); err != nil {
			return nil, err
		}
	}
	if len(k.certs) == 0 {
		return nil, fail(NoCertificate, noCertificateText(pem, len(k.crls)))
	}
	return k, nil
}

// noCertificateText says what a file without certificates looks like.
func noCertificateText(pem []byte, crls int) string {
	switch {
	case len(pem) == 0:
		return "the file is empty"
	case crls > 0:
		return "there are CRLs, but no certificate"
	case pem[0] == 0x30:
		return "this is DER, a keyring is PEM (openssl x509 -inform DER rewrites it)"
	}
	return "there is no certificate in it (-----BEGIN CERTIFICATE-----)"
}

// add takes one block into the keyring.
func (k *Keyring) add(b *pemBlock) error {
	parse := parseCert
	switch {
	case b.name == "CERTIFICATE" || b.name == "X509 CERTIFICATE":
	case b.name == "TRUSTED CERTIFICATE":
		parse = parseTrusted
	case b.name == "X509 CRL":
		return k.addCRL(b)
	case strings.Contains(b.name, "PRIVATE KEY"):
		return fail(BadPEM, fmt.Sprintf("line %d begins a private key: a keyring must not hold one", b.line))
	default:
		return nil // OpenSSL skips other blocks once they are whole
	}
	if b.header {
		return b.broken("it has header lines")
	}
	c, err := parse(b.der)
	if err != nil {
		return b.broken(TextOf(err))
	}
	if len(k.certs) >= MaxKeyringCerts {
		return fail(TooLarge, fmt.Sprintf("more than %d certificates", MaxKeyringCerts))
	}
	if k.same(c) == nil { // a repeated certificate counts once, the first time
		k.certs = append(k.certs, c)
	}
	return nil
}

func (k *Keyring) addCRL(b *pemBlock) error {
	if b.header {
		return b.broken("it has header lines")
	}
	l, err := parseCRL(b.der)
	if err != nil {
		return b.broken(TextOf(err))
	}
	if len(k.crls) >= MaxCRLs {
		return fail(TooLarge, fmt.Sprintf("more than %d CRLs", MaxCRLs))
	}
	k.crls = append(k.crls, l)
	return nil
}

// Certificates lists what is in the keyring, in the order of the file.
func (k *Keyring) Certificates() []Certificate {
	list := make([]Certificate, len(k.certs))
	for i, c := range k.certs {
		list[i] = c.describe()
	}
	return list
}

// Equal reports whether both keyrings hold the same set of certificates. CRLs,
// order and text around the blocks do not matter.
func (k *Keyring) Equal(o *Keyring) bool {
	if k == nil || o == nil || len(k.certs) != len(o.certs) {
		return k == o
	}
	for _, c := range k.certs {
		if o.same(c) == nil {
			return false
		}
	}
	return true
}

// Revocations compares what the CRLs of k say with those of an older keyring:
// how many issuers and revoked serial numbers are added, and how many that old
// had are missing. CRLs that cannot be used do not count; dates and signatures
// are not looked at.
func (k *Keyring) Revocations(old *Keyring) (added, missing int) {
	now, before := k.revocations(), old.revocations()
	for r := range now {
		if !before[r] {
			added++
		}
	}
	for r := range before {
		if !now[r] {
			missing++
		}
	}
	return added, missing
}

// revocation is one entry of a CRL, or, without a serial number, that there is
// a CRL of that issuer.
type revocation struct{ issuer, serial string }

func (k *Keyring) revocations() map[revocation]bool {
	set := make(map[revocation]bool)
	for _, l := range k.crls {
		if l.unusable != "" {
			continue
		}
		set[revocation{issuer: l.issuer.canonical}] = true
		for _, serial := range l.revoked {
			set[revocation{l.issuer.canonical, string(serial)}] = true
		}
	}
	return set
}

// same returns the keyring's copy of c, or nil.
func (k *Keyring) same(c *cert) *cert {
	for _, own := range k.certs {
		if own.fingerprint == c.fingerprint {
			return own
		}
	}
	return nil
}

func (k *Keyring) hasSubject(n *name) bool {
	for _, c := range k.certs {
		if c.subject.canonical == n.canonical {
			return true
		}
	}
	return false
}

// issuerOf returns the first certificate of the keyring that looks like the
// issuer of c, or nil.
func (k *Keyring) issuerOf(c *cert) (*cert, error) {
	for _, issuer := range k.certs {
		if yes, err := c.issuedBy(issuer); yes || err != nil {
			return issuer, err
		}
	}
	return nil, nil
}
