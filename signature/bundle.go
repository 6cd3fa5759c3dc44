// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "crypto"

// Bundle is what the good CMS of a RAUC bundle vouches for.
type Bundle struct {
	Manifest []byte      // verity format: the signed manifest; nil in plain format
	Hash     crypto.Hash // plain format: the digest of the bundle's content that was signed,
	Sum      []byte      // which the caller must compare with the bytes it reads
	Signer   Certificate
}

// VerifyBundle decides about the CMS at the end of a RAUC bundle (its length is
// in the file's last eight bytes, big-endian). In verity format the CMS carries
// the manifest, which is returned; in plain format it does not, and the caller
// must hash the bundle before the CMS and compare. A bundle in crypt format is
// encrypted: [ErrEncrypted].
//
// A good bundle is never a good script or keyring: [Verify] refuses a CMS that
// carries content, and a file whose signed content is a bundle is no script.
func VerifyBundle(k *Keyring, cms []byte, o Options) (*Bundle, error) {
	b, err := safely(func() (*Bundle, error) { return verifyBundle(k, cms, o) })
	if err != nil {
		return nil, during("verify bundle", err)
	}
	return b, nil
}

func verifyBundle(k *Keyring, cms []byte, o Options) (*Bundle, error) {
	if k == nil {
		return nil, fail(NoCertificate, "there is no keyring")
	}
	d, err := parseSignedData(cms)
	if err != nil {
		return nil, err
	}
	chains, err := k.chains(d, o)
	if err != nil {
		return nil, err
	}
	b := &Bundle{Signer: chains[0].certs[0].describe()}
	sums := &contentSums{}
	if d.embedded {
		b.Manifest = append([]byte{}, d.content...)
		sums.c = NewContent("manifest", b.Manifest)
	} else if err := b.takeDigest(d, sums); err != nil {
		return nil, err
	}
	for i, si := range d.signers {
		if err := si.verify(chains[i].certs[0], sums); err != nil {
			return nil, err
		}
	}
	first, err := pinnedChain(chains, o)
	if err != nil {
		return nil, err
	}
	b.Signer = first.certs[0].describe()
	return b, nil
}

// takeDigest takes the digest of a plain bundle's content from its one signer.
func (b *Bundle) takeDigest(d *signedData, sums *contentSums) error {
	if len(d.signers) != 1 {
		return fail(Unsupported, "a plain bundle with several signers")
	}
	si := d.signers[0]
	if !si.hasAttrs || si.digest == nil {
		return fail(Unsupported, "a plain bundle whose signature has no signed digest of the content")
	}
	b.Hash, b.Sum = digests[si.digestAlg.oid], si.digest
	if len(b.Sum) != b.Hash.Size() {
		return fail(Malformed, "the signed digest of the content has a wrong length")
	}
	sums.given = func(crypto.Hash) []byte { return b.Sum }
	return nil
}
