// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"crypto"
	_ "crypto/sha256" // the digests below
	_ "crypto/sha512"
	"fmt"
	"math/big"
	"strings"
)

// Object identifiers, as the content bytes of their DER form.
const (
	oidData          = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x01"
	oidSignedData    = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x02"
	oidEnvelopedData = "\x2a\x86\x48\x86\xf7\x0d\x01\x07\x03"
	oidPKCS7         = "\x2a\x86\x48\x86\xf7\x0d\x01\x07"             // any type of PKCS#7
	oidCMS           = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01"     // any type of CMS
	oidContentType   = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x03"         // attribute
	oidMessageDigest = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x04"         // attribute
	oidSigningTime   = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x05"         // attribute
	oidEmailAddress  = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01"         // in names
	oidAuthEnveloped = "\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01\x17" // authEnvelopedData

	oidRSA        = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
	oidRSAMD5     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x04"
	oidRSASHA1    = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x05"
	oidMGF1       = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x08"
	oidRSAPSS     = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0a"
	oidRSASHA256  = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b"
	oidRSASHA384  = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0c"
	oidRSASHA512  = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0d"
	oidRSASHA224  = "\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0e"
	oidEC         = "\x2a\x86\x48\xce\x3d\x02\x01"
	oidP256       = "\x2a\x86\x48\xce\x3d\x03\x01\x07"
	oidP224       = "\x2b\x81\x04\x00\x21"
	oidP384       = "\x2b\x81\x04\x00\x22"
	oidP521       = "\x2b\x81\x04\x00\x23"
	oidECDSASHA1  = "\x2a\x86\x48\xce\x3d\x04\x01"
	oidECDSA224   = "\x2a\x86\x48\xce\x3d\x04\x03\x01"
	oidECDSA256   = "\x2a\x86\x48\xce\x3d\x04\x03\x02"
	oidECDSA384   = "\x2a\x86\x48\xce\x3d\x04\x03\x03"
	oidECDSA512   = "\x2a\x86\x48\xce\x3d\x04\x03\x04"
	oidEd25519    = "\x2b\x65\x70"
	oidEd448      = "\x2b\x65\x71"
	oidDSA        = "\x2a\x86\x48\xce\x38\x04\x01"
	oidMD5        = "\x2a\x86\x48\x86\xf7\x0d\x02\x05"
	oidSHA1       = "\x2b\x0e\x03\x02\x1a"
	oidSHA256     = "\x60\x86\x48\x01\x65\x03\x04\x02\x01"
	oidSHA384     = "\x60\x86\x48\x01\x65\x03\x04\x02\x02"
	oidSHA512     = "\x60\x86\x48\x01\x65\x03\x04\x02\x03"
	oidSHA224     = "\x60\x86\x48\x01\x65\x03\x04\x02\x04"
	oidCommonName = "\x55\x04\x03"
)

// digests are the digest algorithms a signature may be made with.
var digests = map[string]crypto.Hash{
	oidSHA224: crypto.SHA224,
	oidSHA256: crypto.SHA256,
	oidSHA384: crypto.SHA384,
	oidSHA512: crypto.SHA512,
}

// weakDigests are refused although the reference command accepts them.
var weakDigests = map[string]string{oidMD5: "MD5", oidSHA1: "SHA-1"}

// scheme says what a signature algorithm identifier stands for: the kind of
// key (its algorithm identifier) and the digest, 0 where the parameters or the
// key say which.
type scheme struct {
	key    string
	digest crypto.Hash
	weak   string
}

// schemes are the signature algorithms of certificates and CRLs.
var schemes = map[string]scheme{
	oidRSAMD5:    {oidRSA, 0, "MD5"},
	oidRSASHA1:   {oidRSA, 0, "SHA-1"},
	oidRSASHA224: {oidRSA, crypto.SHA224, ""},
	oidRSASHA256: {oidRSA, crypto.SHA256, ""},
	oidRSASHA384: {oidRSA, crypto.SHA384, ""},
	oidRSASHA512: {oidRSA, crypto.SHA512, ""},
	oidRSAPSS:    {oidRSAPSS, 0, ""}, // matches keys of kind RSA too
	oidECDSASHA1: {oidEC, 0, "SHA-1"},
	oidECDSA224:  {oidEC, crypto.SHA224, ""},
	oidECDSA256:  {oidEC, crypto.SHA256, ""},
	oidECDSA384:  {oidEC, crypto.SHA384, ""},
	oidECDSA512:  {oidEC, crypto.SHA512, ""},
	oidEd25519:   {oidEd25519, 0, ""},
}

// dotted returns the identifier as people know it, "1.2.840.113549".
func dotted(oid string) string {
	var arcs []string
	v := new(big.Int)
	for i := 0; i < len(oid); i++ {
		v.Lsh(v, 7).Or(v, big.NewInt(int64(oid[i]&0x7f)))
		if oid[i]&0x80 != 0 {
			continue
		}
		if len(arcs) == 0 {
			first := min(v.Int64(), 80) / 40
			if !v.IsInt64() {
				first = 2
			}
			arcs = append(arcs, fmt.Sprint(first))
			v.Sub(v, big.NewInt(first*40))
		}
		arcs = append(arcs, v.String())
		v = new(big.Int)
		if len(arcs) > 32 {
			break
		}
	}
	return strings.Join(arcs, ".")
}
