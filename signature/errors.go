// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"errors"
	"fmt"
)

// Reason is one short stable word for why something was refused. Programs
// branch on it; people read [Error.Error].
type Reason string

// The reasons a signature, keyring, bundle or signing request is refused for.
const (
	TooLarge        Reason = "too-large"        // over a size or count limit of this package
	NotDER          Reason = "not-der"          // not one well-formed DER element
	IsPEM           Reason = "pem"              // PEM where DER is needed
	IsSMIME         Reason = "smime"            // an S/MIME mail message where DER is needed
	NotSigned       Reason = "not-signed-data"  // CMS of another type than SignedData
	Malformed       Reason = "malformed"        // DER, but not the structure it should be
	NoSigner        Reason = "no-signer"        // SignedData without any SignerInfo
	EmbeddedContent Reason = "embedded-content" // the .p7s carries content itself
	SignerMissing   Reason = "signer-missing"   // the signer's certificate is not in the .p7s
	WrongContent    Reason = "wrong-content"    // signature is for other content
	TextMode        Reason = "text-mode"        // signature is for the content with CRLF line ends
	BadSignature    Reason = "bad-signature"    // the signature value does not verify
	WeakDigest      Reason = "weak-digest"      // MD5 or SHA-1
	WeakKey         Reason = "weak-key"         // RSA below 2048 bits
	Unsupported     Reason = "unsupported"      // an algorithm or key this package cannot use
	UntrustedIssuer Reason = "untrusted-issuer" // the chain does not end in the keyring
	BadChain        Reason = "bad-chain"        // a certificate of the chain breaks a rule
	PurposeMismatch Reason = "purpose"          // a certificate is not meant for this use
	NameConstraint  Reason = "name-constraints" // a name is outside the issuer's name constraints
	Revoked         Reason = "revoked"          // a certificate is on a CRL
	NoCRL           Reason = "no-crl"           // check_crl is on and the keyring has no usable CRL
	Pinned          Reason = "pin"              // no certificate of the chain is one of the pinned signers
	BadPEM          Reason = "bad-pem"          // keyring text that OpenSSL would refuse
	NoCertificate   Reason = "no-certificate"   // keyring without any certificate
	NoAnchor        Reason = "no-anchor"        // no certificate of the keyring can end a chain
	Encrypted       Reason = "encrypted"        // EnvelopedData, a RAUC crypt bundle
	KeyMismatch     Reason = "key-mismatch"     // the signing key does not belong to the certificate
	BadKey          Reason = "bad-key"          // the signing key cannot be read
	BadPassphrase   Reason = "passphrase"       // the signing key's passphrase is missing or wrong
	Internal        Reason = "internal"         // a fault of this package
)

// Error is what every function of this package returns when it refuses
// something.
type Error struct {
	Op     string // what was being done, for example "verify autorun.sh"
	Reason Reason
	Text   string // what is wrong and, where it can be said, how to mend it
	Err    error  // the cause below, or nil
}

// Error returns operation and text, in words for the person who made the file.
func (e *Error) Error() string { return e.Op + ": " + e.Text }

// Unwrap returns the cause below.
func (e *Error) Unwrap() error { return e.Err }

// Is makes errors.Is(err, ErrEncrypted) true by reason.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Op == "" && t.Reason == e.Reason
}

// ErrEncrypted matches (errors.Is) the error of [VerifyBundle] for an encrypted
// CMS: a RAUC bundle in crypt format that only the board's own key opens.
var ErrEncrypted error = &Error{Reason: Encrypted, Text: "encrypted"}

// ReasonOf returns the reason inside err, or "" when it holds none.
func ReasonOf(err error) Reason {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ""
}

// TextOf returns the text of an [Error] without its operation, for a message
// that has one already; for any other error, its message.
func TextOf(err error) string {
	if e, ok := err.(*Error); ok {
		return e.Text
	}
	return err.Error()
}

// fail builds the error of a check; the public functions add the operation.
func fail(r Reason, text string) *Error { return &Error{Reason: r, Text: text} }

// during names the operation that err happened in.
func during(op string, err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		c := *e
		c.Op = op
		return &c
	}
	return &Error{Op: op, Reason: Malformed, Text: err.Error(), Err: err}
}

// safely runs f and turns a panic, which would be a fault of this package, into
// a refusal: whatever is on a stick, the agent goes on.
func safely[T any](f func() (T, error)) (v T, err error) {
	defer func() {
		if r := recover(); r != nil {
			var none T
			v, err = none, fail(Internal, fmt.Sprintf("a fault of usbagent itself, please report it with this file: %v", r))
		}
	}()
	return f()
}
