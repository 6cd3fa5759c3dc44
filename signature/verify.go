// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"bytes"
	"fmt"
)

// Verify decides about content c and its detached signature p7s (DER): who
// signed it, whether k trusts the signer under o, and whether the signature is
// for these bytes. On success, and only then, there is a [Verified].
//
// Every signer of the signature must be good. Certificates outside the keyring
// come from the signature only. Errors are [*Error]; their text tells the one
// who signed what to mend.
func Verify(k *Keyring, c *Content, p7s []byte, o Options) (*Verified, error) {
	v, err := safely(func() (*Verified, error) { return verify(k, c, p7s, o) })
	if err != nil {
		return nil, during("verify "+c.name, err)
	}
	return v, nil
}

func verify(k *Keyring, c *Content, p7s []byte, o Options) (*Verified, error) {
	if k == nil {
		return nil, fail(NoCertificate, "there is no keyring")
	}
	d, err := parseSignedData(p7s)
	if err != nil {
		return nil, err
	}
	if d.embedded {
		return nil, fail(EmbeddedContent, "the signature carries content itself (a RAUC bundle's signature, or made with -nodetach): sign without it")
	}
	chains, err := k.chains(d, o)
	if err != nil {
		return nil, err
	}
	sums := &contentSums{c: c}
	for i, si := range d.signers {
		if err := si.verify(chains[i].certs[0], sums); err != nil {
			return nil, err
		}
	}
	first, err := pinnedChain(chains, o)
	if err != nil {
		return nil, err
	}
	return &Verified{content: c, chain: first.describe()}, nil
}

// chains builds and checks the chain of every signer.
func (k *Keyring) chains(d *signedData, o Options) ([]*chain, error) {
	var chains []*chain
	for _, si := range d.signers {
		leaf, err := d.signerCert(si)
		if err != nil {
			return nil, err
		}
		if err := si.checkAlgorithms(d, leaf); err != nil {
			return nil, err
		}
		ch, err := k.buildChain(leaf, d.certs, o)
		if err != nil {
			return nil, err
		}
		ch.messageCRLs = d.crls
		if err := ch.check(); err != nil {
			return nil, err
		}
		chains = append(chains, ch)
	}
	return chains, nil
}

// pinnedChain returns the chain to report: the first that has a pinned
// certificate, or the first where nothing is pinned.
func pinnedChain(chains []*chain, o Options) (*chain, error) {
	for _, ch := range chains {
		if ch.pinned() {
			return ch, nil
		}
	}
	ch := chains[0]
	return nil, fail(Pinned, fmt.Sprintf("signed by %s (%s), but neither this certificate nor any of its issuers is among the %d allowed signers",
		ch.certs[0].subject, ch.certs[0].fingerprint, len(o.Signers)))
}

// signerCert returns the signer's certificate, which must be in the message: the
// keyring is not searched for it.
func (d *signedData) signerCert(si *signerInfo) (*cert, error) {
	for _, c := range d.certs {
		if bytes.Equal(c.serial, si.serial) && c.issuer.canonical == si.issuer.canonical {
			return c, nil
		}
	}
	return nil, fail(SignerMissing, fmt.Sprintf("the signer's certificate (issued by %s, serial number %x) is not in the signature (made with -nocerts?)", si.issuer, si.serial))
}

// checkAlgorithms refuses digests that are weak, unknown or not announced, and
// a signature algorithm that does not fit the key and the digest.
func (si *signerInfo) checkAlgorithms(d *signedData, leaf *cert) error {
	if weak := weakDigests[si.digestAlg.oid]; weak != "" {
		return fail(WeakDigest, "the signature is made with "+weak+", which is not accepted (sign with -md sha256)")
	}
	if digests[si.digestAlg.oid] == 0 {
		return fail(Unsupported, "the signature is made with a digest that usbagent does not know ("+dotted(si.digestAlg.oid)+"); use SHA-256")
	}
	if !d.digestAlgs[si.digestAlg.oid] {
		return fail(Malformed, "the signer's digest is not in the signature's list of digests")
	}
	if err := usable(leaf); err != nil {
		return err
	}
	switch oid := si.signatureAlg.oid; {
	case oid == oidRSAPSS:
		return fail(Unsupported, "the signature is RSA-PSS, the board needs PKCS#1 v1.5 (leave out rsa_padding_mode:pss)")
	case leaf.key.alg == oidEd25519:
		return fail(Unsupported, "the signature is made with an Ed25519 key, the board needs RSA or ECDSA")
	case !si.signatureAlg.plain():
		return fail(Malformed, "the signer's signature algorithm has parameters")
	case oid == leaf.key.alg:
		return nil
	case schemes[oid].key != leaf.key.alg || schemes[oid].digest != digests[si.digestAlg.oid]:
		return fail(Malformed, "the signer's signature algorithm ("+dotted(oid)+") contradicts its key ("+leaf.key.kind()+") or its digest")
	}
	return nil
}

// verify checks that the signature is for the content and was made by leaf's key.
func (si *signerInfo) verify(leaf *cert, sums *contentSums) error {
	h := digests[si.digestAlg.oid]
	sum := sums.sum(h)
	if si.hasAttrs {
		if si.digest == nil {
			return fail(Malformed, "the signer's attributes have no digest of the content")
		}
		if !bytes.Equal(si.digest, sum) {
			if bytes.Equal(si.digest, sums.textSum(h)) {
				return errTextMode
			}
			if unix := sums.unixSum(h); unix != nil && bytes.Equal(si.digest, unix) {
				return fail(WrongContent, "the signature is for this file with LF line ends; this one has CRLF (changed by an editor or a copy on Windows?)")
			}
			return fail(WrongContent, "the signature is for other content (signed by "+leaf.subject.String()+")")
		}
		d := h.New()
		d.Write(si.attrs)
		sum = d.Sum(nil)
	}
	if !si.hasAttrs && sums.c != nil && looksLikeAttributes(sums.c.bytes) {
		return fail(WrongContent, "the content is a set of signed attributes, and its signature was made for another message (signed by "+leaf.subject.String()+")")
	}
	if leaf.key.verifyDigest(h, sum, si.signature) {
		return nil
	}
	if si.hasAttrs {
		return fail(BadSignature, "the signature value does not verify with the key of "+leaf.subject.String())
	}
	if text := sums.textSum(h); text != nil && leaf.key.verifyDigest(h, text, si.signature) {
		return errTextMode
	}
	return fail(WrongContent, "the signature is for other content, or damaged (signed by "+leaf.subject.String()+")")
}

var errTextMode = fail(TextMode, "the signature was made in text mode, for the content with CRLF line ends (use -binary)")
