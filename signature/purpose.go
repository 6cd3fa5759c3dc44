// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "strings"

// Extended key usages.
const (
	ekuAny        = "\x55\x1d\x25\x00"
	ekuServerAuth = "\x2b\x06\x01\x05\x05\x07\x03\x01"
	ekuClientAuth = "\x2b\x06\x01\x05\x05\x07\x03\x02"
	ekuCodeSign   = "\x2b\x06\x01\x05\x05\x07\x03\x03"
	ekuEmail      = "\x2b\x06\x01\x05\x05\x07\x03\x04"
	ekuTimeStamp  = "\x2b\x06\x01\x05\x05\x07\x03\x08"
	ekuOCSP       = "\x2b\x06\x01\x05\x05\x07\x03\x09"
)

// caKind is why a certificate counts as a CA's, in OpenSSL's numbers.
type caKind int

const (
	notCA       caKind = 0
	basicCA     caKind = 1 // basicConstraints says so
	v1Root      caKind = 3 // self-signed X.509 v1
	usageCA     caKind = 4 // no basicConstraints, keyUsage has certificate signing
	netscapeCA  caKind = 5 // no basicConstraints, Netscape's CA type
	anyNetscape        = nsSSLCA | nsSMIMECA | nsObjCA
)

// caKind says whether and why c may issue certificates.
func (c *cert) caKind() caKind {
	x := &c.ext
	switch {
	case x.hasUsage && x.usage&usageCertSign == 0:
		return notCA
	case x.hasBasic && x.ca:
		return basicCA
	case x.hasBasic:
		return notCA
	case c.v1 && c.selfSigned:
		return v1Root
	case x.hasUsage:
		return usageCA
	case x.hasNS && x.nsType&anyNetscape != 0:
		return netscapeCA
	}
	return notCA
}

// trustID is the use that a TRUSTED CERTIFICATE must be trusted for.
func (p Purpose) trustID() string {
	if p == CodeSign {
		return ekuCodeSign
	}
	return ekuEmail
}

// check refuses c when it is not meant for p: as an issuer (ca), or as the
// signer's own certificate.
func (p Purpose) check(c *cert, ca bool) error {
	switch p {
	case AnyUse:
		return nil
	case CodeSign:
		return checkCodeSign(c, ca)
	case SMIMESign, "":
		return checkSMIMESign(c, ca)
	}
	return fail(PurposeMismatch, "the purpose "+string(p)+" is not known (smimesign, codesign, any)")
}

// checkSMIMESign is OpenSSL's purpose smimesign.
func checkSMIMESign(c *cert, ca bool) error {
	x := &c.ext
	if x.hasEKU && !x.eku[ekuEmail] {
		return fail(PurposeMismatch, describeEKU(c, ca)+" (extended key usage), smimesign needs e-mail protection or no such extension")
	}
	if ca {
		kind := c.caKind()
		if kind == notCA || kind == netscapeCA && x.nsType&nsSMIMECA == 0 {
			return fail(PurposeMismatch, quoteSubject(c)+" is not a CA certificate for signing")
		}
		return nil
	}
	if x.hasNS && x.nsType&(nsSMIME|nsClient) == 0 {
		return fail(PurposeMismatch, quoteSubject(c)+" is not for e-mail (Netscape certificate type)")
	}
	if x.hasUsage && x.usage&(usageSignature|usageRepudiation) == 0 {
		return fail(PurposeMismatch, quoteSubject(c)+" is not for signatures (key usage lacks digitalSignature and nonRepudiation)")
	}
	return nil
}

// checkCodeSign is RAUC's purpose codesign.
func checkCodeSign(c *cert, ca bool) error {
	x := &c.ext
	if ca {
		if x.hasEKU && !x.eku[ekuCodeSign] {
			return fail(PurposeMismatch, describeEKU(c, ca)+" (extended key usage), codesign needs code signing or no such extension on a CA")
		}
		if c.caKind() == notCA {
			return fail(PurposeMismatch, quoteSubject(c)+" is not a CA certificate for signing")
		}
		return nil
	}
	if x.hasUsage && x.usage&usageSignature == 0 {
		return fail(PurposeMismatch, quoteSubject(c)+" is not for signatures (key usage lacks digitalSignature)")
	}
	if !x.hasEKU || !x.eku[ekuCodeSign] {
		return fail(PurposeMismatch, describeEKU(c, ca)+" (extended key usage), codesign needs code signing")
	}
	return nil
}

var ekuNames = []struct{ oid, name string }{
	{ekuServerAuth, "TLS servers"}, {ekuClientAuth, "TLS clients"}, {ekuCodeSign, "code signing"},
	{ekuEmail, "e-mail protection"}, {ekuTimeStamp, "time stamping"}, {ekuOCSP, "OCSP"}, {ekuAny, "\"any\" use"},
}

// describeEKU says what c's extended key usage allows.
func describeEKU(c *cert, ca bool) string {
	who := "the signer's certificate " + quoteSubject(c)
	if ca {
		who = "the issuer's certificate " + quoteSubject(c)
	}
	if !c.ext.hasEKU {
		return who + " names no use"
	}
	var uses []string
	for _, e := range ekuNames {
		if c.ext.eku[e.oid] {
			uses = append(uses, e.name)
		}
	}
	switch tls := len(uses) > 0 && strings.HasPrefix(uses[0], "TLS"); {
	case len(uses) == 0:
		return who + " is for other uses only"
	case tls && strings.HasPrefix(uses[len(uses)-1], "TLS"):
		return who + " is for TLS only"
	}
	return who + " is for " + strings.Join(uses, " and ") + " only"
}

func quoteSubject(c *cert) string { return "\"" + c.subject.String() + "\"" }
