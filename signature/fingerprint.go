// SPDX-License-Identifier: GPL-3.0-or-later

package signature

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Fingerprint is the SHA-256 of a certificate's DER bytes.
type Fingerprint [32]byte

// ParseFingerprint reads 64 hexadecimal digits, in any case, with or without
// colons between the bytes (as openssl x509 -fingerprint -sha256 prints them).
func ParseFingerprint(s string) (Fingerprint, error) {
	var f Fingerprint
	plain := strings.ReplaceAll(s, ":", "")
	b, err := hex.DecodeString(plain)
	if err != nil || len(b) != len(f) {
		return f, fmt.Errorf("parse fingerprint %.80q: want 64 hexadecimal digits, the SHA-256 of a certificate", s)
	}
	copy(f[:], b)
	return f, nil
}

// String returns 64 lower-case hexadecimal digits.
func (f Fingerprint) String() string { return hex.EncodeToString(f[:]) }

// MarshalText is String, for JSON.
func (f Fingerprint) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// UnmarshalText is ParseFingerprint.
func (f *Fingerprint) UnmarshalText(b []byte) error {
	v, err := ParseFingerprint(string(b))
	if err == nil {
		*f = v
	}
	return err
}
