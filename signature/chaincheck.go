// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "fmt"

// check runs, on a complete chain, everything else that OpenSSL checks, in its
// order, and what this package adds.
func (ch *chain) check() error {
	if err := ch.checkExtensions(); err != nil {
		return err
	}
	if ch.o.CheckCRL {
		if err := ch.checkRevocation(); err != nil {
			return err
		}
	}
	if err := ch.checkSignatures(); err != nil {
		return err
	}
	return ch.checkNameConstraints()
}

// checkExtensions checks usability, critical extensions, CA rules, purpose and
// path length of each certificate.
func (ch *chain) checkExtensions() error {
	pathLen := 0
	for i, c := range ch.certs {
		if err := usable(c); err != nil {
			return err
		}
		if c.ext.critical != "" {
			return fail(BadChain, quoteSubject(c)+" has a critical extension that nobody here knows ("+c.ext.critical+")")
		}
		if i > 0 {
			if err := checkIssuer(c, i+1 < len(ch.certs)); err != nil {
				return err
			}
		}
		if err := ch.checkPurpose(c, i); err != nil {
			return err
		}
		if i > 1 && c.ext.pathLen >= 0 && pathLen > c.ext.pathLen {
			return fail(BadChain, fmt.Sprintf("%s allows %d intermediate CAs below it, the chain has %d", quoteSubject(c), c.ext.pathLen, pathLen))
		}
		if i > 0 && !c.selfIssued {
			pathLen++
		}
	}
	return nil
}

// usable refuses a certificate that this package cannot judge or does not accept.
func usable(c *cert) error {
	switch {
	case c.key.weak != "":
		return fail(WeakKey, "the certificate "+quoteSubject(c)+" is not accepted: "+c.key.weak)
	case c.unusable != "":
		return fail(Unsupported, "the certificate "+quoteSubject(c)+" cannot be used: "+c.unusable)
	}
	return nil
}

// checkIssuer refuses an issuer that is no CA. Only the last certificate of a
// chain may be a CA by other means than basicConstraints.
func checkIssuer(c *cert, intermediate bool) error {
	kind := c.caKind()
	if kind == notCA || intermediate && kind != basicCA {
		return fail(BadChain, "the issuer "+quoteSubject(c)+" is not a CA (basic constraints, key usage)")
	}
	return nil
}

func (ch *chain) checkPurpose(c *cert, i int) error {
	// The settings of a TRUSTED CERTIFICATE overrule what it is meant for.
	if i >= ch.outside {
		switch c.trustFor(ch.o.Purpose, false) {
		case trusted:
			return nil
		case rejected:
			return fail(PurposeMismatch, "the keyring's TRUSTED CERTIFICATE "+quoteSubject(c)+" is not trusted for this use")
		}
	}
	return ch.o.Purpose.check(c, i > 0)
}

// checkSignatures checks each certificate's signature with the key of the
// next, from the top down, so that nobody without a key of the keyring makes
// this package compute more than one of them.
func (ch *chain) checkSignatures() error {
	last := len(ch.certs) - 1
	if own, _ := ch.certs[0].issuedBy(ch.certs[0]); last == 0 && !own && !ch.o.AllowPartialChain {
		return fail(UntrustedIssuer, "the signature of "+quoteSubject(ch.certs[0])+" cannot be checked, since its issuer is not in the keyring")
	}
	for i := last - 1; i >= 0; i-- {
		c, issuer := ch.certs[i], ch.certs[i+1]
		if issuer.ext.hasUsage && issuer.ext.usage&usageCertSign == 0 {
			return fail(BadChain, "the issuer "+quoteSubject(issuer)+" is not for signing certificates (key usage)")
		}
		if string(c.innerAlg) != string(c.sigAlg.raw) {
			return fail(BadChain, "the certificate "+quoteSubject(c)+" names two different signature algorithms")
		}
		if err := issuer.key.verifySigned(c.sigAlg, c.tbs, c.sig); err != nil {
			reason := ReasonOf(err)
			return fail(reason, "the certificate "+quoteSubject(c)+" "+err.(*Error).Text)
		}
	}
	return nil
}

// checkNameConstraints holds the names of each certificate against the
// constraints of every one above it.
func (ch *chain) checkNameConstraints() error {
	for i := len(ch.certs) - 1; i >= 0; i-- {
		c := ch.certs[i]
		if i > 0 && c.selfIssued {
			continue
		}
		for j := len(ch.certs) - 1; j > i; j-- {
			nc := ch.certs[j].ext.nc
			if nc == nil {
				continue
			}
			if err := nc.check(c, i == 0); err != nil {
				return fail(NameConstraint, "the certificate "+quoteSubject(c)+" breaks the name constraints of "+quoteSubject(ch.certs[j])+": "+err.(*Error).Text)
			}
		}
	}
	return nil
}
