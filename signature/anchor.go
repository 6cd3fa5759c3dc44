// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	"strings"
)

// CheckAnchor returns nil when at least one certificate of the keyring can end
// a chain under these options, and otherwise says, for each, why it cannot. A
// keyring without an anchor could never verify anything again.
//
// For a CA that means: a signer that it issues would be accepted. That is tried,
// since a keyring can hold a good CA and hide it, for example behind a
// cross-signed certificate of the same name and key that stands before it.
func (k *Keyring) CheckAnchor(o Options) error {
	const most = 8
	var why []string
	for _, c := range k.certs {
		err := k.anchorProblem(c, o)
		if err == nil {
			return nil
		}
		if len(why) < most {
			why = append(why, c.subject.String()+": "+TextOf(err))
		}
	}
	return &Error{Op: "check keyring", Reason: NoAnchor, Text: "no certificate in it can end a chain, so it could never verify anything (" + strings.Join(why, "; ") + ")"}
}

// anchorProblem says why c cannot end a chain.
func (k *Keyring) anchorProblem(c *cert, o Options) error {
	if err := usable(c); err != nil {
		return err
	}
	if c.ext.critical != "" {
		return fail(BadChain, "a critical extension that nobody here knows ("+c.ext.critical+")")
	}
	switch t := c.trustFor(o.Purpose, true); {
	case t == rejected:
		return fail(UntrustedIssuer, "a TRUSTED CERTIFICATE that is not trusted for this use")
	case t == untrusted && !o.AllowPartialChain:
		return fail(UntrustedIssuer, "issued by "+c.issuer.String()+" and not self-signed, and signature.allow_partial_chain is off")
	}
	if c.caKind() == notCA {
		return k.tryChain(c, o)
	}
	return k.tryIssuer(c, o)
}

// tryChain says why a signature by c itself would be refused.
func (k *Keyring) tryChain(c *cert, o Options) error {
	ch, err := k.buildChain(c, nil, o)
	if err != nil {
		return err
	}
	return ch.check()
}

// tryIssuer says why a signer that c issues would be refused. The signer is made
// up, as one that no rule stands against, so its own signature is not checked;
// what counts is that its chain leads through the key of c.
func (k *Keyring) tryIssuer(c *cert, o Options) error {
	ch, err := k.buildChain(c.child(), nil, o)
	if err != nil {
		return err
	}
	if err := ch.checkExtensions(); err != nil {
		return err
	}
	above := *ch
	above.certs = ch.certs[1:]
	if err := above.checkSignatures(); err != nil {
		return err
	}
	if o.CheckCRL {
		if err := ch.checkRevocation(); err != nil {
			return err
		}
	}
	key, ok := c.key.value.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !key.Equal(above.certs[0].key.value) {
		return fail(BadChain, "a certificate of the same name and another key stands before it in the keyring")
	}
	return nil
}

// child makes up a signer's certificate issued by c.
func (c *cert) child() *cert {
	alg := map[string]string{oidRSA: oidRSASHA256, oidEC: oidECDSA256, oidEd25519: oidEd25519}[c.key.alg]
	subject := &name{canonical: "any signer", entries: []nameEntry{{oid: oidCommonName, value: "any signer"}}}
	child := &cert{subject: subject, issuer: c.subject, key: c.key, serial: []byte("no such serial number"),
		innerAlg: appendElement(nil, byte(tagSequence), appendElement(nil, byte(tagOID), []byte(alg)))}
	child.ext.pathLen = -1
	child.ext.hasEKU, child.ext.eku = true, map[string]bool{ekuEmail: true, ekuCodeSign: true}
	if c.ext.ski != nil {
		child.ext.aki = &authorityKeyID{keyID: c.ext.ski}
	}
	return child
}
