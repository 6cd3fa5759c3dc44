// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"fmt"
	"slices"
	"strings"
)

// MaxChain is how many issuers a chain may have, as in OpenSSL.
const MaxChain = 100

// trust is what is known about a chain that is being built.
type trust int

const (
	untrusted trust = iota
	trusted
	rejected
)

// chain is the path from a signer's certificate to where trust ends. It is
// built by the rules of OpenSSL's build_chain with its default flags: at each
// step the keyring comes before the message's own certificates, the first
// certificate that fits (issuedBy) is taken and never given back, and after the
// first one from the keyring only the keyring is searched.
type chain struct {
	k           *Keyring
	o           Options
	certs       []*cert
	outside     int // how many of certs, from the start, are not from the keyring
	candidates  []*cert
	messageCRLs []*crl
}

// buildChain returns the complete and trusted chain of leaf, or says why there
// is none. Nothing but names, key identifiers and kinds of keys was compared.
func (k *Keyring) buildChain(leaf *cert, message []*cert, o Options) (*chain, error) {
	ch := &chain{k: k, o: o, certs: []*cert{leaf}, outside: 1, candidates: slices.Clone(message)}
	verdict, err := ch.grow()
	if err != nil {
		return nil, err
	}
	if verdict == untrusted && len(ch.certs) <= MaxChain+1 && len(ch.certs) == ch.outside {
		verdict = ch.trustFrom(len(ch.certs))
	}
	switch verdict {
	case trusted:
		return ch, nil
	case rejected:
		return nil, fail(UntrustedIssuer, "the keyring's TRUSTED CERTIFICATE "+quoteSubject(ch.top())+" is not trusted for this use")
	}
	return nil, ch.explain()
}

func (ch *chain) top() *cert { return ch.certs[len(ch.certs)-1] }

// grow adds issuers until trust is decided or none is found.
func (ch *chain) grow() (trust, error) {
	inMessage, inKeyring := true, true
	for inMessage || inKeyring {
		if inKeyring {
			done, verdict, err := ch.growTrusted(&inMessage)
			if err != nil || verdict != untrusted {
				return verdict, err
			}
			if done == grown {
				continue
			}
			if !inMessage {
				return untrusted, nil
			}
		}
		issuer, err := ch.issuerInMessage()
		if err != nil {
			return untrusted, err
		}
		if issuer == nil {
			inMessage, inKeyring = false, true
			continue
		}
		ch.certs = append(ch.certs, issuer)
		ch.outside++
	}
	return untrusted, nil
}

// step is what one look into the keyring led to.
type step int

const (
	nothing step = iota // no issuer there, or the end of the chain
	grown               // an issuer was added, go on
)

// growTrusted looks for the issuer of the top in the keyring. When there is
// one, the message's certificates are not searched any more.
func (ch *chain) growTrusted(inMessage *bool) (step, trust, error) {
	curr := ch.top()
	if len(ch.certs) > MaxChain+1 {
		return nothing, untrusted, nil
	}
	issuer, err := ch.k.issuerOf(curr)
	if err != nil || issuer == nil {
		return nothing, untrusted, err
	}
	before := len(ch.certs)
	end := curr.selfSigned
	if !end {
		ch.certs = append(ch.certs, issuer)
		end = issuer.selfSigned
	} else {
		if !curr.equal(issuer) {
			return nothing, untrusted, nil // pretends to be a root of the keyring
		}
		before--
		ch.outside = before
		ch.certs[before] = issuer
	}
	*inMessage = false
	if verdict := ch.trustFrom(before); verdict != untrusted {
		return nothing, verdict, nil
	}
	if end {
		return nothing, untrusted, nil
	}
	return grown, untrusted, nil
}

// trustFrom decides whether the certificates from index first on, all from the
// keyring, end the chain.
func (ch *chain) trustFrom(first int) trust {
	for _, c := range ch.certs[first:] {
		if t := c.trustFor(ch.o.Purpose, true); t != untrusted {
			return t
		}
	}
	if !ch.o.AllowPartialChain {
		return untrusted
	}
	if first < len(ch.certs) {
		return trusted
	}
	own := ch.k.same(ch.certs[0])
	if own == nil {
		return untrusted
	}
	if own.trustFor(ch.o.Purpose, true) == rejected {
		return rejected
	}
	ch.certs[0], ch.outside = own, 0
	return trusted
}

// issuerInMessage takes the first fitting issuer of the top out of the
// message's certificates. A certificate is not its own issuer, except that a
// self-issued signer may be repeated once.
func (ch *chain) issuerInMessage() (*cert, error) {
	curr := ch.top()
	if curr.selfSigned || len(ch.certs) > MaxChain+1 {
		return nil, nil
	}
	for i, c := range ch.candidates {
		yes, err := curr.issuedBy(c)
		if err != nil {
			return nil, err
		}
		if yes && (curr.selfIssued && len(ch.certs) == 1 || !slices.ContainsFunc(ch.certs, c.equal)) {
			ch.candidates = slices.Delete(ch.candidates, i, i+1)
			return c, nil
		}
	}
	return nil, nil
}

// explain says why the chain does not end in the keyring.
func (ch *chain) explain() error {
	leaf, top := ch.certs[0], ch.top()
	signed := "signed by " + leaf.subject.String()
	if len(ch.certs) > MaxChain {
		return fail(BadChain, fmt.Sprintf("%s, whose chain has more than %d issuers", signed, MaxChain))
	}
	switch {
	case top.selfSigned && len(ch.certs) == 1:
		return fail(UntrustedIssuer, signed+", a self-signed certificate which is not in the keyring ("+ch.k.summary()+")")
	case top.selfSigned:
		return fail(UntrustedIssuer, signed+", whose chain ends in the self-signed "+top.subject.String()+", which is not in the keyring ("+ch.k.summary()+")")
	case ch.outside < len(ch.certs):
		return fail(UntrustedIssuer, signed+", whose chain ends in the keyring's "+top.subject.String()+", which is not self-signed, and its issuer "+top.issuer.String()+
			" is not in the keyring (add that one, or set signature.allow_partial_chain)")
	}
	missing := top.issuer.String() + ", which is not in the keyring (" + ch.k.summary() + ")"
	if ch.k.hasSubject(top.issuer) {
		missing = top.issuer.String() + "; the keyring has a certificate of that name, but with another key (key identifier or kind of key differ)"
	}
	if top == leaf {
		return fail(UntrustedIssuer, signed+", issued by "+missing)
	}
	return fail(UntrustedIssuer, signed+", issued by "+leaf.issuer.String()+", and "+top.subject.String()+" was issued by "+missing)
}

// pinned refuses a chain without any of the pinned signers.
func (ch *chain) pinned() bool {
	return len(ch.o.Signers) == 0 || slices.ContainsFunc(ch.certs, func(c *cert) bool { return slices.Contains(ch.o.Signers, c.fingerprint) })
}

func (ch *chain) describe() []Certificate {
	list := make([]Certificate, len(ch.certs))
	for i, c := range ch.certs {
		list[i] = c.describe()
	}
	return list
}

// summary lists the keyring's subjects for a message, a few of them.
func (k *Keyring) summary() string {
	const most = 4
	var names []string
	for i, c := range k.certs {
		if i == most {
			names = append(names, fmt.Sprintf("and %d more", len(k.certs)-most))
			break
		}
		names = append(names, c.subject.String())
	}
	return strings.Join(names, "; ")
}
