// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import "time"

// Purpose is what each certificate of the chain must be meant for, in RAUC's
// words (check-purpose in system.conf).
type Purpose string

// The purposes. The empty one is SMIMESign.
const (
	SMIMESign Purpose = "smimesign" // OpenSSL's default for openssl smime
	CodeSign  Purpose = "codesign"
	AnyUse    Purpose = "any"
)

// Limits of this package. Anything over one of them is refused, never cut.
const (
	// MaxSize bounds a signature, in bytes.
	MaxSize = 1 << 20
	// MaxKeyringSize bounds a keyring file, in bytes.
	MaxKeyringSize = 1 << 20
)

// Options say what a good chain is beyond the reference command's defaults.
// The zero value is that command's verdict.
type Options struct {
	Purpose           Purpose
	AllowPartialChain bool          // a chain may end in any certificate of the keyring
	CheckCRL          bool          // the keyring's CRLs count, for every certificate of the chain
	Signers           []Fingerprint // when not empty, one certificate of the chain must be among them
}

// Certificate describes one certificate for people and logs. It carries no
// trust by itself.
type Certificate struct {
	Subject     string      `json:"subject"` // RFC 2253 style, escaped, printable
	Issuer      string      `json:"issuer"`
	Serial      string      `json:"serial"`   // hexadecimal
	KeyType     string      `json:"key_type"` // for example "RSA 2048", "P-256"
	Fingerprint Fingerprint `json:"fingerprint"`
	NotBefore   time.Time   `json:"not_before,omitzero"` // never checked
	NotAfter    time.Time   `json:"not_after,omitzero"`  // never checked
	SelfSigned  bool        `json:"self_signed"`         // may end a chain without AllowPartialChain
	CA          bool        `json:"ca"`
	Unusable    string      `json:"unusable,omitempty"` // why it is kept but gives no trust; "" means usable
}
