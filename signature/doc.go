// SPDX-License-Identifier: GPL-3.0-or-later

// Package signature decides whether a file may act on the board: it verifies
// detached PKCS#7 signatures against a keyring, exactly as
//
//	openssl smime -verify -no_check_time -inform DER -CAfile KEYRING -content FILE -in FILE.p7s
//
// does, and never accepts what that command rejects. Most callers need
// [ParseKeyring] and [Verify]; the desk side needs [Sign], the installer needs
// [VerifyBundle].
//
// Threat model: the signature, the content and the certificates in the
// signature come from anyone who can plug in a stick. They are read under named
// limits by a strict DER walk before anything else looks at them, and nothing
// that is not structurally known reaches a library. The keyring is trusted for
// who may sign, not for being well-formed. docs/signatures.md lists each check,
// in order, and each case where this package is stricter than the command.
//
// No time is ever checked, since the board has no clock it can trust. The
// package reads no files, keeps no state, never logs, and all of its values may
// be used by several goroutines at once.
package signature
